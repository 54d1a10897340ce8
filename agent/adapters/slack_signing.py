"""Whether a request is Slack's and fresh: the v0 signature over the raw body.

Slack's documentation page "Verifying requests from Slack".
"""

from __future__ import annotations

import hashlib
import hmac
import math

#: Older or newer than this a request is a replay, or somebody's clock is wrong (same page).
WINDOW_S = 300


def signature(raw: bytes, timestamp: str, secret: str) -> str:
    """What Slack puts into X-Slack-Signature."""
    base = b"v0:" + timestamp.encode("utf-8", "surrogateescape") + b":" + raw
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


def is_signed(raw: bytes, timestamp: str, given: str, secret: str) -> bool:
    """Whether this body at this time was signed with the secret; compared in constant time."""
    expected = signature(raw, timestamp, secret)
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))


def problem_with_time(timestamp: str, *, now: float) -> str:
    """Why a request of this time is not taken; "" if it is fresh."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return "X-Slack-Request-Timestamp is missing or no number"
    off_s = now - int(timestamp)
    if math.fabs(off_s) > WINDOW_S:
        return f"sent {off_s:.0f} s ago; beyond {WINDOW_S} s it is taken for a replay, or a clock is wrong"
    return ""
