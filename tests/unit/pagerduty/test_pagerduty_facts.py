import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.pagerduty_facts import facts_of
from agent.domain.alert import Severity, Urgency
from agent.ports import SourceFacts

CONTRACTS = Path(__file__).resolve().parents[4] / "shared/contracts"

INCIDENT = {
    "title": "Checkout is slow",
    "status": "triggered",
    "urgency": "low",
    "service": {"summary": "checkout"},
    "priority": {"summary": "P2"},
    "teams": [{"summary": "Payments"}],
}


def block(*alerts):
    parts = []
    for labels, summary in alerts:
        lines = "".join(f" - {key} = {value}\n" for key, value in labels.items())
        parts.append(
            f"Labels:\n{lines}Annotations:\n - summary = {summary}\nSource: http://prom.example.com/g\n"
        )
    return "".join(parts)


def alert(details=None, *, severity="warning", status="triggered", key="k1", cef=None, **more):
    body = {"details": details}
    if cef is not None:
        body["cef_details"] = cef
    return {
        "summary": "Latency",
        "severity": severity,
        "status": status,
        "alert_key": key,
        "body": body,
        **more,
    }


def test_the_incident_says_what_it_is_about():
    facts = facts_of(INCIDENT, [])
    assert facts == SourceFacts(
        title="Checkout is slow",
        status="triggered",
        service="checkout",
        urgency=Urgency.LOW,
        priority="P2",
        team="Payments",
    )


def test_severity_is_the_worst_of_the_open_alerts():
    alerts = [alert(severity="info"), alert(severity="error"), alert(severity="critical", status="resolved")]
    assert facts_of(INCIDENT, alerts).severity is Severity.ERROR


def test_severity_is_the_worst_of_all_when_none_is_open():
    alerts = [alert(severity="info", status="resolved"), alert(severity="error", status="resolved")]
    assert facts_of(INCIDENT, alerts).severity is Severity.ERROR


@pytest.mark.parametrize("word", [None, "", "CRITICAL", "fatal", 3, ["critical"]])
def test_a_severity_that_pagerduty_does_not_have_is_none(word):
    assert facts_of(INCIDENT, [alert(severity=word)]).severity is None


def test_severity_may_stand_in_the_cef_details_alone():
    assert facts_of(INCIDENT, [alert(severity=None, cef={"severity": "error"})]).severity is Severity.ERROR


def test_details_become_labels_as_text_trimmed_and_flattened():
    details = {
        "env": " prod \n   ",
        "replicas": 3,
        "ratio": 0.5,
        "whole": 2.0,
        "canary": False,
        "hosts": ["a", "b", None],
        "pod": {"name": "web-1", "node": {"zone": "eu-1"}},
        "nothing": None,
        "empty": "",
    }
    assert facts_of(INCIDENT, [alert(details)]).labels == {
        "env": "prod",
        "replicas": "3",
        "ratio": "0.5",
        "whole": "2",
        "canary": "false",
        "hosts": "a, b",
        "pod.name": "web-1",
        "pod.node.zone": "eu-1",
    }


def test_details_may_stand_in_the_cef_details_alone():
    labels = facts_of(
        INCIDENT, [alert(None, cef={"details": {"env": "prod"}, "source_origin": "web-1"})]
    ).labels
    assert labels == {"env": "prod", "source": "web-1"}


def test_labels_come_out_of_alertmanagers_text_block():
    firing = block(({"alertname": "Slow", "pod": "web-1 ", "expr": "a = b"}, "It is slow"))
    labels = facts_of(INCIDENT, [alert({"firing": firing, "num_firing": "1", "resolved": ""})]).labels
    assert labels == {"alertname": "Slow", "pod": "web-1", "expr": "a = b", "num_firing": "1"}


