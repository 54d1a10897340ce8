"""The console before hostile text and people: text stays text, and roles hold."""

from __future__ import annotations

import re

import pytest

from agent.domain.queue import QueueFilter, QueueStatus, Rank
from agent.escalations.entering import Received
from agent.pipeline import queueing
from agent.web.console import words
from agent.web.console.runbooks import rendered
from tests.integration.web.conftest import Site
from tests.integration.web.console_site import HOSTILE, PEOPLE, Visitor, waiting, with_people
from tests.unit.pipeline.conftest import runbook, step

#: Every form, and the least role for it.
FORMS = {
    "/stop": "responder",
    "/stops/stop-0/resume": "approver",
    "/incidents/{incident}/approve": "approver",
    "/incidents/{incident}/reject": "responder",
    "/incidents/{incident}/parameters": "approver",
    "/incidents/{incident}/choose": "responder",
    "/incidents/{incident}/stand-down": "responder",
    "/queue/{item}/claim": "responder",
    "/queue/{item}/release": "responder",
    "/queue/{item}/reassign": "approver",
    "/queue/{item}/further": "responder",
    "/queue/{item}/resolve": "responder",
    "/runbooks/redis-connection-timeout/promote": "approver",
    "/runbooks/redis-connection-timeout/demote": "responder",
}
PAGES = (
    "/", "/incidents", "/queue", "/mine", "/runbooks", "/analytics", "/audit", "/settings",
)  # fmt: skip
ROLES = ["viewer", "responder", "approver", "admin"]


@pytest.fixture
def site(site: Site) -> Site:
    return with_people(site)


def _lives(html: str) -> list[str]:
    """Marks in a page that none of ours are."""
    return re.findall(r"<script(?! src=\"/console/static/)[^>]*>|<img[^>]*>|\son\w+=\"", html)


def test_a_hostile_alert_stays_text_on_every_page(site: Site) -> None:
    site.world.runbook(runbook(steps=step(1, "redis-cli PING", keys='Expected output: "PONG"')))
    site.world.context.library.reload()
    site.world.answers("redis-cli PING", f"first {HOSTILE}", "PONG")
    ran = site.world.page(
        title=f"Redis connection timeout {HOSTILE}", source_id="P1", body=HOSTILE, labels={HOSTILE: HOSTILE},
        service=HOSTILE, url="javascript:alert(3)",
    )  # fmt: skip
    site.world.page(title=f"Nobody knows {HOSTILE}", source_id="P2", service=HOSTILE, team=HOSTILE)
    (item,) = site.store.queue_page(QueueFilter()).items
    visitor = Visitor(site, "adam")
    visitor.post(f"/queue/{item.id}/resolve", action="false_alarm", note=HOSTILE)
    pages = (*PAGES, f"/incidents/{ran.id}", f"/incidents/{item.incident_id}", f"/queue/{item.id}")
    seen = {path: visitor.get(path) for path in (*pages, "/queue?status=settled")}
    for path, page in seen.items():
        assert page.status_code == 200, path
        assert not _lives(page.text), path
        assert not re.search("[\u202e\x1b]", page.text), path
        assert "javascript:" not in page.text, path
    assert "&lt;script&gt;" in seen[f"/incidents/{ran.id}"].text
    assert "⟨U+202E⟩" in seen["/incidents"].text
    assert "␛red" in seen[f"/queue/{item.id}"].text


def test_a_hostile_runbook_stays_text(site: Site) -> None:
    # signs that nobody sees are refused when a runbook is read; marks are not
    marks = HOSTILE.partition("\u202e")[0]
    text = runbook(steps=step(1, "redis-cli PING")).replace("# Runbook: Redis", f"# Runbook: Redis {marks}")
    more = f"\n## Notes\n{marks}\n[press](javascript:alert(1)) ![x](https://evil.example.com/x.png)\n"
    site.world.runbook(text + more)
    site.world.context.library.reload()
    visitor = Visitor(site, "vera")
    (runbook_id,) = site.world.context.library.runbooks
    for path in ("/runbooks", f"/runbooks/{runbook_id}"):
        page = visitor.get(path)
        assert page.status_code == 200
        assert not _lives(page.text)
        assert 'href="javascript:' not in page.text


@pytest.mark.parametrize(
    "text",
    ["<b onclick=x>", "[a](javascript:x)", "[a](data:text/html,x)", "<javascript:x>", "![a](x)", "`<i>`"],
)
def test_markdown_of_others_brings_no_mark_of_its_own(text: str) -> None:
    html = rendered(f"# Title\n\n{text}\n")
    assert not re.search(r'<(?!/?(?:h1|p|code|a|a href="x")>)', html)


def test_what_was_sent_for_review_stays_text(site: Site) -> None:
    desk = queueing.desk_of(site.config, site.store, site.world.context.redactor)
    facts = {"request": HOSTILE, "policy_match": {HOSTILE: HOSTILE}, "context": {HOSTILE: [HOSTILE]}}
    sent = Received("42", HOSTILE, HOSTILE, Rank.HIGH, consumer=HOSTILE, policy_rule=HOSTILE, facts=facts)
    item, _ = queueing.received(desk, sent, now=site.world.clock.now())
    visitor = Visitor(site, "rita")
    for path in (f"/queue/{item.id}", "/queue", "/", "/audit"):
        assert not _lives(visitor.get(path).text), path


