"""A simulated Slack before the site's client: presses go to the app in the same process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.adapters.inline_run import InlineRun
from agent.adapters.slack import SlackChat
from agent.config import parse
from agent.delivery.chat import ChatSender
from agent.pipeline.handle import handle
from agent.simulators.slack import SlackMessage, SlackSimulator, SlackUser
from agent.simulators.slack_presses import Answered, Wire
from tests.acceptance.conftest import wait_until
from tests.integration.web.conftest import Site
from tests.unit.pipeline.conftest import SETTINGS, runbook, step

ALICE, BOB, GRACE = "U0ALICE", "U0BOB", "U0GRACE"


class Workplace:
    """The simulated Slack before the site's client: presses go to the app in the same process."""

    def __init__(self, site: Site, slack: SlackSimulator) -> None:
        self.site = site
        self.slack = slack
        self.hands = slack.hands
        self.hands.now = lambda: site.world.clock.now().timestamp()
        self.configure()

    def configure(self, **sections: dict[str, Any]) -> None:
        """Before anything happens: plans wait for a yes, and what else is said."""
        world = self.site.world
        own = {"runbooks": {"default_autonomy": "approve"}, "people": self.site.settings["people"]}
        world.config = parse({**SETTINGS, **own, **sections}, path="config.yaml")
        world._context = None
        chat = SlackChat(self.slack.api_url, self.slack.bot_token, "#incidents", timeout_s=2.0)
        self._sender = ChatSender(world.context, world.store, chat)

    def send(self, wire: Wire) -> Answered:
        answer = self.site.client.post(wire.path, data=wire.body, headers=dict(wire.headers))
        return Answered(answer.status_code, answer.get_data(as_text=True))

    def type(self, user: str, text: str) -> str:
        answer = self.send(self.hands.typing(user, text))
        assert answer.status == 200, answer
        return answer.words

    def tell(self) -> None:
        for _ in range(10):
            self.site.world.clock.sleep(self._sender.deliver() or 0.2)

    def card(self) -> SlackMessage:
        """The question that stands in the thread."""
        self.tell()
        asked = [each for each in self.slack.messages() if each.thread_ts and each.blocks]
        return asked[-1]

    def press(self, user: str, action: str, message: SlackMessage | None = None) -> str:
        """Press, and give what only this person is told."""
        before = len(self.hands.whispers(user))
        answer = self.send(self.hands.pressing(user, message or self.card(), f"oncall:{action}"))
        assert (answer.status, answer.body) == (200, "")
        said: str = wait_until(lambda: self.hands.whispers(user)[before:], "somebody is told")[-1]
        return said

    def waiting(self, meanwhile: Callable[[str], object], *, command: str = "redis-cli PING") -> str:
        """An incident that waits for an approval while somebody does something in Slack."""
        world = self.site.world
        world.runbook(runbook(steps=step(1, command)))
        world.answers(command, "PONG")
        world.context.library.reload()
        incident_id = world.receive()
        done: list[object] = []

        def wait(_: str) -> bool:
            if done:
                return False
            done.append(meanwhile(incident_id))
            return True

        handle(InlineRun(world.clock, woken=wait), world.context, incident_id)
        self.tell()
        return incident_id


def populate(slack: SlackSimulator) -> None:
    """Three people with an account, and a group."""
    for user in (
        SlackUser(ALICE, "alice", "alice@example.com"),
        SlackUser(BOB, "bob", "bob@example.com"),
        SlackUser(GRACE, "grace", "grace@example.com"),
    ):
        slack.people.add(user)
    slack.people.group("S0APPROVERS", [GRACE, "U0GUEST", "U0BOT", "U0GONE", "U0ELSEWHERE"])


def workplace(site: Site, slack: SlackSimulator) -> Workplace:
    """A site that is connected to this Slack, and knows some of its people."""
    site.settings["slack"] = {
        "api_url": slack.api_url,
        "bot_token": site.secret("bot", slack.bot_token),
        "signing_secret": site.secret("signing", slack.hands.signing_secret),
        "groups": {"S0APPROVERS": "approver"},
    }
    site.settings["people"] = [
        {"name": "alice", "role": "approver", "slack": ALICE},
        {"name": "bob", "role": "responder", "email": "bob@example.com"},
        {"name": "vera", "role": "viewer", "slack": "U0VERA"},
        {"name": "root", "role": "admin", "slack": "U0ROOT"},
    ]
    return Workplace(site, slack)
