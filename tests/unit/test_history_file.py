"""An exported history: PagerDuty's incidents as they are, or our own form; a bad line is named."""

import json
from datetime import UTC, datetime

import pytest

from agent.adapters.alert_file import AlertFileError
from agent.adapters.history_file import read_history
from agent.domain.alert import Severity

INCIDENT = {
    "id": "Q1",
    "title": "Disk is full",
    "created_at": "2026-03-02T09:30:00Z",
    "urgency": "high",
    "service": {"id": "P1", "summary": "orders-db"},
}
ALERT = {"status": "resolved", "severity": "warning", "body": {"details": {"pod": "db-0"}}}


def history(tmp_path, *lines):
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return list(read_history(path))


@pytest.mark.parametrize(
    "line",
    [
        {**INCIDENT, "alerts": [ALERT], "runbook": "disk"},
        {"incident": INCIDENT, "alerts": [ALERT], "runbook": "disk"},
    ],
)
def test_an_incident_of_pagerduty_is_read_with_its_alerts(tmp_path, line):
    (past,) = history(tmp_path, line)
    assert (past.id, past.runbook) == ("Q1", "disk")
    assert past.at == datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    assert (past.alert.title, past.alert.service) == ("Disk is full", "orders-db")
    assert past.alert.severity is Severity.WARNING
    assert past.alert.labels == {"pod": "db-0"}


def test_our_own_form_may_have_an_id_a_time_and_a_label_beside(tmp_path):
    named, plain = history(
        tmp_path,
        {
            "id": "7",
            "title": "Down",
            "fired_at": "2026-03-02T09:30:00",
            "runbook": None,
            "labels": {"a": "b"},
        },
        "",
        {"title": "Up"},
    )
    assert (named.id, named.runbook, named.alert.labels) == ("7", "", {"a": "b"})
    assert named.at == datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    assert (plain.id, plain.at, plain.runbook) == ("3", None, None)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", ":2 is not JSON"),
        ("[" * 100_000, ":2 is not JSON"),
        ("[]", ":2 must be one JSON object"),
        ('{"titel": "x"}', ":2: unknown key titel"),
        ('{"body": "x"}', ":2: no title"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, line, words):
    with pytest.raises(AlertFileError, match=words):
        history(tmp_path, INCIDENT, line)


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path):
    with pytest.raises(AlertFileError, match="cannot be read"):
        list(read_history(tmp_path / "none"))
    (tmp_path / "x").write_bytes(b"\xff")
    with pytest.raises(AlertFileError, match="not UTF-8"):
        list(read_history(tmp_path / "x"))
