"""The console as a person uses it: signed in, live, on a phone, by keys, and without script."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.acceptance.conftest import Agent, wait_until
from tests.browser.conftest import Browser

_numbers = itertools.count(1)


def alert(agent: Agent, title: str) -> str:
    """An alert comes in; gives its id at the source."""
    service = f"service-{next(_numbers)}"
    return agent.pagerduty.create_incident(title, service=service).id


def waiting(agent: Agent, title: str) -> str:
    """An incident that waits for an approval; its id."""
    source_id = alert(agent, title)

    def asks() -> str:
        found = agent.incident(source_id)
        return found["id"] if found is not None and found["status"] == "awaiting_approval" else ""

    return str(wait_until(asks, "it waits for an approval"))


def escalated(agent: Agent, title: str) -> str:
    """An escalation in the queue; its id."""
    found = agent.ended(alert(agent, title))
    assert found["status"] == "escalated"
    return str(found["id"]).replace("inc-", "esc-")


def test_only_the_right_password_opens_the_console(browser: Browser) -> None:
    browser.open("/queue")
    browser.sees("Sign in")
    browser.sign_in("anna", "not the password")
    browser.sees("wrong")
    browser.sign_in("anna")
    browser.sees("Waits for your word")


def test_what_happens_is_seen_without_reloading(browser: Browser, agent: Agent) -> None:
    browser.sign_in("anna")
    browser.open("/")
    browser.sees("live")
    browser.mark_page()
    alert(agent, "Nobody knows the tide")
    browser.sees("Nobody knows the tide")
    assert browser.has_marked_page()


def test_an_approval_lets_the_run_go_on_before_ones_eyes(browser: Browser, agent: Agent) -> None:
    incident_id = waiting(agent, "please look at the harbour")
    browser.sign_in("anna")
    browser.open("/")
    browser.sees("please look at the harbour")
    browser.open(f"/incidents/{incident_id}")
    browser.press_and_leave("Approve")
    browser.mark_page()
    browser.sees("resolved")
    browser.sees("Attempt 1")
    browser.sees("Approved by anna (by console)")
    assert browser.has_marked_page()
    assert agent.cli("show", incident_id, "--json").stdout.count("resolved")


def test_an_escalation_is_claimed_and_settled_with_a_note(browser: Browser, agent: Agent) -> None:
    item_id = escalated(agent, "Nobody knows the buoy")
    browser.sign_in("anna")
    browser.open("/queue?q=buoy")
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, "main .rows > .row")) == 1
    browser.press("Nobody knows the buoy")
    browser.press("Claim")
    browser.sees("has it: anna")
    browser.open("/mine")
    browser.sees("Nobody knows the buoy")
    browser.open(f"/queue/{item_id}")
    browser.find("input[value=false_alarm]").click()
    browser.type("note", "the buoy was never gone")
    browser.press("Resolve")
    browser.sees("false alarm")
    browser.open("/queue?status=settled&q=buoy")
    browser.sees("false alarm")
    browser.open("/audit?q=buoy")
    browser.sees("the buoy was never gone")


def test_what_is_being_typed_survives_what_happens_meanwhile(browser: Browser, agent: Agent) -> None:
    item_id = escalated(agent, "Nobody knows the reef")
    browser.sign_in("anna")
    browser.open(f"/queue/{item_id}")
    browser.type("note", "half a thou")
    browser.mark_page()
    agent.cli("stop", "--service", "elsewhere", "--reason", "a drill")
    browser.sees("a drill")
    assert browser.find("[name=note]").get_attribute("value") == "half a thou"
    assert browser.has_marked_page()
    (stop_id,) = re.findall(r"stop-\w+-\w+", agent.cli("stops", "--json").stdout)[:1]
    agent.cli("resume", stop_id)


def test_the_agent_is_stopped_and_goes_on(browser: Browser, agent: Agent) -> None:
    browser.sign_in("anna")
    browser.open("/")
    browser.press("Stop the agent…")
    browser.type("reason", "bad deploy")
    browser.press("Stop")
    browser.sees("everything is stopped")
    assert "bad deploy" in agent.cli("stops").stdout
    browser.press_until("Resume", "The agent is free to work.", "#stop")


def test_plots_are_drawn_and_told(browser: Browser, agent: Agent) -> None:
    escalated(agent, "Nobody knows the shoal")
    browser.sign_in("anna")
    browser.open("/analytics?period=7")
    plot = browser.find("svg.plot")
    assert plot.size["width"] > 500
    assert browser.driver.find_elements(By.CSS_SELECTOR, "svg.plot rect.bad")
    browser.press("As a table")
    browser.sees("taken over")


def test_without_script_one_reads_claims_and_approves(browser: Browser, agent: Agent) -> None:
    incident_id, item_id = waiting(agent, "look at the pier"), escalated(agent, "Nobody knows the pier")
    browser.sign_in("anna")
    browser.without_script(True)
    browser.open("/")
    assert "Nobody knows the pier" in browser.text
    assert "live" not in browser.find(".who").text
    browser.open(f"/queue/{item_id}")
    browser.find("button.go").click()
    browser.sees("has it: anna")
    browser.open(f"/incidents/{incident_id}")
    browser.find("form[action$=approve] button").click()
    wait_until(lambda: "resolved" in agent.cli("show", incident_id, "--json").stdout, "it ran")
    browser.open(f"/incidents/{incident_id}")
    assert "looked" in browser.text


def test_keys_are_enough(browser: Browser) -> None:
    browser.sign_in("anna")
    browser.open("/")
    browser.sees("live")
    ActionChains(browser.driver).send_keys(Keys.TAB).perform()
    assert browser.driver.switch_to.active_element.text == "Skip to the content"
    ActionChains(browser.driver).send_keys("gq").perform()
    browser.find("input[type=search]")
    ActionChains(browser.driver).send_keys("/").perform()
    assert browser.driver.switch_to.active_element.get_attribute("name") == "q"


def test_hostile_text_runs_nothing_in_a_browser(browser: Browser, agent: Agent) -> None:
    marks = "<script>window.bitten=1</script><img src=x onerror=window.bitten=1>"
    item_id = escalated(agent, f"Nobody knows {marks}")
    browser.sign_in("anna")
    for path in ("/", "/incidents", "/queue", f"/queue/{item_id}", "/audit"):
        browser.open(path)
        browser.sees("<script>window.bitten=1</script>")
        assert browser.driver.execute_script("return window.bitten") is None


@pytest.fixture
def pages(agent: Agent) -> list[str]:
    """Every page, with something on it."""
    incident_id, item_id = waiting(agent, "look at the mole"), escalated(agent, "Nobody knows the mole")
    return [
        "/", "/incidents", f"/incidents/{incident_id}", f"/incidents/{item_id.replace('esc-', 'inc-')}",
        "/queue", "/mine", f"/queue/{item_id}", "/runbooks", "/runbooks/look", "/analytics?period=7",
        "/audit", "/settings", "/account", "/nowhere",
    ]  # fmt: skip


def test_every_page_is_accessible_in_light_and_dark_and_fits_a_phone(
    browser: Browser, pages: list[str], axe: str
) -> None:
    found: list[str] = []
    browser.open("/sign-in")
    found += _violations(browser, axe, "/sign-in")
    browser.sign_in("anna")
    for path in pages:
        browser.looks()
        browser.open(path)
        browser.driver.execute_script(
            "document.querySelectorAll('details').forEach((each) => each.open = true)"
        )
        found += _violations(browser, axe, path)
        browser.looks(width=390, height=844, scheme="dark")
        found += _violations(browser, axe, f"{path} (phone, dark)")
        if (width := browser.driver.execute_script("return document.documentElement.scrollWidth")) > 390:
            found.append(f"{path} is {width} px wide on a phone")
    assert not found, "\n".join(found)


def _violations(browser: Browser, axe: str, path: str) -> list[str]:
    browser.driver.execute_script(axe)
    result = browser.driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {resultTypes: ['violations']}).then(done, (error) => done({error: String(error)}))"
    )
    assert "violations" in result, result
    assert len(result["passes"]) > 10
    return [
        f"{path}: {each['impact']} {each['id']}: {json.dumps(each['nodes'][0]['html'])[:200]} "
        f"{each['nodes'][0]['failureSummary'][:300]}"
        for each in result["violations"]
        if each["impact"] in ("serious", "critical")
    ]
