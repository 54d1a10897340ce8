"""SNS: what is signed, what is fetched from where, what is confirmed."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask
from structlog.testing import capture_logs

from agent.adapters.sns_certificates import Certificates, Unfetched, fetch
from agent.adapters.sns_message import SnsMessage, message_in
from agent.adapters.sns_webhook import SnsSource
from agent.config.sources import Sns
from agent.domain.source_event import EventType
from agent.ports.sources import Malformed, Read
from agent.simulators.server import Fault, Simulator
from tests.unit.sources.sns_signing import (
    CERTIFICATE,
    CONFIRM,
    NOW,
    TOPIC,
    Signer,
    confirmation,
    notification,
    raw,
)

WAIT_S = 10


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


class Vendor:
    """SNS's own host, on loopback: whatever is asked of it goes there, and is counted."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.asked: list[str] = []
        self.done = threading.Event()

    def fetch(self, url: str) -> bytes | Unfetched:
        self.asked.append(url)
        parts = urlsplit(url)
        try:
            return fetch(f"{self.simulator.url}{parts.path or '/'}?{parts.query}", timeout_s=WAIT_S)
        finally:
            if "ConfirmSubscription" in url:
                self.done.set()


@pytest.fixture
def sns(signer: Signer) -> Iterator[Vendor]:
    app = Flask("sns")
    app.get("/SimpleNotificationService-<name>.pem", endpoint="pem")(lambda name: signer.pem)
    app.get("/", endpoint="confirm")(lambda: "<ConfirmSubscriptionResponse/>")
    with Simulator(app) as simulator:
        yield Vendor(simulator)


@pytest.fixture
def source(sns: Vendor) -> SnsSource:
    return SnsSource(Sns(topics=(TOPIC,)), fetch=sns.fetch, now=lambda: NOW)


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature_are_proof(source, signer, version):
    for message in (
        notification(),
        confirmation(),
        confirmation("UnsubscribeConfirmation"),
        {name: value for name, value in notification().items() if name != "Subject"},
        notification("Zeile\nmit Ümlaut und \u2028 😀", Subject="ALARM: ö"),
    ):
        assert source.genuine(raw(signer.sign(message, version=version)), {}) is None


@pytest.mark.parametrize(
    "field", ["Message", "MessageId", "Subject", "Timestamp", "Signature", "SignatureVersion"]
)
def test_what_was_changed_on_the_way_is_refused(source, signer, field):
    message = signer.sign(notification())
    message[field] = "2026-01-05T04:18:00.000Z" if field == "Timestamp" else message[field] + "x"
    assert "signature" in source.genuine(raw(message), {}).reason


def test_a_version_1_signature_is_none_of_version_2(source, signer):
    assert source.genuine(raw({**signer.sign(notification()), "SignatureVersion": "2"}), {}) is not None


def test_another_key_is_refused(source):
    assert source.genuine(raw(Signer().sign(notification())), {}) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123.pem",
        "https://sns.us-east-1.amazonaws.com.example.com/SimpleNotificationService-0123.pem",
        "https://sns.us-east-1.amazonaws.com@example.com/SimpleNotificationService-0123.pem",
        "https://example.com/SimpleNotificationService-0123.pem",
        "https://example.com#sns.us-east-1.amazonaws.com/SimpleNotificationService-0123.pem",
        "https://sns.us-east-1.amazonaws.com:8443/SimpleNotificationService-0123.pem",
        "https://s3.us-east-1.amazonaws.com/SimpleNotificationService-0123.pem",
        "https://xsns.us-east-1.amazonaws.com/SimpleNotificationService-0123.pem",
        "https://sns.us-east-1.amazonaws.comx/SimpleNotificationService-0123.pem",
        "https://sns.us-east-1.amazonaws.com/other/SimpleNotificationService-0123.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123.pem?x=1",
        "https://sns.us-east-1.amazonaws.com/",
        "https://sns.us-east-1.amazonaws.com\\@example.com/SimpleNotificationService-0123.pem",
        "https://sns.us-east-1.amazonaws.com:port/SimpleNotificationService-0123.pem",
        "https://[::1]/SimpleNotificationService-0123.pem",
        "//sns.us-east-1.amazonaws.com/SimpleNotificationService-0123.pem",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_certificate_from_anywhere_else_is_never_fetched(source, sns, signer, url):
    refused = source.genuine(raw(signer.sign(notification(SigningCertURL=url))), {})
    assert "SigningCertURL" in refused.reason
    assert not refused.again
    assert sns.asked == []


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1", "ap-southeast-2", "cn-north-1"])
def test_every_region_has_its_host(signer, region):
    host = f"sns.{region}.amazonaws.com" + (".cn" if region.startswith("cn") else "")
    url = f"https://{host}/SimpleNotificationService-0a.pem"
    message = message_in(raw(notification(SigningCertURL=url)))
    assert isinstance(message, SnsMessage)
    assert message.certificate_url == url


def test_a_topic_that_is_not_allowed_is_refused_before_anything_is_fetched(source, sns, signer):
    other = TOPIC.replace("123456789012", "999999999999")
    refused = source.genuine(raw(signer.sign(notification(TopicArn=other))), {})
    assert "sources.sns.topics" in refused.reason
    assert sns.asked == []


def test_a_certificate_is_fetched_once(source, sns, signer):
    for number in range(3):
        assert source.genuine(raw(signer.sign(notification(MessageId=str(number)))), {}) is None
    assert sns.asked == [CERTIFICATE]


