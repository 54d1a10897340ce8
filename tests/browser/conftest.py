"""The console in a real browser, before the real process: one agent and one Chromium for all of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.slack import SlackSimulator
from tests.acceptance.conftest import Agent

PASSWORD = "a lantern in the fog"
PEOPLE = [
    {"name": "anna", "role": "approver", "teams": ["on-call"]},
    {"name": "vera", "role": "viewer"},
]

LOOK = """---
owner: platform
---
# Runbook: Look

## Trigger Conditions
- Alert contains: "look"

## Steps

### Step 1: Look
```bash
echo looked
```
Expected output: "looked"
"""

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--window-size=1280,800",
)


@pytest.fixture(scope="package")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    directory = tmp_path_factory.mktemp("agent")
    with PagerDutySimulator() as pagerduty, SlackSimulator() as slack:
        agent = Agent(directory, pagerduty, slack)  # type: ignore[arg-type]
        pagerduty.subscribe(agent.webhook_url)
        agent.overrides["runbooks"] = {"default_autonomy": "approve"}
        agent.config = lambda config=agent.config: config() | {"people": PEOPLE}  # type: ignore[method-assign]
        agent.runbook("look", LOOK)
        agent.start()
        for person in PEOPLE:
            _give_password(agent, str(person["name"]))
        yield agent
        agent.kill()


def _give_password(agent: Agent, name: str) -> None:
    command = ["people", "password", name, "--from-stdin", "--config", str(agent.config_path)]
    subprocess.run(
        [sys.executable, "-m", "agent", *command],
        input=f"{PASSWORD}\n",
        env=agent.environment(),
        cwd=agent.directory,
        text=True,
        check=True,
        capture_output=True,
    )


class Browser:
    """A person at a browser: what they see, press and type."""

    def __init__(self, driver: webdriver.Chrome, agent: Agent) -> None:
        self.driver = driver
        self.agent = agent
        self.session: dict[str, dict[str, Any]] = {}

    def open(self, path: str) -> None:
        self.driver.get(f"{self.agent.url}/console{path}")

    def sees(self, words: str) -> None:
        """Wait until the page says it."""
        self._until(lambda: words in self.text, repr(words))

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    def find(self, selector: str) -> WebElement:
        self._until(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector), selector)
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, words: str, within: str = "main") -> None:
        """Press the link or button that is called so."""
        self._until(lambda: self._pressed(words, within), f"something to press called {words!r}")

    def press_and_leave(self, words: str) -> None:
        """Press it, and wait for the page that it leads to."""
        self.mark_page()
        self.press(words)
        self._until(lambda: not self.has_marked_page(), "another page")

    def press_until(self, words: str, seen: str, within: str = "main") -> None:
        """Press it, and again after a second if a part of the page was just put in anew under the finger."""
        pressed_at = [float("-inf")]

        def look() -> bool:
            if seen in self.text:
                return True
            if time.monotonic() - pressed_at[0] > 1.0 and self._pressed(words, within):
                pressed_at[0] = time.monotonic()
            return False

        self._until(look, repr(seen))

    def _pressed(self, words: str, within: str) -> bool:
        for element in self.driver.find_elements(By.CSS_SELECTOR, f"{within} :is(a, button, summary, label)"):
            if element.text.split("\n")[0].strip() == words and element.is_displayed():
                self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
                element.click()
                return True
        return False

    def type(self, name: str, words: str) -> None:
        field = self.find(f"main [name={name}]")
        field.clear()
        field.send_keys(words)

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """Through the page once; later the browser comes back with the session that it had."""
        if name in self.session:
            self.open("/static/icon.svg")
            self.driver.delete_all_cookies()
            self.driver.add_cookie(self.session[name])
            return
        self.open("/sign-in")
        self.type("name", name)
        self.type("password", password)
        self.press("Sign in")
        cookie = self.driver.get_cookie("oncall_session")
        if cookie is not None:
            self.session[name] = {key: cookie[key] for key in ("name", "value", "path")}

    def sign_out(self) -> None:
        self.open("/static/icon.svg")
        self.driver.delete_all_cookies()

    def looks(self, *, width: int = 1280, height: int = 800, scheme: str = "light") -> None:
        """Another screen, in the light or in the dark."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def without_script(self, is_off: bool) -> None:
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": is_off})

    def has_marked_page(self) -> bool:
        """Whether this is still the page that `mark_page` was called on."""
        return bool(self.driver.execute_script("return window.marked === true"))

    def mark_page(self) -> None:
        self.driver.execute_script("window.marked = true")

    def _until(self, condition: Callable[[], object], what: str) -> None:
        """A page that changes while it is looked at is looked at again."""
        waiting = WebDriverWait(
            self.driver, 15, poll_frequency=0.05, ignored_exceptions=[StaleElementReferenceException]
        )
        try:
            waiting.until(lambda _: condition())
        except TimeoutException as error:
            raise AssertionError(f"not seen: {what}, in:\n{self.text[:2000]}") from error


@pytest.fixture(scope="package")
def chromium() -> Iterator[webdriver.Chrome]:
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        if os.environ.get("CI"):
            pytest.fail(f"{' and '.join(missing)} missing; `make packages` installs them")
        pytest.skip(f"{' and '.join(missing)} not installed; `make packages` installs them")
    options = Options()
    options.binary_location = str(programs["chromium"])
    for flag in _FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(str(programs["chromedriver"])))
    yield driver
    driver.quit()


@pytest.fixture(scope="package")
def _browser(chromium: webdriver.Chrome, agent: Agent) -> Browser:
    return Browser(chromium, agent)


@pytest.fixture
def browser(_browser: Browser) -> Iterator[Browser]:
    _browser.looks()
    yield _browser
    _browser.without_script(False)
    _browser.sign_out()


@pytest.fixture(scope="package")
def axe() -> str:
    """The source of axe-core, as a package ships it."""
    import axe_core_python

    return (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
