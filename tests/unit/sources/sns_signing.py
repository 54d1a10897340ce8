"""Signs as SNS does, with a certificate made on the spot."""

import base64
import json
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 1, 5, 4, 20, tzinfo=UTC)
TOPIC = "arn:aws:sns:us-east-1:123456789012:alarms"
CERTIFICATE = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123abcd.pem"
CONFIRM = f"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
ALARM = {
    "AlarmName": "checkout errors",
    "AlarmDescription": "Too many 5xx",
    "AWSAccountId": "123456789012",
    "NewStateValue": "ALARM",
    "NewStateReason": "Threshold Crossed: 1 datapoint [12.0] was greater than the threshold (5.0).",
    "StateChangeTime": "2026-01-05T04:17:23.123+0000",
    "Region": "US East (N. Virginia)",
    "AlarmArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:checkout errors",
    "OldStateValue": "OK",
    "Trigger": {
        "MetricName": "HTTPCode_Target_5XX_Count",
        "Namespace": "AWS/ECS",
        "Dimensions": [
            {"value": "checkout", "name": "ServiceName"},
            {"value": "prod", "name": "ClusterName"},
        ],
        "Threshold": 5.0,
    },
}


class Signer:
    """A key and its certificate."""

    def __init__(self, *, until: datetime = NOW + timedelta(days=30)) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(NOW - timedelta(days=30))
            .not_valid_after(until)
            .sign(self.key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def sign(self, message, *, version="1"):
        """The message with its signature, over the fields that Amazon documents, in their order."""
        fields = ["Message", "MessageId"]
        if message["Type"] == "Notification":
            fields += ["Subject"] if "Subject" in message else []
        else:
            fields += ["SubscribeURL"]
        fields += (
            ["Timestamp"] + ([] if message["Type"] == "Notification" else ["Token"]) + ["TopicArn", "Type"]
        )
        text = "".join(f"{name}\n{message[name]}\n" for name in fields)
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), algorithm)
        return {**message, "SignatureVersion": version, "Signature": base64.b64encode(signature).decode()}


def notification(said=None, **changed):
    return {
        "Type": "Notification",
        "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
        "TopicArn": TOPIC,
        "Subject": "ALARM: checkout errors",
        "Message": said if isinstance(said, str) else json.dumps({**ALARM, **(said or {})}),
        "Timestamp": "2026-01-05T04:17:24.000Z",
        "SigningCertURL": CERTIFICATE,
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
        **changed,
    }


def confirmation(kind="SubscriptionConfirmation", **changed):
    return {
        "Type": kind,
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "Token": "2336412f37",
        "TopicArn": TOPIC,
        "Message": "You have chosen to subscribe to the topic.\nVisit the SubscribeURL.",
        "SubscribeURL": CONFIRM,
        "Timestamp": "2026-01-05T04:17:24.000Z",
        "SigningCertURL": CERTIFICATE,
        **changed,
    }


def raw(message):
    return json.dumps(message).encode()
