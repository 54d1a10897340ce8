"""Secrets are taken out here, once, in front of every sink: known values first, then known forms.

All patterns run on a linear-time engine, and what is masked is counted: hostile output costs no more than its
length, up to a bound; behind it nothing is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import NoneType
from typing import Final

import re2

from agent.safety.redaction_bounds import LEFT_OUT, Places, cut, shortened
from agent.safety.redaction_environment import ENVIRONMENT, without_values
from agent.safety.redaction_written import LEAST_LENGTH, written

MASK: Final = "***"

#: Lines that name one of the commands below, as access logs do; each is looked into.
_MOST_COMMANDS: Final = 5_000
#: A mask may let another form be seen; more rounds than this would only serve hostile output.
_MOST_ROUNDS: Final = 4

_NAMES: Final = (
    r"pass(?:word|wd|phrase)|[a-z0-9]_pass|pwd|secret|token|credentials?|requirepass|masterauth|dsn"
    r"|(?:api|access|secret|private|routing|integration|signing|encryption|account|master|shared|storage|session"
    r"|hmac|ssh|license)[_-]?key|rediscli[_-]?auth"
)
#: In capitals these are names of environment variables, in lower case mostly ordinary words.
_ENVIRONMENT: Final = r"_(?:KEY|AUTH|CREDS|PASS)"
#: As the `name:` of a pair, whose `value:` is the secret then.
_NAMED: Final = rf"(?:[a-z0-9_.-]*(?:{_NAMES}|[_.-](?:key|auth|creds))|pass|auth)s?(?:[_.-][a-z0-9_.-]*)?"
_Q: Final = r"\\*[\"']"
_IS: Final = rf"(?:{_Q})?[ \t]*(?:=>|:?=+|:)[ \t]*"
_ASSIGNED: Final = rf"(?:(?:(?i:{_NAMES})|{_ENVIRONMENT}){_IS}|\bPASS=)"
_VALUE: Final = r"(?:\"(?:[^\"\\\r\n]|\\.)*\"?|'[^'\r\n]*'?|\\+[\"'][^\"'\\]*\\*[\"']?|[^\s\"'\\,\[\]{}]+)"
_PAIR: Final = rf"(?i:\b(?:name|key){_IS}(?:{_Q})?{_NAMED}(?:{_Q})?[ \t]*"
_FLAG: Final = rf"-(?i:[a-z0-9]*(?:{_NAMES})|pass)"
_PRIVATE_KEY: Final = r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"

#: What a first group matches stays in front of the mask, what a second one matches stays behind it.
#: No form may begin, run on over other forms and then fail: hostile output would pay for it each time.
_FORMS: Final = (
    rf"-----BEGIN {_PRIVATE_KEY}(?s:.*?)(?:-----END {_PRIVATE_KEY}|\z)",
    r"((?i:\b(?:proxy-)?authorization[\"']?[ \t]*[:=][ \t]*[\"']?))[^\r\n\"']+",
    r"((?i:\bx-(?:api-key|auth-token|vault-token|amz-security-token)[\"']?[ \t]*[:=][ \t]*[\"']?))[^\s\"']+",
    r"((?i:\b(?:set-)?cookie[ \t]*:[ \t]*))[^\r\n\"']+",
    r"((?i:\bbearer[ \t]+))[A-Za-z0-9._~+/=-]{6,}",
    r"((?i:\bbasic[ \t]+))[A-Za-z0-9+/]{8,}={0,2}",
    r"((?i:\btoken[ \t]+token=[\"']?))[^\s\"',;]+",
    r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b",
    r"\bxox[a-z]-[A-Za-z0-9-]{8,}",
    r"\bxapp-[A-Za-z0-9-]{8,}",
    r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]+",
    r"\beyJ[A-Za-z0-9_-]{12,}(?:\.[A-Za-z0-9_-]+)*",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\boat_[A-Za-z0-9_-]{20,}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bglpat-[A-Za-z0-9_-]{16,}",
    r"\bsk-[A-Za-z0-9_-]{16,}",
    r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",
    r"\bAIza[A-Za-z0-9_-]{30,}",
    r"\bATATT[A-Za-z0-9_=-]{20,}",
    r"\bhv[sb]\.[A-Za-z0-9_-]{20,}",
    rf"({_PAIR}\r?\n[ \t]*value[ \t]*:[ \t]*))[^\s|>{{\[][^\r\n]*",
    rf"({_PAIR},\s*(?:{_Q})?value{_IS}\"))(?:[^\"\\\r\n]|\\.)+",
    rf"({_PAIR},\s*(?:{_Q})?value{_IS}(?:\\+[\"']|')?))[^\s\"'\\,}}\]\[{{][^\"'\\,}}\]\r\n]*",
    rf"((?i:\"value\"[ \t]*:[ \t]*\"))[^\"\r\n]+((?i:\"\s*,\s*\"(?:name|key)\"[ \t]*:[ \t]*\"{_NAMED}\"))",
    rf"({_FLAG}(?:=|[ \t]+|{_Q}\s*,\s*|\r?\n[ \t]*-[ \t]+)(?:{_Q})?)[^\s\"'\\,;)}}\]-][^\s\"'\\,;)}}\]]*",
    r"((?i:\b(?:requirepass|masterauth)[\"']?(?:[ \t]+|\r?\n(?:[0-9]+\)[ \t]+)?)[\"']?))[^\s\"']+",
    rf"(<(?i:[a-z0-9_.:-]*(?:{_NAMES}))(?:[ \t][^<>]*)?>)[^<\r\n]+",
    r"((?i:\b(?:sig|signature|x-(?:amz|goog)-signature)=))[^\s&;\"'<>]+",
    r"((?i:\bpass=))[0-9]*[^\s\"',;&})\]0-9][^\s\"',;&})\]]*",
    rf"({_ASSIGNED}\[)(?:[ \t\r\n,]*{_VALUE})+",
    rf"({_ASSIGNED}\\\")(?:[^\"\\\r\n]|\\\\(?:\\[\"\\]|[^\"\\]))+",
    rf"({_ASSIGNED}\\+[\"'])[^\"'\\\r\n]+",
    rf"({_ASSIGNED}\")(?:[^\"\\\r\n]|\\.)+",
    rf"({_ASSIGNED}')[^'\r\n]+",
    rf"({_ASSIGNED})(?i:(?:bearer|basic|token)[ \t]+)?"
    r"(?:[|>][-+0-9]*[^\s\"',;&})\]0-9+-]|[^\s\"',;&})\]\\\[|>])[^\s\"',;&})\]]*",
)
#: The rest of a private key whose beginning was cut off.
_HEADLESS: Final = rf"(?:[ \t]*[A-Za-z0-9+/=]+\r?\n)+[ \t]*-----END {_PRIVATE_KEY}"

#: The password in a URL or a database's address, by the @ behind it; a port number is none.
_ADDRESSES: Final = (
    r"(://[^\s:/@\"']*:)(?:[^\s/@\"']+@)*[^\s/@\"']+(@)",
    r"(://:)[^\s\"']+(@)",
    r"(://[^\s:/@\"']+:)[0-9]*[^\s0-9/@\"'][^\s@\"']*(@)",
    r"(\b[A-Za-z0-9_.-]+:)[^\s@\"']+(@(?:tcp|udp|unix)\()",
    r"(\b[A-Za-z0-9_.-]+:)[^\s/@\"']+@[^\s/@\"']+(@)",
)


def _any(forms: Iterable[str], *, longest: bool = False) -> re2._Regexp:
    options = re2.Options()
    options.max_mem = _MOST_MEMORY
    options.longest_match = longest
    return re2.compile("|".join(f"(?:{form})" for form in forms), options)


#: Many long secrets in all their forms are a large pattern.
_MOST_MEMORY: Final = 256 * 1024 * 1024
_SECRET: Final = _any(_FORMS)
_ADDRESS: Final = _any(_ADDRESSES)
_KEY_END: Final = _any([_HEADLESS])
_SECRET_NAME: Final = re2.compile(rf"(?i)(?:[a-z0-9_.-]*[_.-])?(?:{_NAMES}|authorization|cookie)")
_SECRET_PAIR: Final = re2.compile(rf"(?i){_NAMED}")
_SECRET_FLAG: Final = re2.compile(rf"-(?i:[a-z0-9-]*){_FLAG}|{_FLAG}")

#: Commands that take a password behind a flag of one letter: read to their end, then looked into.
_COMMANDS: Final = ("redis-cli", "mysql", "mariadb", "curl", "sshpass", "mongo", "docker login")
_COMMAND: Final = re2.compile(rf"\b(?:{'|'.join(_COMMANDS)})[^\r\n|;&]*")
_GAP: Final = r"[\s\"',\\]"
_IN_COMMAND: Final = {
    "redis-cli": re2.compile(rf"({_GAP}-a{_GAP}*)[^\s\"',\\]+"),
    "curl": re2.compile(rf"({_GAP}(?:-u|-U|--user|--proxy-user)[\s\"',\\=]*[^\s:\"',\\]*:)[^\s\"'\\]+"),
    "mysql": re2.compile(rf"({_GAP}-p[\"']?)[^\s\"',\\]+"),
    "mariadb": re2.compile(rf"({_GAP}-p[\"']?)[^\s\"',\\]+"),
}
_BEHIND_P: Final = re2.compile(rf"({_GAP}-p{_GAP}*)[^\s\"',\\]+")
_IN_COMMANDS: Final = tuple((name, _IN_COMMAND.get(name, _BEHIND_P)) for name in _COMMANDS)

#: A key whose value stands in the lines below it; how deep they must be is counted, not matched.
_ABOVE: Final = re2.compile(
    rf"(?im)^([ \t]*)(?:-[ \t]+)?(?:(?:{_Q})?[a-z0-9_.-]*(?:{_NAMES})(?:{_Q})?"
    rf"|(?:name|key):[ \t]*(?:{_Q})?{_NAMED}(?:{_Q})?[ \t]*\r?\n[ \t]*value)"
    r"[ \t]*:[ \t]*([|>][-+0-9]*)?[ \t]*\r?\n"
)
#: Of whatever is taken out of a text, and whatever cuts it, something is found by this one look.
_TRACE: Final = _any(
    [
        *_FORMS,
        *_ADDRESSES,
        _HEADLESS,
        str(_ABOVE.pattern),
        *(rf"\b{name}[^\r\n|;&]*{flag.pattern}" for name, flag in _IN_COMMANDS),
        *map(re2.escape, (ENVIRONMENT, LEFT_OUT)),
    ]
)
#: Up to here no bound is reached either: so many commands cannot be named in so few characters.
_ONE_LOOK: Final = 16_384

_LINE: Final = re2.compile(r"([ \t]*)(-[ \t]+)?([^\r\n]*)([\r\n]*)")
_MAPPING: Final = re2.compile(r"(?:[\"']?[A-Za-z0-9_./-]+[\"']?[ \t]*:(?:[ \t].*)?|[{}\[\]].*)")


_SCALARS: Final = (int, float, NoneType)
_LISTS: Final = (list, tuple)

#: A name that we give things ourselves, and look at again and again.
_SHORT: Final = 64


class Redactor:
    """Takes secrets out of everything that leaves: Slack, PagerDuty, tickets, logs, console, the LLM."""

    def __init__(self, secrets: Sequence[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= LEAST_LENGTH for form in written(secret)}
        # the longest one where several begin: a line of a secret must not leave the rest of the whole
        self._known = _any(sorted(forms), longest=True) if forms else None

    def text(self, text: str) -> str:
        """The text without secrets."""
        text = str(text)  # an enum's word is a text of a kind that re2 cannot make anew
        if self._has_no_trace(text):
            return text
        text = shortened(text, MASK)
        for _ in range(_MOST_ROUNDS):
            redacted = self._once(text)
            if redacted == text:
                break
            text = redacted
        return text

    def is_clean(self, texts: Iterable[str]) -> bool:
        """Whether there is nothing to take out of any of these; looked at all at once, which costs little.

        No form looks back over the line's end before it, so what is found in one text is found here too.
        """
        together = "\n".join(texts)
        return self.text(together) == together

    def _has_no_trace(self, text: str) -> bool:
        """Whether nothing below can find anything, as is nearly always so."""
        if len(text) > _ONE_LOOK or _TRACE.search(text) is not None:
            return False
        return self._known is None or self._known.search(text) is None

    def _once(self, text: str) -> str:
        if self._known is not None:
            text = Places().sub(self._known, lambda _: MASK, text)
        text = without_values(text, MASK)
        text = _below_masked(text, Places())
        if any(command in text for command in _COMMANDS):
            text = _commands_masked(text)
        if "@" in text:
            text = Places().sub(_ADDRESS, _masked, text)
        text = Places().sub(_SECRET, _masked, text)
        return Places().sub(_KEY_END, _masked, text) if "-----END" in text else text

    def value(self, value: object) -> object:
        """A JSON value without secrets, in keys too."""
        if isinstance(value, str):
            return self.text(value)
        return _copied(value) if self._is_plain(value) else self._piece_by_piece(value)

    def _piece_by_piece(self, value: object) -> object:
        match value:
            case str():
                return self.text(value)
            case Mapping():
                named = _is_secret_pair(value)
                return {self._key(key): self._field(key, item, named=named) for key, item in value.items()}
            case list() | tuple():
                return list(self._items(value))
            case _:
                return value

    def _is_plain(self, value: object) -> bool:
        """Whether nothing in it is to be taken out, as is nearly always so."""
        texts: list[str] = []
        return _is_told_by_texts(value, texts) and self.is_clean(texts)

    def _key(self, key: object) -> object:
        return self.text(key) if isinstance(key, str) else key

    def _field(self, key: object, item: object, *, named: bool) -> object:
        if not isinstance(key, str):
            return self._piece_by_piece(item)
        if (named and key.lower() == "value") or _is_secret_name(key):
            return self._hidden(item)
        return self._piece_by_piece(item)

    def _hidden(self, item: object) -> object:
        if isinstance(item, list | tuple):
            return [self._hidden(each) for each in item]
        return MASK if isinstance(item, str) and item else self._piece_by_piece(item)

    def _items(self, items: Sequence[object]) -> Iterator[object]:
        """A list's items; in an argv the word behind a flag may be the secret."""
        is_redis = "redis-cli" in items
        flag: object = ""
        for item in items:
            follows = isinstance(flag, str) and (_is_secret_flag(flag) or (is_redis and flag == "-a"))
            yield self._hidden(item) if follows else self._piece_by_piece(item)
            flag = item


