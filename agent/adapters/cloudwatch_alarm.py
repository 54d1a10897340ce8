"""A CloudWatch alarm, as it stands in the message of an SNS notification: JSON within JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from agent.adapters.json_view import child, clean, items_at, scalar, text_at
from agent.adapters.sns_message import SnsMessage
from agent.adapters.webhook_body import TEXT_MAX, TITLE_MAX, fingerprint, labels_of, object_in, time_of
from agent.domain.alert import Alert, Severity
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.ports.sources import Malformed, Read

_SOURCE = "sns"
_EVENTS = {"ALARM": EventType.TRIGGERED, "OK": EventType.RESOLVED}
_NO_WORK = frozenset({"INSUFFICIENT_DATA"})
_ARN = re.compile(r"arn:aws[a-z-]*:cloudwatch:([a-z0-9-]{1,30}):([0-9]{1,20}):alarm:.{1,512}", re.ASCII)
#: Dimensions that name what a runbook calls the service.
_SERVICE_DIMENSIONS = ("ServiceName", "FunctionName", "DBInstanceIdentifier", "QueueName", "LoadBalancer")


def event_in(message: SnsMessage, *, severity: Severity | None = None) -> Read | Malformed:
    """The alarm's change of state; nothing if too little is known, or if it is no alarm at all."""
    text = clean(message.fields["Message"])
    alarm = object_in(text.encode())
    name = "" if isinstance(alarm, Malformed) else text_at(alarm, "AlarmName")
    if isinstance(alarm, Malformed) or not name:
        return Read((), why_none="not an alarm of CloudWatch")
    state = text_at(alarm, "NewStateValue")
    if state in _NO_WORK:
        return Read((), why_none="too little data")
    kind = _EVENTS.get(state)
    if kind is None:
        return Malformed(f"NewStateValue {state[:50]!r} is none of ALARM, OK, INSUFFICIENT_DATA")
    changed = time_of(child(alarm, "StateChangeTime")) or message.at
    key = _key(alarm, name)
    at = changed.isoformat() if changed is not None else message.message_id
    alert = _alert(alarm, name, key, f"{key}@{at}", severity)
    return Read(
        (
            SourceEvent(
                source=_SOURCE,
                delivery_id=f"sns:{fingerprint(message.topic, message.message_id)}",
                type=kind,
                name=f"alarm.{state.lower()}",
                source_id=alert.source_id,
                actor_kind=ActorKind.MACHINE,
                alert=alert,
                occurred_at=changed,
                # an alarm is in one state: its OK does not say since when, and ALARM again is the open one
                known_by_key=True,
            ),
        )
    )


def _key(alarm: object, name: str) -> str:
    """The alarm itself, the same each time it fires."""
    arn = text_at(alarm, "AlarmArn")
    if arn and len(arn) <= 1_000:
        return arn
    return f"{text_at(alarm, 'AWSAccountId')[:50]}/{text_at(alarm, 'Region')[:100]}/{name[:500]}"


def _alert(alarm: object, name: str, key: str, source_id: str, severity: Severity | None) -> Alert:
    trigger = child(alarm, "Trigger")
    dimensions = _dimensions(trigger)
    texts = (text_at(alarm, each) for each in ("AlarmDescription", "NewStateReason", "AlarmRule"))
    named = (dimensions[each] for each in _SERVICE_DIMENSIONS if each in dimensions)
    region, account = _place(key)
    labels = {
        "alarm": name,
        "account": text_at(alarm, "AWSAccountId") or account,
        "region": region,
        "namespace": text_at(trigger, "Namespace"),
        "metric": text_at(trigger, "MetricName"),
        "threshold": scalar(child(trigger, "Threshold")),
        "old_state": text_at(alarm, "OldStateValue"),
        **{f"dimension.{each}": value for each, value in dimensions.items()},
    }
    return Alert(
        source=_SOURCE,
        source_id=source_id,
        title=name[:TITLE_MAX],
        body="\n".join(filter(None, texts))[:TEXT_MAX],
        service=next(named, ""),
        severity=severity,
        labels=labels_of(labels),
        url=_console(key, region, name),
        dedup_key=key,
        fired_at=time_of(child(alarm, "StateChangeTime")),
    )


def _dimensions(trigger: object) -> Mapping[str, str]:
    """Of a single metric, else of the first of several that has any."""
    lists = [
        items_at(trigger, "Dimensions"),
        *(items_at(each, "MetricStat", "Metric", "Dimensions") for each in items_at(trigger, "Metrics")),
    ]
    first = next((each for each in lists if each), ())
    pairs = ((text_at(each, "name"), scalar(child(each, "value"))) for each in first)
    return {name: value for name, value in pairs if name and value}


def _place(key: str) -> tuple[str, str]:
    match = _ARN.fullmatch(key)
    return (match[1], match[2]) if match else ("", "")


def _console(key: str, region: str, name: str) -> str:
    """The alarm in the console, where its address is known: the commercial regions."""
    if not region or not key.startswith("arn:aws:"):
        return ""
    alarm = quote(name, safe="")
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#alarmsV2:alarm/{alarm}"
