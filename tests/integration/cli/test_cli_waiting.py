"""`escalations` shows what waits for a human's word, with what it waits for and until when."""

from __future__ import annotations

import pytest

from tests.integration.cli.conftest import Result, Shell, words
from tests.unit.pipeline.conftest import World, runbook, step

PING = step(1, "redis-cli PING")


def seen_while_waiting(world: World, shell: Shell) -> tuple[str, Result, Result]:
    seen: list[Result] = []

    def look(_: str) -> bool:
        seen.extend((shell("escalations"), shell("escalations", "--json")))
        return False

    world.on_wait = look
    incident_id = world.receive()
    world.handle(incident_id)
    return incident_id, seen[0], seen[1]


@pytest.mark.parametrize(
    ("names", "limits", "waits_for"),
    [
        (("one",), "- requires_human_approval: true", "an approval"),
        (("one", "two"), "- max_cache_operations: 1", "a choice among one, two"),
    ],
)
def test_a_question_is_listed_with_its_end(
    shell: Shell, world: World, names: tuple[str, ...], limits: str, waits_for: str
) -> None:
    for name in names:
        world.runbook(runbook(steps=PING, limits=limits), name)
    incident_id, table, listed = seen_while_waiting(world, shell)
    (row,) = listed.json
    assert (row["incident_id"], row["status"], row["waits_for"]) == (incident_id, "waiting", waits_for)
    assert row["until"] > row["created_at"]
    line = words(table.out.splitlines()[1])
    assert line.startswith(incident_id)
    assert waits_for in line
    assert row["until"][:19] in line


def test_what_was_escalated_waits_for_a_human_without_an_end(shell: Shell, world: World) -> None:
    world.page()
    (row,) = shell("escalations", "--json").json
    assert (row["status"], row["waits_for"], row["until"]) == ("open", "a human", None)