def _is_secret_name(key: str) -> bool:
    return (_named_before if len(key) <= _SHORT else _named)(_SECRET_NAME, key)


def _is_secret_flag(word: str) -> bool:
    return word[:1] == "-" and (_named_before if len(word) <= _SHORT else _named)(_SECRET_FLAG, word)


def _named(pattern: re2._Regexp, name: str) -> bool:
    return pattern.fullmatch(name) is not None


_named_before: Final = lru_cache(maxsize=2_048)(_named)


def _is_told_by_texts(value: object, texts: list[str]) -> bool:
    """Whether its texts alone say what is secret in it, no name of a field and no flag; gathers them."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or _is_secret_name(key):
                return False
            texts.append(key)
            if not _is_told_by_texts(item, texts):
                return False
        return not _is_secret_pair(value)
    elif isinstance(value, _LISTS):
        for item in value:
            if isinstance(item, str) and (_is_secret_flag(item) or item == "-a"):
                return False
            if not _is_told_by_texts(item, texts):
                return False
    else:
        return isinstance(value, _SCALARS)
    return True


def _copied(value: object) -> object:
    """As it is, of plain texts, dicts and lists."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, _LISTS) else value


def _is_secret_pair(value: Mapping[object, object]) -> bool:
    fields = {key.lower(): item for key, item in value.items() if isinstance(key, str)}
    name = fields.get("name", fields.get("key"))
    return isinstance(name, str) and _SECRET_PAIR.fullmatch(name) is not None


