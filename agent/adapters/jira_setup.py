"""Jira's tracker as `config.yaml` describes it; nothing is asked of Jira before its first ticket."""

from __future__ import annotations

from agent.adapters.jira_client import JiraClient
from agent.adapters.jira_tracker import Closing, JiraTracker
from agent.config.jira import Jira


def tracker_from(section: Jira) -> JiraTracker:
    """Built of its section; the token is read when it is first needed, and anew after it was refused."""
    token, ends = section.api_token, section.closing
    client = JiraClient(
        section.url,
        email=section.email,
        token=lambda: token.resolve().reveal(),
        is_cloud=section.deployment == "cloud",
        timeout_s=section.timeout_s,
    )
    closing = Closing(
        finish=ends.finish,
        on_the_way=ends.on_the_way,
        false_positive=ends.false_positive,
        resolutions={action.value: name for action, name in ends.resolutions.items()},
        otherwise=ends.otherwise,
    )
    return JiraTracker(
        client, closing=closing, field_ids=section.fields.by_name(), site_url=section.site_url or ""
    )