@pytest.mark.parametrize(
    "path",
    [f"/incidents?q={HOSTILE}", f"/queue?q={HOSTILE}&trigger={HOSTILE}", f"/audit?actor={HOSTILE}",
     f"/nowhere/{HOSTILE}", f"/incidents/{HOSTILE}", f"/runbooks/{HOSTILE}", f"/queue/{HOSTILE}"],
)  # fmt: skip
def test_what_is_asked_for_stays_text(site: Site, path: str) -> None:
    page = Visitor(site, "vera").get(path)
    assert page.status_code in (200, 404)
    assert not _lives(page.text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛red␛"),
        ("\x1b]0;title\x07x", "␛x"),
        ("a\x00b\x08c\x7f", "a␀b␈c␡"),
        ("a\u202eb\u200bc\ufeff", "a⟨U+202E⟩b⟨U+200B⟩c⟨U+FEFF⟩"),
        ("over\rwritten", "over␍written"),
        ("two\r\nlines\tand a tab", "two\nlines\tand a tab"),
        ("ünïcödé 漢字 🚨", "ünïcödé 漢字 🚨"),
    ],
)
def test_signs_that_deceive_are_shown_as_what_they_are(text: str, shown: str) -> None:
    assert words.visible(text) == shown


@pytest.mark.parametrize("name", [each["name"] for each in PEOPLE])
def test_each_role_may_do_what_it_may_and_no_more(site: Site, name: str) -> None:
    incident_id = waiting(site)
    site.escalated()
    (item,) = site.store.queue_page(QueueFilter()).items
    visitor = Visitor(site, name)
    role = next(each["role"] for each in PEOPLE if each["name"] == name)
    before = site.store.last_seq()
    for form, least in FORMS.items():
        path = form.format(incident=incident_id, item=item.id)
        is_refused = visitor.post(path).status_code == 403
        assert is_refused == (ROLES.index(role) < ROLES.index(least)), path
    if role == "viewer":
        assert site.store.last_seq() == before
        page = visitor.get("/").text + visitor.get(f"/queue/{item.id}").text
        assert re.findall(r'<form method="post" action="([^"]+)"', page) == ["/console/sign-out"] * 2


@pytest.mark.parametrize("form", list(FORMS))
def test_a_form_of_another_page_changes_nothing(site: Site, form: str) -> None:
    incident_id = waiting(site)
    site.escalated()
    (item,) = site.store.queue_page(QueueFilter()).items
    visitor, other = Visitor(site, "adam"), Visitor(site, "anna")
    path = form.format(incident=incident_id, item=item.id)
    before = site.store.last_seq()
    values = {"scope": "all", "reason": "x", "action": "false_alarm", "note": "x", "to": "adam", "why": "x"}
    assert visitor.post_without_token(path, **values).status_code == 403
    stolen = {"csrf_token": re.findall(r'name="csrf_token" value="(\w+)"', other.get("/").text)[0]}
    assert visitor.post_without_token(path, **stolen, **values).status_code == 403
    assert site.store.last_seq() == before


def test_whoever_is_not_signed_in_sees_and_changes_nothing(site: Site) -> None:
    site.resolved()
    nobody = site.client.application.test_client()
    for path in (*PAGES, "/incidents/inc-0", "/events", "/audit/export", "/runbooks/x", "/nowhere"):
        answer = nobody.get(f"/console{path}")
        assert answer.status_code in (303, 401), path
        assert "Redis" not in answer.text
    for path in FORMS:
        assert nobody.post(f"/console{path.format(incident='inc-0', item='esc-0')}").status_code == 401
    assert not site.store.all_stops()


def test_somebody_who_is_configured_no_more_is_out_at_once(site: Site) -> None:
    rita = Visitor(site, "rita")
    assert rita.get("/").status_code == 200
    site.settings["people"] = [each for each in PEOPLE if each["name"] != "rita"]
    site.restart()
    secret = rita.secret
    later = site.client.application.test_client()
    later.set_cookie("oncall_session", secret)
    assert later.get("/console/").status_code in (303, 401)


def test_only_pages_of_the_console_are_led_back_to(site: Site) -> None:
    for place in (
        "https://evil.example.com/",
        "//evil.example.com",
        "/console/../evil",
        "/console/queue\r\nX: y",
    ):
        site.world.page(title="Nobody knows", source_id=f"P{place}")
        item = next(
            each
            for each in site.store.queue_page(QueueFilter()).items
            if each.status is QueueStatus.OPEN and not each.assignee
        )
        answer = Visitor(site, "rita").post(f"/queue/{item.id}/claim", next=place)
        assert (answer.status_code, answer.location) == (303, f"/console/queue/{item.id}")


def test_every_answer_tells_the_browser_to_refuse_what_is_not_ours(site: Site) -> None:
    visitor = Visitor(site, "vera")
    for path in (*PAGES, "/static/console.js", "/nowhere"):
        with visitor.get(path) as answer:
            headers = answer.headers
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    for path in PAGES:
        page = visitor.get(path).text
        assert not re.search(r"<style|\sstyle=|<script>|\son[a-z]+=", page), path
