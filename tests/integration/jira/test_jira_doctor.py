"""`doctor` looks custom fields up by name, and says what Jira does not let us do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.cli.checks import Check, Grade
from agent.cli.doctor_jira import jira_checks
from agent.config import parse
from agent.simulators.jira import EMAIL, TOKEN, JiraSimulator
from agent.simulators.server import Fault


def checks(jira: JiraSimulator, folder: Path, *, token: str = TOKEN, **more: Any) -> list[Check]:
    (folder / "token").write_text(token)
    section = {
        "url": jira.url,
        "deployment": "cloud" if jira.is_cloud else "data_center",
        "email": EMAIL,
        "api_token": {"file": str(folder / "token")},
        **more,
    }
    return list(jira_checks(parse({"jira": section}, path="config.yaml")))


def fixes(found: list[Check]) -> list[str]:
    return [each.fix for each in found if each.name == "jira fields"]


def test_ids_are_looked_up_by_their_names(jira: JiraSimulator, tmp_path: Path) -> None:
    found = checks(jira, tmp_path)
    assert found[0].seen == "reached as On-call Agent; tickets go to AIGOV"
    assert fixes(found) == [
        f"set jira.fields.{name}: customfield_{10_100 + at}"
        for at, name in enumerate(("escalation_id", "policy_name", "model", "gateway_id", "console_url"))
    ]


def test_a_wrong_id_is_bad_and_the_right_one_is_named(jira: JiraSimulator, tmp_path: Path) -> None:
    fields = {
        "escalation_id": "customfield_9",
        "policy_name": "customfield_10102",
        "model": "customfield_10102",
    }
    escalation, policy, model = checks(jira, tmp_path, fields=fields)[1:4]
    assert (escalation.grade, escalation.fix) == (
        Grade.BAD,
        "set jira.fields.escalation_id: customfield_10100",
    )
    assert (policy.grade, policy.fix) == (Grade.NOTE, "set jira.fields.policy_name: customfield_10101")
    assert model.grade is Grade.OK


def test_what_the_project_does_not_have_is_told_before_a_ticket_is_refused(
    jira: JiraSimulator, tmp_path: Path
) -> None:
    found = checks(jira, tmp_path, issue_types={"block": "Incident"})[1]
    assert (found.grade, found.fix) == (Grade.BAD, "set jira.issue_types to some of Bug, Task, Story")
    assert "AIGOV has no issue type Incident" in found.seen
    gone = checks(jira, tmp_path, project="NONE")[1]
    assert gone.grade is Grade.BAD
    assert "jira.project" in gone.fix


def test_an_expired_token_is_told(jira: JiraSimulator, tmp_path: Path) -> None:
    (found,) = checks(jira, tmp_path, token="canary-token-000")
    assert found.grade is Grade.BAD
    assert "jira.api_token" in found.seen
    assert "canary" not in found.seen


def test_a_webhook_without_a_secret_is_told(jira: JiraSimulator, tmp_path: Path) -> None:
    assert checks(jira, tmp_path)[-1].seen.startswith("every webhook is refused")
    assert "whoever reaches" in checks(jira, tmp_path, allow_unsigned_webhooks=True)[-1].seen
    secret = [{"file": str(tmp_path / "token")}]
    assert checks(jira, tmp_path, webhook_secrets=secret)[-1].grade is Grade.OK


def test_a_jira_that_is_down_is_told(jira: JiraSimulator, tmp_path: Path) -> None:
    jira.misbehave(Fault(503, times=-1))
    (found,) = checks(jira, tmp_path)
    assert "503" in found.seen
    jira.behave()
