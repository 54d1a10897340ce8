"""The runbooks that come with the product are in order, and the command analysis accepts them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.domain.alert import Alert
from agent.domain.command import Refusal, Script
from agent.domain.runbook import Action, Runbook
from agent.library import Library, bind
from agent.library.examples import check_examples
from agent.library.lint import lint
from agent.safety import actions, language
from agent.safety.effects import EffectTables
from agent.safety.least_samples import OneOfEverything
from agent.safety.places import SOMEWHERE
from agent.safety.policy import Guard, Judged, price_plan

LIBRARY = Library(Path(__file__).parent.parent.parent.parent / "runbooks")
TABLES = EffectTables.load(keeptrusts=SOMEWHERE)
LABELS = {
    "namespace": "production",
    "pod": "web-7d4b9-x2x",
    "app": "web",
    "domain": "shop.example.com",
    "mountpoint": "/var",
    "config_id": "cfg_main",
    "known_good_version": "41",
}
ALERT = Alert("prometheus", "1", "an alert", labels=LABELS)


def test_all_are_understood():
    assert LIBRARY.problems == ()
    assert sorted(LIBRARY.runbooks) == [
        "ai-emergency-bypass",
        "ai-escalation-backlog",
        "ai-gateway-restart",
        "ai-high-block-rate",
        "ai-high-latency",
        "ai-ingestion-lag",
        "ai-policy-rollback",
        "ai-provider-outage",
        "certificate-expiring",
        "disk-filling",
        "kube-pod-crash-looping",
        "redis-connection-timeout",
    ]


@pytest.mark.parametrize("runbook", LIBRARY.runbooks.values(), ids=lambda runbook: runbook.id)
def test_their_examples_hold(runbook):
    assert check_examples(runbook) == ()


def test_a_reviewer_has_nothing_to_remark():
    """The published one stays as it was published."""
    own = [runbook for runbook in LIBRARY.runbooks.values() if runbook.id != "redis-connection-timeout"]
    assert [finding for runbook in own for finding in lint(runbook)] == []


def works_of(runbook: Runbook) -> list[Script | Judged]:
    values = bind(runbook.parameters, ALERT)
    assert not isinstance(values, Refusal), values
    verify = runbook.verification.steps if runbook.verification else ()
    works: list[Script | Judged] = []
    texts = {name: value.value for name, value in values.items()}
    for step in (*runbook.steps, *verify, *runbook.rollback):
        if step.action is not None:
            works.append(judged(step.action, texts))
            continue
        template = language.parse(step.command)
        assert not isinstance(template, Refusal), template
        script = language.bind(template, texts)
        assert not isinstance(script, Refusal), script
        works.append(script)
    return works


def judged(action: Action, texts: Mapping[str, str]) -> Judged:
    """What an action costs where there is one of everything."""
    bound = actions.bind(action, texts)
    assert not isinstance(bound, Refusal), bound
    found = actions.analyse(bound, TABLES, counter=OneOfEverything())
    assert not isinstance(found, Refusal), found
    return Judged(*found)


@pytest.mark.parametrize("runbook", LIBRARY.runbooks.values(), ids=lambda runbook: runbook.id)
def test_every_command_is_inside_the_runbooks_own_limits(runbook):
    priced = price_plan(works_of(runbook), Guard(TABLES, runbook.blast_radius))
    assert [str(command.refusal) for step in priced for command in step if command.refusal] == []
