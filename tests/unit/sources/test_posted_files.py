"""A file that holds what a source posts is an alert, as the daemon reads it."""

import json
from pathlib import Path

import pytest

from agent.adapters.alert_file import AlertFileError, read_alert
from tests.unit.sources.sns_signing import confirmation, notification

GRAFANA = {
    "status": "firing",
    "labels": {"alertname": "Disk"},
    "startsAt": "2026-01-05T04:10:00Z",
    "fingerprint": "a",
}
OVER = {**GRAFANA, "status": "resolved", "labels": {"alertname": "Other"}}


def read(directory: Path, data):
    path = directory / "alert.json"
    path.write_text(json.dumps(data))
    return read_alert(path)


@pytest.mark.parametrize(
    ("posted", "source", "title"),
    [
        ({"action": "Create", "alert": {"alertId": "1", "message": "Redis"}}, "opsgenie", "Redis"),
        ({"version": "1", "alerts": [OVER, GRAFANA]}, "grafana", "Disk"),
        ({"orgId": 1, "alerts": [OVER]}, "grafana", "Other"),
        (notification(), "sns", "checkout errors"),
    ],
)
def test_what_a_source_posts_is_told_apart(tmp_path, posted, source, title):
    alert = read(tmp_path, posted)
    assert (alert.source, alert.title) == (source, title)


@pytest.mark.parametrize(
    ("posted", "why"),
    [
        (confirmation(), "without an alert: a subscription"),
        (notification("words"), "without an alert: not an alarm of CloudWatch"),
        ({"action": "AddNote", "alert": {"alertId": "1"}}, "without an alert: no work for the agent"),
        ({"version": "1", "alerts": [{"status": "?"}]}, "webhook of grafana, but alerts[0]"),
    ],
)
def test_one_without_an_alert_is_told_with_words(tmp_path, posted, why):
    with pytest.raises(AlertFileError) as told:
        read(tmp_path, posted)
    assert why in str(told.value)
