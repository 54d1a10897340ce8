"""Prometheus asked for one number: every answer that it may give, and the real one."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.prometheus import Prometheus
from agent.config import parse
from agent.domain.errors import ConfigError, Reason, ServiceError
from agent.domain.probing import Unseen
from agent.simulators.prometheus import PrometheusSimulator
from agent.simulators.server import Fault

TOKEN = "prom-canary-00000000"


@pytest.fixture
def sim() -> Iterator[PrometheusSimulator]:
    with PrometheusSimulator(token=TOKEN) as sim:
        yield sim


def asked(sim: PrometheusSimulator, query: str = "q", token: str = TOKEN) -> float | Unseen:
    prometheus = Prometheus(sim.url, token=token, timeout_s=5)
    try:
        return prometheus.value(query, timeout_s=2)
    finally:
        prometheus.close()


def why(sim: PrometheusSimulator) -> str:
    found = asked(sim)
    assert isinstance(found, Unseen)
    return found.why


def test_one_series_is_its_value_and_the_query_has_its_time(sim: PrometheusSimulator) -> None:
    sim.vector('sum(x{a="b"})', "57")

    assert asked(sim, 'sum(x{a="b"})') == 57
    (request,) = sim.requests()
    assert request.query == "query=sum%28x%7Ba%3D%22b%22%7D%29&timeout=2s"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_scalar_is_a_number_too(sim: PrometheusSimulator) -> None:
    sim.data("q", "scalar", [1767587843.1, "-0.5"])

    assert asked(sim) == -0.5


def test_no_series_many_series_and_what_is_no_number_are_told(sim: PrometheusSimulator) -> None:
    assert why(sim) == "the query finds no series; with `or vector(0)` behind it nothing counts as 0"
    sim.vector("q", "1", "2")
    assert why(sim) == "the query finds 2 series, and one is wanted: put sum() or max() around it"
    sim.vector("q", "NaN")
    assert why(sim) == "the query gives NaN, which is no number to compare"
    sim.vector("q", "+Inf")
    assert why(sim) == "the query gives +Inf, which is no number to compare"
    sim.data("q", "matrix", [])
    assert why(sim) == "the query gives a matrix, and one number is wanted"
    sim.data("q", "string", [1767587843.1, "text"])
    assert why(sim) == "the query gives a string, and one number is wanted"


def test_a_query_that_it_refuses_is_told_in_its_words(sim: PrometheusSimulator) -> None:
    sim.refuse("q", 400, 'invalid parameter "query": parse error')
    assert why(sim) == 'Prometheus refuses the query: invalid parameter "query": parse error'
    sim.refuse("q", 422, "query timed out in expression evaluation")
    assert why(sim).endswith("query timed out in expression evaluation")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (301, Reason.BAD_ANSWER),
        (401, Reason.AUTH),
        (403, Reason.AUTH),
        (404, Reason.NOT_FOUND),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
        (503, Reason.SERVER_ERROR),
        (-1, Reason.UNREACHABLE),
    ],
)
def test_every_other_answer_is_a_failure_with_its_reason(
    sim: PrometheusSimulator, status: int, reason: Reason
) -> None:
    sim.misbehave(Fault(status, times=-1, body='{"error": "no"}'))

    with pytest.raises(ServiceError) as caught:
        asked(sim)
    assert caught.value.reason is reason
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"status": "success"}', '{"status": "error", "data": {}}'])
def test_a_proxy_that_answers_for_it_is_told_apart(sim: PrometheusSimulator, body: str) -> None:
    sim.misbehave(Fault(200, times=-1, body=body))

    with pytest.raises(ServiceError) as caught:
        asked(sim)
    assert caught.value.reason is Reason.BAD_ANSWER


def test_a_wrong_token_is_not_shown(sim: PrometheusSimulator) -> None:
    with pytest.raises(ServiceError) as caught:
        asked(sim, token="wrong-canary-1111")
    assert caught.value.reason is Reason.AUTH
    assert "wrong-canary-1111" not in str(caught.value)
    assert "wrong-canary-1111" not in repr(
        Prometheus("http://localhost:1", token="wrong-canary-1111", timeout_s=1)
    )


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"url": "http://prometheus.example.com"}, "must be an https:// URL"),
        ({"url": "https://p.example.com", "username": "a"}, "give both username and password, or neither"),
        (
            {
                "url": "https://p.example.com",
                "username": "a",
                "password": {"env": "A"},
                "token": {"env": "B"},
            },
            "token and username contradict",
        ),
    ],
)
def test_what_the_section_refuses(section: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse({"prometheus": section}, path="config.yaml")


@pytest.fixture
def real(tmp_path: Path) -> Iterator[str]:
    """Debian's Prometheus, which has nothing to scrape but counts on its own."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("no prometheus here: apt-get install prometheus")
    config = tmp_path / "prometheus.yml"
    config.write_text("global: {scrape_interval: 1h}\n")
    log = tmp_path / "log"
    with log.open("w") as told:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--log.level=info",
            ],
            stdout=told,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _address(log)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _address(log: Path) -> str:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for line in log.read_text().splitlines():
            if "Listening on" in line and "address=127.0.0.1:" in line:
                return "http://" + line.split("address=")[1].split()[0].strip('"')
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test_the_real_prometheus_answers_as_the_simulated_one_does(real: str) -> None:
    prometheus = Prometheus(real, timeout_s=10)

    def ask(query: str) -> float | Unseen:
        until = time.monotonic() + 20
        while True:
            try:
                return prometheus.value(query, timeout_s=5)
            except ServiceError as error:
                # it listens before it is ready
                if error.reason is not Reason.SERVER_ERROR or time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def words(query: str) -> str:
        found = ask(query)
        assert isinstance(found, Unseen)
        return found.why

    assert ask("sum(vector(57))") == 57
    assert ask("scalar(vector(0.5))") == 0.5
    assert ask("absent(up)") == 1
    assert ask("sum(up) or vector(0)") == 0
    assert words("up").startswith("the query finds no series")
    assert words('label_replace(vector(1), "a", "b", "", "") or vector(2)').startswith(
        "the query finds 2 series"
    )
    assert words("vector(1) / 0") == "the query gives +Inf, which is no number to compare"
    assert words("vector(1)[5m:1m]") == "the query gives a matrix, and one number is wanted"
    page = (Path(__file__).parent.parent.parent.parent / "docs" / "watch-sections.md").read_text()
    (documented,) = re.findall(r"promql `(sum[^`]+)`", page)
    assert words(documented).startswith("the query finds no series"), "nobody counts requests here"
    assert words("sum(").startswith("Prometheus refuses the query: invalid parameter")
    prometheus.close()
