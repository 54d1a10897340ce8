"""A known secret as it may appear in a text: plain, escaped, encoded; each form as a pattern."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

import re2

#: A shorter value would be found by chance in ordinary words.
LEAST_LENGTH: Final = 6


def written(secret: str) -> Iterator[str]:
    """A secret as it may appear, as patterns: plain, escaped, in hex, and in base64 at any offset."""
    for text in (quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret)):
        yield re2.escape(text)
    yield from map(re2.escape, _in_base64(secret.encode()))
    yield f"(?i:{secret.encode().hex()})"
    yield from _escaped(secret)
    lines = [line.strip() for line in secret.splitlines()]
    for line in lines if len(lines) > 1 else []:
        if len(line) >= LEAST_LENGTH and not line.startswith("-----"):
            yield from _escaped(line)


def _escaped(secret: str) -> Iterator[str]:
    """A text as JSON and its like write it, also as JSON inside JSON."""
    in_json = json.dumps(secret)[1:-1]
    for text in (secret, in_json, json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield re2.escape(text)
        yield re2.escape(json.dumps(text)[1:-1])
        yield re2.escape(text.replace("/", "\\/"))
        yield re2.escape(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
    units = secret.encode("utf-16-be").hex()
    yield f"(?i:{''.join(f'{chr(92) * 2}u{units[at : at + 4]}' for at in range(0, len(units), 4))})"


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
