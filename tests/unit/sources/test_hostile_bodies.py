"""Whatever is posted to a source, it is read, or told with words; never an error."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters import grafana_webhook, opsgenie_webhook
from agent.adapters.cloudwatch_alarm import event_in
from agent.adapters.generic_webhook import GenericSource
from agent.adapters.sns_message import SnsMessage, message_in
from agent.adapters.webhook_body import time_of
from agent.config.sources import Generic
from agent.domain.alert import Alert
from agent.ports.sources import Malformed, Read
from tests.unit.sources.sns_signing import ALARM, confirmation, notification

MAPPED = GenericSource(
    "acme",
    Generic(
        mapping={
            "title": "title || monitor.name",
            "id": "id",
            "labels": "labels",
            "body": "@",
            "severity": "severity",
            "status": "status",
            "fired_at": "at",
        }
    ),
)
LISTED = GenericSource(
    "acme", Generic(mapping={"alerts": "alerts[]", "title": "title", "dedup_key": "id", "fired_at": "at"})
)


def sns(raw):
    message = message_in(raw)
    return (
        event_in(message) if isinstance(message, SnsMessage) and message.type == "Notification" else message
    )


READERS = {
    "opsgenie": opsgenie_webhook.read,
    "grafana": grafana_webhook.read,
    "sns": sns,
    "mapped": lambda raw: MAPPED.read(raw, {}),
    "listed": lambda raw: LISTED.read(raw, {}),
}
BODIES = [
    b"",
    b"\xff\xfe\x00",
    b"not json",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"[]",
    b"null",
    b"3",
    b'"text"',
    b'{"a": NaN}',
    b'{"a": 1, "a": 2}',
    b"9" * 5_000,
    b'{"alerts": [' + b"null," * 1_000 + b"null]}",
    b" " * (1024 * 1024 + 1),
    json.dumps({"title": "\ud800\x00", "id": "\udfff"}).encode(),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("raw", BODIES, ids=range(len(BODIES)))
def test_a_hostile_body_is_told_with_words(reader, raw):
    assert isinstance(READERS[reader](raw), Read | Malformed | SnsMessage)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["firing", "resolved", "Create", "2026-01-05T04:17:23Z", "P1", "ALARM", "0001-01-01T00:00:00Z"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = {
    "opsgenie": (
        "action",
        "source",
        "alert.alertId",
        "alert.tags",
        "alert.priority",
        "alert.createdAt",
        "alert.details",
    ),
    "grafana": (
        "orgId",
        "externalURL",
        "alerts.0.status",
        "alerts.0.labels",
        "alerts.0.values",
        "alerts.0.startsAt",
    ),
    "sns": ("Message", "TopicArn", "Timestamp", "SubscribeURL", "SigningCertURL"),
    "mapped": ("title", "id", "labels", "severity", "status", "at"),
    "listed": ("alerts.0.title", "alerts.0.id", "alerts.0.at", "alerts"),
}
GOOD = {
    "opsgenie": {"action": "Create", "source": {"type": "web"}, "alert": {"alertId": "a", "message": "m"}},
    "grafana": {
        "alerts": [
            {"status": "firing", "labels": {"a": "b"}, "values": {}, "startsAt": "2026-01-05T04:17:23Z"}
        ]
    },
    "sns": notification(),
    "mapped": {"title": "t", "id": 1},
    "listed": {"alerts": [{"title": "t", "id": 1, "at": 1767589043}]},
}


def put(value, path, junk):
    name, _, rest = path.partition(".")
    key = int(name) if isinstance(value, list) else name
    changed = list(value) if isinstance(value, list) else dict(value)
    changed[key] = put(changed[key], rest, junk) if rest else junk
    return changed


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_field_of_any_type_is_read_or_told(reader, data):
    path = data.draw(st.sampled_from(KEYS[reader]))
    raw = json.dumps(put(GOOD[reader], path, data.draw(JUNK))).encode()
    found = READERS[reader](raw)
    assert isinstance(found, Read | Malformed | SnsMessage)
    if isinstance(found, Read):
        for event in found.events:
            assert isinstance(event.alert, Alert)
            assert event.delivery_id
            event.delivery_id.encode()
            event.alert.title.encode()


@settings(max_examples=100, deadline=None)
@given(path=st.sampled_from(sorted(ALARM)), junk=JUNK)
def test_an_alarm_with_a_field_of_any_type_is_read_or_told(path, junk):
    found = sns(json.dumps(notification({**ALARM, path: junk})).encode())
    assert isinstance(found, Read | Malformed)


@settings(max_examples=100, deadline=None)
@given(path=st.sampled_from(sorted(confirmation())), junk=st.text(max_size=30))
def test_the_addresses_in_a_message_are_looked_at_without_an_error(path, junk):
    message = message_in(
        json.dumps(confirmation(**({path: junk} if path != "Type" else {"kind": junk}))).encode()
    )
    if isinstance(message, SnsMessage):
        assert message.confirm_url in ("", confirmation()["SubscribeURL"])
        assert message.certificate_url in ("", confirmation()["SigningCertURL"])


@given(value=JUNK)
def test_a_time_is_one_or_none(value):
    at = time_of(value)
    assert at is None or at.tzinfo is not None