@pytest.mark.parametrize("as_text", [False, True])
def test_labels_come_out_of_alertmanagers_json_array(as_text):
    firing = [
        {
            "status": "firing",
            "labels": {"alertname": "Slow", "pod": " web-1"},
            "annotations": {"summary": "S"},
        }
    ]
    details = {"firing": json.dumps(firing) if as_text else firing, "num_firing": 1, "resolved": []}
    labels = facts_of(INCIDENT, [alert(details)]).labels
    assert labels == {"alertname": "Slow", "pod": "web-1", "num_firing": "1"}


@pytest.mark.parametrize("firing", ["[broken", "[" * 100_000, "3 alerts", "", 5, {"labels": {"a": "b"}}])
def test_a_firing_field_of_another_form_names_no_labels_of_alerts(firing):
    assert "pod" not in facts_of(INCIDENT, [alert({"firing": firing})]).labels


def test_a_label_in_which_the_alerts_of_a_group_differ_is_no_label_of_the_incident():
    firing = block(
        ({"alertname": "Slow", "pod": "web-1"}, "one"), ({"alertname": "Slow", "pod": "web-2"}, "two")
    )
    assert facts_of(INCIDENT, [alert({"firing": firing})]).labels == {"alertname": "Slow"}


def test_a_label_in_which_the_alerts_of_the_incident_differ_is_no_label_of_it():
    alerts = [alert({"pod": "web-1", "env": "prod"}), alert({"pod": "web-2", "zone": "eu"})]
    assert facts_of(INCIDENT, alerts).labels == {"env": "prod", "zone": "eu"}


def test_resolved_alerts_do_not_add_labels_while_one_is_open():
    alerts = [alert({"pod": "old"}, status="resolved"), alert({"pod": "new"})]
    assert facts_of(INCIDENT, alerts).labels == {"pod": "new"}


def test_an_annotation_that_imitates_a_label_block_adds_no_label():
    firing = block(({"alertname": "Slow"}, "text\nLabels:\n - pod = postgres-0\n - namespace = payments"))
    assert facts_of(INCIDENT, [alert({"firing": firing})]).labels == {}
    firing = block(({"alertname": "Slow"}, "text\nLabels:\n - alertname = Slow\n - pod = postgres-0"))
    assert facts_of(INCIDENT, [alert({"firing": firing})]).labels == {"alertname": "Slow"}


def test_prose_is_in_the_body_and_not_a_label():
    prose = "x" * 2000
    facts = facts_of(INCIDENT, [alert({"description": prose})])
    assert facts.labels == {}
    assert prose in facts.body


def test_the_body_reads_as_text_and_says_nothing_twice():
    details = {"description": "The p99 is above 2 s", "firing": block(({"pod": "web-1"}, "It is slow"))}
    cef = {"description": "Latency", "details": details}
    body = facts_of(INCIDENT, [alert(details, cef=cef), alert(details, cef=cef)]).body
    assert body.count("Latency") == 1
    assert body.count("The p99 is above 2 s") == 1
    assert " - summary = It is slow" in body


def test_the_json_form_of_alertmanager_is_readable_in_the_body():
    firing = [{"labels": {"pod": "web-1"}, "annotations": {"summary": "It is slow"}}]
    assert "summary: It is slow" in facts_of(INCIDENT, [alert({"firing": firing})]).body


def test_details_that_are_a_text_are_the_body():
    assert facts_of(INCIDENT, [alert("disk is full on db-1")]).body == "Latency\ndisk is full on db-1"


def test_a_long_body_is_cut():
    assert len(facts_of(INCIDENT, [alert("x" * 100_000)]).body) == 16_000


def test_keys_clients_and_links_are_told_once_each():
    contexts = [
        {"type": "link", "href": "https://wiki.example.com/runbook"},
        {"type": "image", "src": "https://img.example.com"},
        {"type": "link", "href": "javascript:alert(1)"},
        {"type": "link"},
        None,
    ]
    one = alert({}, cef={"client": "Alertmanager", "contexts": contexts})
    one["body"]["contexts"] = contexts
    facts = facts_of(INCIDENT, [one, alert({}, key="k2"), one])
    assert facts.alert_keys == ("k1", "k2")
    assert facts.clients == ("Alertmanager",)
    assert facts.links == ("https://wiki.example.com/runbook",)


