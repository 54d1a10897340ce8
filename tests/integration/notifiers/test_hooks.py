"""What is Teams' own, what is the webhook's own, and the sender that waits for each by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.adapters.teams import MAX_BYTES, Teams
from agent.adapters.webhook_out import WebhookOut
from agent.config import parse
from agent.delivery.hooks import HookSender
from agent.domain.errors import ConfigError, Reason, ServiceError
from agent.domain.outbox import Channel, HookNotice
from agent.domain.signing import sign, why_not_signed
from agent.ports import Notification
from agent.simulators.hooks import HooksSimulator
from agent.simulators.server import Fault
from agent.wiring import hooks_of
from tests.unit.delivery.conftest import Post
from tests.unit.pipeline.conftest import HookedSandbox, World

SAID = Notification((), "Redis", "Why: no runbook", "esc-1-created-0", {"service": "pay"})
PAGE = Path(__file__).parents[3] / "docs" / "notifications.md"


@pytest.fixture
def post(store: Store, clock: FakeClock, tmp_path: Path) -> Post:
    (tmp_path / "runbooks").mkdir()
    return Post(World(store, clock, tmp_path / "runbooks", HookedSandbox()))


def configured(hooks: HooksSimulator, tmp_path: Path) -> dict[str, Any]:
    for name, value in (("flow", hooks.teams_url), ("key", hooks.secret)):
        (tmp_path / name).write_text(value)
    return {
        "operations": {"kind": "teams", "url": {"file": str(tmp_path / "flow")}},
        "portal": {
            "kind": "webhook",
            "url": hooks.webhook_url,
            "secret": {"file": str(tmp_path / "key")},
        },
    }


def test_a_card_shows_subject_text_facts_and_links(hooks: HooksSimulator) -> None:
    Teams("operations", hooks.teams_url).notify(SAID)
    assert hooks.shown() == ["Redis\nWhy: no runbook\nservice: pay"]


def test_no_card_is_longer_than_teams_takes(hooks: HooksSimulator) -> None:
    much = Notification(
        (), "s" * 9_000, "\n".join("é" * 300 for _ in range(900)), "k", {"f" * 999: "v" * 9_999}
    )
    Teams("operations", hooks.teams_url).notify(much)
    (request,) = hooks.requests("/workflows")
    assert len(request.body.encode()) <= MAX_BYTES
    assert hooks.shown()[0].count("é") > 1_000


def test_a_webhook_names_its_message_so_that_twice_is_once(hooks: HooksSimulator) -> None:
    out = WebhookOut("portal", hooks.webhook_url, hooks.secret, SystemClock())
    out.notify(SAID)
    out.notify(SAID)
    assert [each["key"] for each in hooks.notifications] == [SAID.key] * 2
    assert {each.headers["X-Oncall-Delivery"] for each in hooks.requests("/hooks")} == {SAID.key}


def test_another_secret_is_refused_by_who_checks(hooks: HooksSimulator) -> None:
    with pytest.raises(ServiceError) as caught:
        WebhookOut("portal", hooks.webhook_url, "another-secret", SystemClock()).notify(SAID)
    assert caught.value.reason is Reason.AUTH
    assert not hooks.notifications


def test_a_redirect_is_not_followed(hooks: HooksSimulator) -> None:
    hooks.misbehave(Fault(307, headers={"Location": hooks.webhook_url}))
    with pytest.raises(ServiceError, match="redirects are not followed"):
        Teams("operations", hooks.teams_url).notify(SAID)
    assert not hooks.notifications


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("", "missing"),
        ("v1=00", "missing"),
        ("t=1000", "missing"),
        ("t=1000,t=1000,v1=00", "missing"),
        ("t=soon,v1=00", "no time"),
        ("t=1000,v1=00", "matches no secret"),
        ("t=1000,v1=\udcff", "matches no secret"),
        (sign("secret", b"body", at=1000) + "0", "matches no secret"),
        (sign("other", b"body", at=1000), "matches no secret"),
        (sign("secret", b"body!", at=1000), "matches no secret"),
        (sign("secret", b"body", at=1000 - 301), "from another time"),
        (sign("secret", b"body", at=1000 + 301), "from another time"),
    ],
)
def test_what_is_not_signed_lately_with_our_secret_is_told_so(header: str, why: str) -> None:
    assert why in why_not_signed(header, b"body", ["secret"], now=1000)


def test_a_secret_is_exchanged_without_a_gap() -> None:
    header = sign("new", b"body", at=1000)
    assert why_not_signed(header, b"body", ["old", "new"], now=1100) == ""
    assert (
        why_not_signed(
            f"{sign('old', b'body', at=1000)},{header.partition(',')[2]}", b"body", ["new"], now=1000
        )
        == ""
    )


def test_the_documented_check_takes_what_we_sign_and_nothing_else() -> None:
    snippet = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    made: dict[str, Any] = {}
    exec(snippet, made)
    body = json.dumps({"text": "é"}).encode()
    header = sign("secret", body, at=1_000)
    assert made["is_genuine"](body, header, "secret", now=1_010)
    assert not made["is_genuine"](body + b" ", header, "secret", now=1_010)
    assert not made["is_genuine"](body, header, "other", now=1_010)
    assert not made["is_genuine"](body, header, "secret", now=2_000)
    assert not made["is_genuine"](body, "", "secret", now=1_010)


def test_a_rule_tells_a_hook_and_the_timeline_says_so(
    post: Post, hooks: HooksSimulator, tmp_path: Path
) -> None:
    config = parse({"hooks": configured(hooks, tmp_path)}, path="config.yaml")
    incident_id = post.incident()
    post.put(
        incident_id, HookNotice("operations", "k-1", "Redis", "Why"), HookNotice("portal", "k-2", "R", "W")
    )
    sender = HookSender(post.world.context, post.world.store, hooks_of(config))
    sender.deliver()
    assert (len(hooks.cards), len(hooks.notifications)) == (1, 1)
    assert [each for each in post.world.told(incident_id) if "hook:" in each] == [
        "📨 hook:operations was told",
        "📨 hook:portal was told",
    ]


def test_a_hook_that_is_down_holds_up_no_other_and_is_left_alone_for_a_while(
    post: Post, hooks: HooksSimulator, tmp_path: Path
) -> None:
    config = parse({"hooks": configured(hooks, tmp_path)}, path="config.yaml")
    hooks.misbehave(Fault(503, path="/workflows", times=1, headers={"Retry-After": "30"}))
    for number in range(3):
        incident_id = post.incident(number)
        post.put(incident_id, HookNotice("operations", f"k-{number}", "Redis", "Why"))
        post.put(post.incident(number + 10), HookNotice("portal", f"p-{number}", "Redis", "Why"))
    sender = HookSender(post.world.context, post.world.store, hooks_of(config))
    assert sender.deliver() == 0
    assert (len(hooks.requests("/workflows")), len(hooks.notifications)) == (1, 3)
    post.world.clock.sleep(31)
    sender.deliver()
    assert len(hooks.cards) == 3
    assert not post.world.store.next_letters(Channel.HOOK, 10)


def test_a_hook_that_the_configuration_has_no_more_is_told_and_given_up(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, HookNotice("gone", "k-1", "Redis", "Why"))
    HookSender(post.world.context, post.world.store, {}).deliver()
    assert "hook:gone could not be told" in post.world.told(incident_id)[-1]


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ({"kind": "teams", "url": "https://example.com/flow"}, "write url: {env: NAME}"),
        ({"kind": "teams", "url": {"env": "X"}, "secret": {"env": "Y"}}, "remove secret"),
        ({"kind": "webhook", "url": "https://example.com"}, "secret is missing"),
        ({"kind": "webhook", "url": "http://example.com", "secret": {"env": "Y"}}, "https"),
        ({"kind": "pigeon", "url": {"env": "X"}}, "teams"),
    ],
)
def test_a_hook_that_cannot_be_is_refused_with_words(hook: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"hooks": {"operations": hook}}, path="config.yaml")
    assert words in str(caught.value)


def test_a_name_that_no_rule_could_write_and_a_rule_that_names_no_hook_are_refused() -> None:
    teams = {"kind": "teams", "url": {"env": "X"}}
    with pytest.raises(ConfigError, match="is no name"):
        parse({"hooks": {"a:b": teams}}, path="config.yaml")
    rest = {"name": "rest", "match": {"any": True}, "route_to": "hook:portal"}
    with pytest.raises(ConfigError, match="add portal to hooks"):
        parse({"hooks": {"ops": teams}, "escalation": {"routing": [rest]}}, path="config.yaml")


def test_an_address_that_is_kept_elsewhere_is_checked_where_it_is_used_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "flow").write_text("http://canary.example.com/secret-path")
    hooks = {"operations": {"kind": "teams", "url": {"file": str(tmp_path / "flow")}}}
    with pytest.raises(ConfigError) as caught:
        hooks_of(parse({"hooks": hooks}, path="config.yaml"))
    assert "hooks.operations.url" in str(caught.value)
    assert "canary" not in str(caught.value)
