"""Keeptrusts' API as the adapter uses it: what each answer means, and that no token is shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.adapters.keeptrusts_api import KeeptrustsApi
from agent.domain.errors import Reason, ServiceError
from agent.simulators.keeptrusts import KeeptrustsSimulator
from agent.simulators.server import Fault

STATUSES = [
    (300, Reason.BAD_ANSWER, True),
    (400, Reason.REJECTED, False),
    (401, Reason.AUTH, False),
    (403, Reason.AUTH, False),
    (404, Reason.NOT_FOUND, False),
    (408, Reason.TIMEOUT, True),
    (422, Reason.REJECTED, False),
    (425, Reason.REJECTED, True),
    (429, Reason.RATE_LIMITED, True),
    (500, Reason.SERVER_ERROR, True),
    (502, Reason.SERVER_ERROR, True),
    (503, Reason.SERVER_ERROR, True),
    (504, Reason.SERVER_ERROR, True),
]


@pytest.fixture
def keeptrusts() -> Iterator[KeeptrustsSimulator]:
    with KeeptrustsSimulator() as sim:
        yield sim


@pytest.fixture
def api(keeptrusts: KeeptrustsSimulator) -> Iterator[KeeptrustsApi]:
    adapter = KeeptrustsApi(keeptrusts.url, keeptrusts.api_token, timeout_s=0.5)
    yield adapter
    adapter.close()


def failure(api: KeeptrustsApi) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        api.resolve("esc_1", "allow", "note")
    return caught.value


@pytest.mark.parametrize(("status", "reason", "retryable"), STATUSES)
def test_what_each_status_means(
    keeptrusts: KeeptrustsSimulator, api: KeeptrustsApi, status: int, reason: Reason, retryable: bool
) -> None:
    keeptrusts.misbehave(Fault(status, body='{"error": {"message": "no"}}', headers={"Retry-After": "7"}))
    error = failure(api)
    assert (error.reason, error.retryable) == (reason, retryable)
    assert error.retry_after_s == (7.0 if retryable else None)


@pytest.mark.parametrize(
    ("status", "words"), [(409, "conflict"), (400, "Already resolved"), (422, "already")]
)
def test_what_is_settled_there_already_is_done(
    keeptrusts: KeeptrustsSimulator, api: KeeptrustsApi, status: int, words: str
) -> None:
    keeptrusts.misbehave(Fault(status, body=f'{{"error": "{words}"}}'))
    assert api.resolve("esc_1", "allow", "note") is False


def test_an_answer_that_does_not_come_is_asked_for_again_and_settles_once(
    keeptrusts: KeeptrustsSimulator, api: KeeptrustsApi
) -> None:
    made = keeptrusts.escalate()
    keeptrusts.misbehave(Fault(0, delay_s=0.8))
    with pytest.raises(ServiceError) as caught:
        api.resolve(made.escalation_id, "block", "first")
    assert caught.value.reason is Reason.TIMEOUT
    assert api.resolve(made.escalation_id, "block", "first") in (True, False)
    assert keeptrusts.escalation(made.escalation_id).resolution == "block"


def test_an_id_never_becomes_another_address(keeptrusts: KeeptrustsSimulator, api: KeeptrustsApi) -> None:
    with pytest.raises(ServiceError):
        api.resolve("../webhooks?x=1#", "allow", "note")
    (asked,) = keeptrusts.requests()
    assert asked.path == "/v1/escalations/../webhooks?x=1#/resolve"
    assert asked.query == ""


def test_the_token_is_in_no_error_and_no_repr(keeptrusts: KeeptrustsSimulator, api: KeeptrustsApi) -> None:
    keeptrusts.misbehave(Fault(401, body=f'{{"error": "bad token {keeptrusts.api_token}"}}'))
    assert keeptrusts.api_token not in f"{failure(api)!s} {failure(api)!r} {api!r}"


def test_what_waits_there_is_counted(keeptrusts: KeeptrustsSimulator, api: KeeptrustsApi) -> None:
    keeptrusts.escalate()
    keeptrusts.escalate()
    assert api.pending() == 2
    keeptrusts.misbehave(Fault(200, body="[]"))
    with pytest.raises(ServiceError, match=r"meta\.total"):
        api.pending()


def test_the_simulator_takes_a_webhook_as_the_published_command_registers_it(
    keeptrusts: KeeptrustsSimulator,
) -> None:
    import httpx

    client = httpx.Client(
        base_url=keeptrusts.url, headers={"Authorization": f"Bearer {keeptrusts.api_token}"}
    )
    with client:
        body = {
            "url": "https://events.pagerduty.com/v2/enqueue",
            "description": "PagerDuty incidents for critical AI escalations",
            "event_types": ["escalation.created"],
            "active": True,
        }
        assert client.post("/v1/webhooks", json=body).status_code == 201
        assert client.post("/v1/webhooks", json={**body, "secret": "x"}).status_code == 400
    assert httpx.post(f"{keeptrusts.url}/v1/webhooks", json=body, trust_env=False).status_code == 401
