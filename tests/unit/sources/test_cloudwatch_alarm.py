"""A CloudWatch alarm inside an SNS notification."""

import json
from pathlib import Path

import pytest

from agent.adapters.cloudwatch_alarm import event_in
from agent.adapters.sns_message import SnsMessage, message_in
from agent.domain.alert import Severity
from agent.domain.source_event import EventType
from agent.ports.sources import Malformed, Read
from tests.unit.sources.sns_signing import ALARM, notification, raw

SAMPLES = Path(__file__).resolve().parents[4] / "shared/contracts/cloudwatch-sns"


def read(said=None, **changed):
    message = message_in(raw(notification(said, **changed)))
    assert isinstance(message, SnsMessage)
    return event_in(message)


def event(said=None, **changed):
    (one,) = read(said, **changed).events
    return one


def test_an_alarm_is_read_whole():
    found = event()
    alert = found.alert
    assert found.type is EventType.TRIGGERED
    assert (alert.title, alert.service, alert.severity) == ("checkout errors", "checkout", None)
    assert alert.body.splitlines()[0] == "Too many 5xx"
    assert alert.dedup_key == ALARM["AlarmArn"]
    assert alert.labels["dimension.ClusterName"] == "prod"
    assert (alert.labels["region"], alert.labels["threshold"]) == ("us-east-1", "5")
    assert alert.url == (
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        "#alarmsV2:alarm/checkout%20errors"
    )


def test_an_alarm_is_the_same_each_time_and_its_incident_is_another():
    one, again = event(), event({"StateChangeTime": "2026-01-05T05:00:00.000+0000"})
    assert one.alert.identity == again.alert.identity
    assert one.source_id != again.source_id


def test_what_is_ok_again_is_found_by_its_alarm():
    over = event({"NewStateValue": "OK", "StateChangeTime": "2026-01-05T04:30:00.000+0000"})
    assert over.type is EventType.RESOLVED
    assert over.known_by_key
    assert over.alert.identity == event().alert.identity


def test_the_delivery_is_the_message():
    one = event()
    assert event({"AlarmDescription": "changed"}).delivery_id == one.delivery_id
    assert event(MessageId="another").delivery_id != one.delivery_id


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"NewStateValue": "INSUFFICIENT_DATA"}, "too little data"),
        ("just words", "not an alarm of CloudWatch"),
        ("[1, 2]", "not an alarm of CloudWatch"),
        ("{}", "not an alarm of CloudWatch"),
    ],
)
def test_what_is_no_alarm_starts_nothing(said, why):
    assert read(said) == Read((), why_none=why)


def test_a_state_that_does_not_exist_is_malformed():
    assert isinstance(read({"NewStateValue": "PANIC"}), Malformed)


def test_the_severity_is_the_operators_choice():
    message = message_in(raw(notification()))
    assert event_in(message, severity=Severity.ERROR).events[0].alert.severity is Severity.ERROR


def test_a_composite_alarm_has_a_rule_and_no_metric():
    alarm = {**ALARM, "AlarmRule": 'ALARM("checkout errors")', "Trigger": None}
    alert = event(json.dumps(alarm)).alert
    assert 'ALARM("checkout errors")' in alert.body
    assert alert.service == ""


def test_an_alarm_over_several_metrics_has_the_dimensions_of_the_first_that_has_any():
    metric = {"Metric": {"MetricName": "Errors", "Dimensions": [{"name": "FunctionName", "value": "resize"}]}}
    trigger = {"Metrics": [{"Expression": "m1*1"}, {"MetricStat": metric}], "Threshold": 0.0}
    assert event({"Trigger": trigger}).alert.service == "resize"


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded payloads are beside the repository, not in it")
@pytest.mark.parametrize("name", ["single-metric", "multiple-metrics"])
def test_recorded_alarms_are_read(name):
    record = json.loads((SAMPLES / f"lambda.cloudwatch-alarm-sns-payload-{name}.json").read_text())
    said = record["Records"][0]["Sns"]["Message"]
    alert = event(said).alert
    assert alert.title == "EXAMPLE"
    assert alert.labels["dimension.InstanceId"] == "TestInstance"


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded payloads are beside the repository, not in it")
def test_the_documented_subscription_message_names_its_topic_and_where_to_confirm():
    sample = json.loads((SAMPLES / "http-subscription-confirmation.json").read_text())["body"]
    message = message_in(raw(sample))
    assert message.confirm_url == sample["SubscribeURL"]
    assert message.certificate_url == sample["SigningCertURL"]