RUNBOOK = "https://wiki.example.com/runbooks/slow"


def test_links_to_runbooks_come_out_of_alertmanagers_text_block():
    firing = (
        f"Labels:\n - alertname = Slow\nAnnotations:\n - runbook_url = {RUNBOOK}\n - summary = It is slow\r\n"
        " - runbook = not a link\n - runbook_link = javascript:alert(1)\nSource: http://prom.example.com/g\n"
    )
    assert facts_of(INCIDENT, [alert({"firing": firing})]).links == (RUNBOOK,)


@pytest.mark.parametrize("as_text", [False, True])
def test_links_to_runbooks_come_out_of_alertmanagers_json_array(as_text):
    firing = [
        {
            "labels": {"alertname": "Slow"},
            "annotations": {"runbook": RUNBOOK, "dashboard": "https://g.example.com"},
        },
        {"labels": {"alertname": "Slow"}, "annotations": {"runbook": RUNBOOK}},
    ]
    details = {"firing": json.dumps(firing) if as_text else firing}
    assert facts_of(INCIDENT, [alert(details)]).links == (RUNBOOK,)


def test_links_of_details_that_stand_in_the_cef_details_alone_are_found():
    firing = f"Labels:\n - alertname = Slow\nAnnotations:\n - runbook_url = {RUNBOOK}\n"
    facts = facts_of(INCIDENT, [alert(None, cef={"details": {"firing": firing}})])
    assert (facts.links, facts.labels["alertname"]) == ((RUNBOOK,), "Slow")


def test_lines_of_a_text_block_may_end_as_windows_ends_them():
    firing = "Labels:\r\n - alertname = Slow\r\n - pod = web-1\r\nAnnotations:\r\nSource: x\r\n"
    assert facts_of(INCIDENT, [alert({"firing": firing})]).labels == {"alertname": "Slow", "pod": "web-1"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
KEYS = st.sampled_from(["summary", "severity", "status", "alert_key", "body", "title", "service", "teams"])
BODY_KEYS = st.sampled_from(["details", "cef_details", "contexts", "type"])


@given(JSON, st.lists(JSON))
def test_no_answer_of_another_shape_makes_reading_raise(incident, alerts):
    facts_of(incident, alerts)


@given(st.dictionaries(KEYS, JSON), st.dictionaries(KEYS, JSON), st.dictionaries(BODY_KEYS, JSON), JSON)
def test_no_field_of_another_type_makes_reading_raise(incident, alert_fields, body, firing):
    facts = facts_of({**INCIDENT, **incident}, [{**alert_fields, "body": body}, alert({"firing": firing})])
    for name, value in facts.labels.items():
        assert (name + value).encode()  # storable: no half characters
        assert value == value.strip()


@pytest.mark.skipif(not CONTRACTS.exists(), reason="the shared contracts are not at hand")
def test_the_collected_answer_is_read():
    answer = json.loads((CONTRACTS / "pagerduty/real.get-incident-alerts.alertmanager.2024.json").read_text())
    facts = facts_of(INCIDENT, answer["alerts"])
    assert facts.severity is Severity.WARNING
    assert facts.labels["alertname"] == "OpenSearchClusterYellow"
    assert facts.labels["instance"] == "prod-west-external-monitor"
    assert facts.clients == ("Alertmanager",)
    assert len(facts.links) == 3


@pytest.mark.skipif(not CONTRACTS.exists(), reason="the shared contracts are not at hand")
def test_every_recorded_event_of_alertmanager_yields_labels():
    for line in (CONTRACTS / "alertmanager/recorded.pagerduty-events-v2.jsonl").read_text().splitlines():
        body = json.loads(line)["body"]
        details = body.get("payload", {}).get("custom_details")
        if details and details.get("firing"):
            assert facts_of(INCIDENT, [alert(details)]).labels["alertname"]
