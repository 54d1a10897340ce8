"""Signatures over what is posted between systems that share a secret: a time and an HMAC over time and body.

The header reads `t=1767586643,v1=5257a869…`: Unix seconds, and the hexadecimal HMAC-SHA256 over
`timestamp.body`, the bytes of the body as they are sent. While a secret is exchanged there may be several v1.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

#: The header that carries it.
SIGNATURE = "X-Oncall-Signature"

#: Names the message: the same for each attempt to deliver it.
DELIVERY = "X-Oncall-Delivery"

#: How old a signature may be, as Slack and Stripe count it: enough for clocks that differ.
TOLERANCE_S = 300

#: A header that is longer was not made by us; nobody reads further.
_LONGEST = 1_000


def sign(secret: str, body: bytes, *, at: int) -> str:
    """The header for this body at this time."""
    return f"t={at},v1={_mac(secret, body, str(at))}"


def why_not_signed(header: str, body: bytes, secrets: Sequence[str], *, now: int) -> str:
    """Why the body is not signed with one of these secrets lately; "" if it is."""
    parts = [part.partition("=") for part in header[:_LONGEST].split(",")]
    times = [value for name, _, value in parts if name.strip() == "t"]
    given = [value.strip() for name, _, value in parts if name.strip() == "v1"]
    if len(times) != 1 or not given:
        return f"{SIGNATURE} is missing or not of the form t=SECONDS,v1=HEX"
    (at,) = times
    if not (at.isascii() and at.isdigit() and len(at) <= 12):
        return f"{SIGNATURE} has no time"
    right = [_mac(secret, body, at).encode() for secret in secrets if secret]
    if not any(hmac.compare_digest(each, one.encode("utf-8", "replace")) for each in right for one in given):
        return f"{SIGNATURE} matches no secret"
    if abs(now - int(at)) > TOLERANCE_S:
        return f"{SIGNATURE} is from another time: more than {TOLERANCE_S} s away; is a clock wrong?"
    return ""


def _mac(secret: str, body: bytes, at: str) -> str:
    return hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
