"""A message of Amazon SNS: what it says, what of it is signed, and which addresses in it are SNS's own.

Documentation: "Verifying the signatures of Amazon SNS messages" and "Parsing message formats" (Amazon SNS
Developer Guide). The signed text is the name and the value of these fields, each on a line of its own,
in this order; a field that is not there is left out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import SplitResult, parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from agent.adapters.json_view import text_at
from agent.adapters.webhook_body import object_in, time_of
from agent.ports.sources import Malformed

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIPTION = "UnsubscribeConfirmation"

_SIGNED: Mapping[str, tuple[str, ...]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    UNSUBSCRIPTION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_HASHES: Mapping[str, type[hashes.SHA1 | hashes.SHA256]] = {"1": hashes.SHA1, "2": hashes.SHA256}
_HOST = re.compile(r"sns\.[a-z]{2}(?:-[a-z]+){1,3}-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?", re.ASCII)
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{1,100}\.pem", re.ASCII)
_URL_MAX = 2_048


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """One message, unverified; `fields` are its texts as they were sent."""

    type: str
    message_id: str
    topic: str
    at: datetime | None
    fields: Mapping[str, str]

    @property
    def certificate_url(self) -> str:
        """Where it says that the certificate is, if that is at SNS itself; else ""."""
        parts = _at_sns(self.fields.get("SigningCertURL", ""))
        is_one = parts is not None and not parts.query and _CERTIFICATE.fullmatch(parts.path)
        return parts.geturl() if parts is not None and is_one else ""

    @property
    def confirm_url(self) -> str:
        """Where the subscription is confirmed, if that is at SNS itself and for this topic; else ""."""
        parts = _at_sns(self.fields.get("SubscribeURL", ""))
        if parts is None or parts.path not in ("", "/"):
            return ""
        asked = parse_qs(parts.query)
        is_this = asked.get("Action") == ["ConfirmSubscription"] and asked.get("TopicArn") == [self.topic]
        return parts.geturl() if is_this else ""

    def is_signed_by(self, key: RSAPublicKey) -> bool:
        """Whether the key's owner signed it, in signature version 1 or 2."""
        algorithm = _HASHES.get(self.fields.get("SignatureVersion", ""))
        if algorithm is None:
            return False
        try:
            signature = base64.b64decode(self.fields.get("Signature", ""), validate=True)
            key.verify(signature, self.signed_text(), padding.PKCS1v15(), algorithm())
        except (binascii.Error, ValueError, InvalidSignature):
            return False
        return True

    def signed_text(self) -> bytes:
        """What the signature is over."""
        names = (name for name in _SIGNED[self.type] if name in self.fields)
        lines = [f"{name}\n{self.fields[name]}\n" for name in names]
        return "".join(lines).encode("utf-8", "surrogatepass")


def message_in(raw: bytes) -> SnsMessage | Malformed:
    """The message in a body, whatever its content type says (SNS sends JSON as text/plain)."""
    body = object_in(raw)
    if isinstance(body, Malformed):
        return body
    kind = text_at(body, "Type")
    if kind not in _SIGNED:
        return Malformed(
            f'"Type" is none of {", ".join(_SIGNED)}; raw message delivery must be off for this subscription'
        )
    fields = {name: value for name, value in body.items() if isinstance(value, str)}
    for name in ("MessageId", "TopicArn", "Timestamp", "Message"):
        if not fields.get(name, "").strip():
            return Malformed(f'"{name}" is missing')
    return SnsMessage(kind, fields["MessageId"], fields["TopicArn"], time_of(fields["Timestamp"]), fields)


def _at_sns(url: str) -> SplitResult | None:
    """The parts of an https address of SNS; nothing else is ever asked for anything."""
    if len(url) > _URL_MAX or not url.isascii() or not url.isprintable() or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        is_plain = parts.port in (None, 443) and parts.username is None and parts.password is None
    except ValueError:
        return None
    is_theirs = parts.scheme == "https" and _HOST.fullmatch(parts.hostname or "") is not None
    return parts if is_plain and is_theirs and not parts.fragment else None
