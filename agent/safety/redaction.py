"""Secrets are taken out here, once, in front of every sink: known values first, then known forms.

All patterns run on a linear-time engine, so hostile output costs no more than its length.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote, quote_plus

import re2

MASK: Final = "***"
#: A shorter value would be found by chance in ordinary words.
LEAST_LENGTH: Final = 6

_NAMES: Final = (
    r"pass(?:word|wd|phrase)|[a-z0-9]+_pass|pwd|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key"
    r"|client[_-]?secret|auth[_-]?token|access[_-]?token|refresh[_-]?token|session[_-]?token"
    r"|secret[_-]?access[_-]?key|routing[_-]?key|integration[_-]?key|signing[_-]?(?:secret|key)"
    r"|webhook[_-]?secret|credentials?|requirepass|masterauth|rediscli[_-]?auth"
)
_ASSIGNED: Final = rf"(?i:\b[a-z0-9_.-]*(?:{_NAMES})[\"']?[ \t]*(?:=>|[:=])[ \t]*"
_PRIVATE_KEY: Final = r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"

#: What a first group matches stays in front of the mask, what a second one matches stays behind it.
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
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.?[A-Za-z0-9_-]*",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bglpat-[A-Za-z0-9_-]{16,}",
    r"\bsk-[A-Za-z0-9_-]{16,}",
    r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",
    r"\bAIza[A-Za-z0-9_-]{30,}",
    r"\bATATT[A-Za-z0-9_=-]{20,}",
    r"\bhv[sb]\.[A-Za-z0-9_-]{20,}",
    r"([a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@\"']*:)[^\s/@\"']+(@)",
    rf"({_ASSIGNED}\"))(?:[^\"\\\r\n]|\\.)+",
    rf"({_ASSIGNED}'))[^'\r\n]+",
    rf"({_ASSIGNED}))(?i:(?:bearer|basic|token)[ \t]+)?[^\s\"',;&}})\]]+",
)
_SECRET: Final = re2.compile("|".join(f"(?:{form})" for form in _FORMS))
_SECRET_NAME: Final = re2.compile(rf"(?i)(?:[a-z0-9_.-]*[_.-])?(?:{_NAMES}|authorization|cookie)")


class Redactor:
    """Takes secrets out of everything that leaves: Slack, PagerDuty, tickets, logs, console, the LLM."""

    def __init__(self, secrets: Sequence[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= LEAST_LENGTH for form in _written(secret)}
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re2.compile("|".join(re2.escape(form) for form in ordered)) if ordered else None

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return str(_SECRET.sub(_masked, text))

    def value(self, value: object) -> object:
        """A JSON value without secrets, in keys too."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self._key(key): self._field(key, item) for key, item in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
            case _:
                return value

    def _key(self, key: object) -> object:
        return self.text(key) if isinstance(key, str) else key

    def _field(self, key: object, item: object) -> object:
        is_secret = isinstance(key, str) and isinstance(item, str) and _SECRET_NAME.fullmatch(key)
        return MASK if is_secret and item else self.value(item)


def _masked(found: re2._Match) -> str:
    kept = [group for group in found.groups() if group is not None]
    return (kept[0] if kept else "") + MASK + (kept[1] if len(kept) > 1 else "")


def _written(secret: str) -> Iterator[str]:
    """A secret as it may appear: plain, URL-encoded, in JSON, and in base64 at any of the three offsets."""
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield secret.replace("\\", "\\\\").replace('"', '\\"')
    yield from _in_base64(secret.encode())


def _in_base64(secret: bytes) -> Iterator[str]:
    """The characters that do not depend on what stands before and after the secret."""
    yield base64.b64encode(secret).decode()
    yield base64.urlsafe_b64encode(secret).decode()
    for offset in range(3):
        padded = b"\0" * offset + secret
        whole = len(padded) // 3 * 3
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            stable = encode(padded[:whole]).decode()[(4 if offset else 0) :]
            if len(stable) >= LEAST_LENGTH + 2:
                yield stable
