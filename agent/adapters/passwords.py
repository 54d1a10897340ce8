"""Passwords: argon2id hashes, and the same work for a name that nobody has."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

#: What NIST SP 800-63B-4 asks of a password that stands alone is 15; the sign-in limits stand beside ours.
LEAST_LENGTH = 12
MOST_LENGTH = 256

#: Each check takes 64 MiB and a core for a moment (RFC 9106, section 4); webhooks need both too.
_MOST_AT_ONCE = 2

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_places = threading.BoundedSemaphore(_MOST_AT_ONCE)


def weakness(password: str, name: str, email: str = "") -> str:
    """Why this is no password for them, in words; "" if it may be one."""
    if len(password) < LEAST_LENGTH:
        return f"it must have at least {LEAST_LENGTH} characters; a few words are easier to type at night"
    if len(password) > MOST_LENGTH:
        return f"it must have at most {MOST_LENGTH} characters"
    if any(unicodedata.category(each) == "Cc" for each in password):
        return "it must not have line breaks or other control characters"
    lower = password.casefold()
    if len(set(lower)) < 5 or lower in (name.casefold() * 8)[: len(lower)] or lower == email.casefold():
        return "it must not be the name, the address, or a few characters over and over"
    return ""


def hashed(password: str) -> str:
    """What is kept of it."""
    return _hasher.hash(_normal(password))


def is_right(password: str, kept: str | None) -> bool:
    """Whether this is the password; takes as long where there is none."""
    try:
        _hasher.verify(kept if kept is not None else _nobodys(), _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def is_outdated(kept: str) -> bool:
    """Whether it is hashed otherwise than is thought right by now."""
    return _hasher.check_needs_rehash(kept)


@contextmanager
def place() -> Iterator[bool]:
    """Room for one check; False if others take it all right now."""
    taken = _places.acquire(blocking=False)
    try:
        yield taken
    finally:
        if taken:
            _places.release()


@cache
def _nobodys() -> str:
    return _hasher.hash("nobody has this one")


def _normal(password: str) -> str:
    """One way to write what can be typed in several (NIST SP 800-63B-4, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