@pytest.mark.parametrize("status", [404, 500, 302, -1])
def test_a_certificate_that_cannot_be_had_now_is_asked_for_again(source, sns, signer, status):
    sns.simulator.misbehave(Fault(status))
    message = raw(signer.sign(notification()))
    assert source.genuine(message, {}).again
    assert source.genuine(message, {}) is None


def test_a_host_that_hangs_or_never_ends_is_given_up(sns):
    url = f"{sns.simulator.url}/SimpleNotificationService-0a.pem"
    sns.simulator.misbehave(Fault(0, delay_s=1.0))
    slow = fetch(url, timeout_s=0.1)
    assert isinstance(slow, Unfetched)
    assert "0.1 s" in slow.why
    sns.simulator.misbehave(Fault(200, body="x" * 70_000))
    endless = fetch(url, timeout_s=WAIT_S)
    assert isinstance(endless, Unfetched)
    assert "endless" in endless.why


def test_what_is_no_certificate_proves_nothing(sns, signer):
    for pem in (b"", b"not a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        source = SnsSource(Sns(topics=(TOPIC,)), fetch=lambda url, pem=pem: pem, now=lambda: NOW)
        assert "no valid certificate" in source.genuine(raw(signer.sign(notification())), {}).reason


def test_a_certificate_that_has_lapsed_proves_nothing():
    old = Signer(until=NOW - timedelta(days=1))
    source = SnsSource(Sns(topics=(TOPIC,)), fetch=lambda url: old.pem, now=lambda: NOW)
    assert "no valid certificate" in source.genuine(raw(old.sign(notification())), {}).reason


def test_made_up_certificates_are_not_fetched_as_often_as_anybody_likes(signer):
    asked = []

    def absent(url: str) -> Unfetched:
        asked.append(url)
        return Unfetched("it was answered with status 404")

    now = [NOW]
    certificates = Certificates(fetch=absent, now=lambda: now[0])
    for number in range(40):
        assert isinstance(certificates.key(f"{CERTIFICATE}{number}"), Unfetched)
    assert len(asked) == 10
    now[0] += timedelta(minutes=1)
    certificates.key(CERTIFICATE)
    assert len(asked) == 11


@pytest.mark.parametrize("age", [timedelta(days=1, minutes=4), timedelta(minutes=-20)])
def test_an_old_message_is_a_replay(source, signer, age):
    at = (NOW - age).isoformat()
    assert "Timestamp" in source.genuine(raw(signer.sign(notification(Timestamp=at))), {}).reason


def test_raw_delivery_is_refused_with_what_to_do(source):
    refused = source.genuine(b'{"AlarmName": "x"}', {"x-amz-sns-rawdelivery": "true"})
    assert "switch raw message delivery off" in refused.reason


def test_a_subscription_to_an_allowed_topic_is_confirmed_beside_the_request(source, sns, signer):
    with capture_logs() as told:
        read = source.read(raw(signer.sign(confirmation())), {})
        assert read == Read((), why_none="a subscription")
        assert sns.done.wait(WAIT_S)
        for thread in threading.enumerate():
            if thread.name == "sns-confirm":
                thread.join(WAIT_S)
    assert sns.asked == [CONFIRM]
    assert [each["event"] for each in told] == ["sns_subscription_confirmed"]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/?Action=ConfirmSubscription&TopicArn=" + TOPIC,
        CONFIRM.replace("https:", "http:"),
        CONFIRM.replace("ConfirmSubscription", "DeleteTopic"),
        CONFIRM.replace(":alarms", ":others"),
        CONFIRM + "&TopicArn=" + TOPIC,
        CONFIRM.replace("amazonaws.com/", "amazonaws.com/path"),
        "",
    ],
)
def test_nothing_else_is_ever_visited(source, sns, url):
    assert isinstance(source.read(raw(confirmation(SubscribeURL=url)), {}), Malformed)
    assert sns.asked == []


def test_a_subscription_to_another_topic_is_not_confirmed(source, sns):
    other = TOPIC.replace(":alarms", ":others")
    message = confirmation(TopicArn=other, SubscribeURL=CONFIRM.replace(TOPIC, other))
    assert isinstance(source.read(raw(message), {}), Malformed)
    assert sns.asked == []


def test_a_subscription_that_could_not_be_confirmed_is_told_with_what_to_do(source, sns):
    sns.simulator.misbehave(Fault(500))
    with capture_logs() as told:
        source.read(raw(confirmation()), {})
        assert sns.done.wait(WAIT_S)
        for thread in threading.enumerate():
            if thread.name == "sns-confirm":
                thread.join(WAIT_S)
    (line,) = told
    assert line["event"] == "sns_subscription_not_confirmed"
    assert "subscribe again" in line["fix"]


def test_an_unsubscription_is_told_in_the_log_and_undone_by_nobody(source, sns):
    with capture_logs() as told:
        read = source.read(raw(confirmation("UnsubscribeConfirmation")), {})
    assert read == Read((), why_none="an unsubscription")
    assert told[0]["event"] == "sns_unsubscribed"
    assert sns.asked == []


def test_a_notification_is_read_whatever_its_content_type_says(source, signer):
    read = source.read(raw(signer.sign(notification())), {"content-type": "text/plain; charset=UTF-8"})
    assert read.events[0].type is EventType.TRIGGERED
