"""The configuration that goes with the simulators: what a user would write, with their addresses."""

from __future__ import annotations

import json

from agent.simulators.pagerduty import WEBHOOK_SECRET, PagerDutySimulator
from agent.simulators.slack import SlackSimulator

#: Whoever tries it out, in the simulated Slack.
YOU = "U0YOU"


def config_text(
    pagerduty: PagerDutySimulator,
    slack: SlackSimulator,
    *,
    port: int = 8080,
    database: str = "data/oncall.db",
    runbooks: str = "runbooks",
    you: str = "you",
) -> str:
    """A whole config.yaml; secrets stand in the environment, as they would in production.

    `you` is whoever tries it out: in Slack, in the console, and as a user of this machine.
    """
    return f"""\
server:
  host: 127.0.0.1
  port: {port}
  public_url: http://127.0.0.1:{port}
database:
  url: sqlite:///{database}
runbooks:
  path: {runbooks}
pagerduty:
  api_url: {pagerduty.url}
  events_url: {pagerduty.url}
  from_email: {pagerduty.from_email}
  api_token: {{env: PAGERDUTY_API_TOKEN}}
  routing_key: {{env: PAGERDUTY_ROUTING_KEY}}
  webhook_secrets: [{{env: PAGERDUTY_WEBHOOK_SECRET}}]
slack:
  api_url: {slack.api_url}
  bot_token: {{env: SLACK_BOT_TOKEN}}
  signing_secret: {{env: SLACK_SIGNING_SECRET}}
  channel: "#incidents"
people:
  - {{name: {json.dumps(you)}, role: admin, slack: {YOU}}}
"""


def environment(pagerduty: PagerDutySimulator, slack: SlackSimulator) -> dict[str, str]:
    """The secrets that the simulators accept; they open nothing else."""
    return {
        "PAGERDUTY_API_TOKEN": pagerduty.api_token,
        "PAGERDUTY_ROUTING_KEY": pagerduty.routing_key,
        "PAGERDUTY_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_SIGNING_SECRET": slack.hands.signing_secret,
    }
