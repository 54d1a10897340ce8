"""The runbooks that come with the product are in order, and the command analysis accepts them."""

from pathlib import Path

import pytest

from agent.domain.alert import Alert
from agent.domain.command import Refusal, Script
from agent.domain.runbook import Runbook
from agent.library import Library, bind
from agent.library.examples import check_examples
from agent.library.lint import lint
from agent.safety import language
from agent.safety.effects import EffectTables
from agent.safety.policy import Guard, price_plan

LIBRARY = Library(Path(__file__).parent.parent.parent.parent / "runbooks")
LABELS = {
    "namespace": "production",
    "pod": "web-7d4b9-x2x",
    "app": "web",
    "domain": "shop.example.com",
    "mountpoint": "/var",
}
ALERT = Alert("prometheus", "1", "an alert", labels=LABELS)


def test_all_are_understood():
    assert LIBRARY.problems == ()
    assert sorted(LIBRARY.runbooks) == [
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


def scripts_of(runbook: Runbook) -> list[Script]:
    values = bind(runbook.parameters, ALERT)
    assert not isinstance(values, Refusal), values
    verify = runbook.verification.steps if runbook.verification else ()
    scripts = []
    for step in (*runbook.steps, *verify, *runbook.rollback):
        template = language.parse(step.command)
        assert not isinstance(template, Refusal), template
        script = language.bind(template, {name: value.value for name, value in values.items()})
        assert not isinstance(script, Refusal), script
        scripts.append(script)
    return scripts


@pytest.mark.parametrize("runbook", LIBRARY.runbooks.values(), ids=lambda runbook: runbook.id)
def test_every_command_is_inside_the_runbooks_own_limits(runbook):
    priced = price_plan(scripts_of(runbook), Guard(EffectTables.load(), runbook.blast_radius))
    assert [str(command.refusal) for step in priced for command in step if command.refusal] == []
