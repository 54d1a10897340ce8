from agent.domain.alert import Alert, Severity
from agent.safety.redaction import MASK, Redactor
from agent.safety.redaction_alert import redacted_alert

CANARY = "canary-7f3a9b2c"
ALERT = Alert(
    "pagerduty",
    "Q1ABC",
    f"login with {CANARY} failed",
    body="password=hunter2 is wrong",
    service=f"api {CANARY}",
    severity=Severity.ERROR,
    priority=CANARY,
    team=CANARY,
    environment=CANARY,
    labels={"pod": "web-1", "db_password": "hunter2", "note": f"x {CANARY}"},
    url=f"https://u:{CANARY}@grafana.internal/d/1",
    dedup_key="pod/web-1",
)


def test_no_text_of_an_alert_keeps_a_secret():
    redacted = redacted_alert(Redactor([CANARY]), ALERT)
    assert CANARY not in str(redacted)
    assert "hunter2" not in str(redacted)


def test_what_an_alert_is_found_again_by_stays():
    redacted = redacted_alert(Redactor([CANARY]), ALERT)
    assert (redacted.source, redacted.source_id, redacted.dedup_key) == ("pagerduty", "Q1ABC", "pod/web-1")
    assert redacted.severity is Severity.ERROR


def test_a_label_that_is_called_a_secret_is_masked_and_the_others_stay():
    labels = redacted_alert(Redactor([]), ALERT).labels
    assert labels == {"pod": "web-1", "db_password": MASK, "note": f"x {CANARY}"}


def test_an_alert_without_secrets_is_the_same():
    alert = Alert("pagerduty", "Q1", "Redis timeout", labels={"pod": "web-1"}, dedup_key="x")
    assert redacted_alert(Redactor([CANARY]), alert) == alert
