"""Kinds of arguments: what a word at some place of a command may be, and what it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import re2

from agent.domain.command import Refusal
from agent.safety.addresses import Address, address

MAX_WORD = 8_192


class Role(StrEnum):
    """What a word stands for, beyond its form."""

    TEXT = "text"
    HOST = "host"
    NAMESPACE = "namespace"
    FILE = "file"
    PLACE = "place"


@dataclass(frozen=True, slots=True)
class Findings:
    """What words reach: hosts, namespaces, secrets that they would show, files, folders to look into."""

    hosts: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            self.hosts + other.hosts,
            self.namespaces + other.namespaces,
            self.secrets + other.secrets,
            self.files + other.files,
            self.folders + other.folders,
        )


@dataclass(frozen=True, slots=True)
class FileRules:
    """Which files a command may show: `readable` ones, and never `secret` ones."""

    readable: Sequence[str] = ()
    secret: Sequence[str] = ()

    def check(self, path: str) -> Findings | Refusal:
        """A secret is found, a readable file passes, any other is refused."""
        if path == "-":
            return Findings()
        if matches(path.lower(), self.secret):
            return Findings(secrets=(path,), files=(path,))
        if matches(path, self.readable):
            return Findings(files=(path,))
        hint = "add it to files.readable in an effect table of yours, if everyone may see it"
        return Refusal(f"{path} is not among the files that commands may read", hint)


def matches(path: str, globs: Sequence[str]) -> bool:
    """Whether a path matches a pattern; `*` stays in a directory, `**` does not, `**/` may be nothing."""
    return any(_glob(pattern).fullmatch(path) is not None for pattern in globs)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: a word matches `pattern` whole, not `forbidden`; if it matches `secret`, it shows one."""

    name: str
    pattern: str
    says: str
    role: Role = Role.TEXT
    forbidden: str = ""
    forbidden_says: str = ""
    secret: str = ""
    files: FileRules = FileRules()

    def check(self, word: str) -> Findings | Refusal:
        """What the word reaches, or why it cannot stand here."""
        if len(word) > MAX_WORD:
            return Refusal(f"a word of {len(word)} characters, more than {MAX_WORD}")
        if _compiled(self.pattern).fullmatch(word) is None:
            return Refusal(f"{word!r} is not {self.says}", f"it must match {self.pattern}")
        if self.forbidden and _compiled(self.forbidden).fullmatch(word) is not None:
            return Refusal(f"{word!r} is not allowed here: {self.forbidden_says}")
        if self.secret and _compiled(self.secret).fullmatch(word) is not None:
            return Findings(secrets=(word,))
        return self._reach(word)

    def _reach(self, word: str) -> Findings | Refusal:
        match self.role:
            case Role.TEXT:
                return Findings()
            case Role.NAMESPACE:
                return Findings(namespaces=(word,))
            case Role.FILE:
                return self.files.check(word)
            case Role.PLACE:
                return Findings(folders=(word,))
            case Role.HOST:
                return host_findings(word)


@lru_cache(maxsize=1024)
def host_findings(word: str) -> Findings | Refusal:
    """What a host, or host:port, reaches."""
    found = address(word)
    return found if isinstance(found, Refusal) else reach_of(found)


def reach_of(found: Address) -> Findings:
    """A host; the ones that hand out credentials are secrets too."""
    secrets = (found.host,) if found.gives_credentials else ()
    return Findings(hosts=(str(found),), secrets=secrets)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re2._Regexp:
    return re2.compile(pattern)


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re2._Regexp:
    folders = (".*".join(map(_glob_piece, part.split("**"))) for part in pattern.split("**/"))
    return re2.compile("(?:.*/)?".join(folders))


def _glob_piece(text: str) -> str:
    return str(re2.escape(text)).replace(r"\*", "[^/]*")