def _masked(found: re2._Match) -> str:
    kept = [group for group in found.groups() if group is not None]
    return (kept[0] if kept else "") + MASK + (kept[1] if len(kept) > 1 else "")


def _commands_masked(text: str) -> str:
    """The text without passwords behind the flags of the commands that it names."""
    commands, places = Places(_MOST_COMMANDS), Places()

    def masked(found: re2._Match) -> str:
        command = str(found.group())
        name = next(name for name in _COMMANDS if command.startswith(name))
        shown = places.sub(_IN_COMMAND.get(name, _BEHIND_P), _masked, command)
        if places.left >= 0:
            return shown
        commands.left = 0
        return MASK

    return commands.sub(_COMMAND, masked, text)


def _below_masked(text: str, places: Places) -> str:
    """The text without values that stand in the lines below their key."""
    parts: list[str] = []
    done = 0
    for found in _ABOVE.finditer(text):
        if found.start() < done:
            continue
        lines, end = _lines_below(text, found.end(), len(found[1]), is_block=bool(found[2]), places=places)
        if not places.take():
            return cut("".join(parts) + text[done : found.start()], len(text) - found.start())
        parts += [text[done : found.end()], *lines]
        done = end
    return "".join(parts) + text[done:] if parts else text


def _lines_below(
    text: str, begin: int, indent: int, *, is_block: bool, places: Places
) -> tuple[list[str], int]:
    """The masked lines that are deeper than their key, a block as one; and where they end."""
    masked: list[str] = []
    while begin < len(text) and places.take():
        stop = text.find("\n", begin) + 1 or len(text)
        line = _LINE.fullmatch(text[begin:stop])
        if line is None:
            break
        space, dash, words, end = line.groups("")
        is_deeper = len(space) > indent or (dash and not is_block and len(space) == indent)
        if (words and not is_deeper) or (not is_block and (not words or _MAPPING.fullmatch(words))):
            break
        if is_block and masked:
            masked[0] = masked[0].removesuffix("\n") + ("\n" if end else "")
        elif words or not is_block:
            masked.append(f"{space}{'' if is_block else dash}{MASK}{end}")
        begin = stop
    return masked, begin
