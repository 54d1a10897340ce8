"""Typed actions in a runbook: two ways to write the same one."""

import pytest

from agent.domain.runbook import Action
from agent.library import Broken, parse

TEXT = """# A

## Trigger Conditions
- Service: a

## Parameters
- pod: label "pod"; pattern /^[a-z]+$/

## Steps

### Step 1: Act
```action
{block}
```
"""
RESTART = Action("kubernetes.rollout_restart", {"namespace": "prod", "deployment": "{{ pod }}"})


def parsed(block):
    return parse(TEXT.format(block=block), path="a.md")


@pytest.mark.parametrize(
    "block",
    [
        'kubernetes.rollout_restart: {namespace: prod, deployment: "{{ pod }}"}',
        'action: kubernetes.rollout_restart\nnamespace: prod\ndeployment: "{{ pod }}"',
        'namespace: prod\naction: kubernetes.rollout_restart\ndeployment: "{{ pod }}"',
        'kubernetes.rollout_restart:\n  namespace: prod\n  deployment: "{{ pod }}"',
    ],
)
def test_an_action_is_named_by_its_one_key_or_by_the_key_action(block):
    assert parsed(block).runbook.steps[0].action == RESTART


def test_only_the_parameters_of_a_document_are_a_mapping():
    block = 'action: aws.ssm_run_document\nparameters: {Unit: "{{ pod }}", Delays: ["1", "2"]}'
    arguments = {"parameters": {"Unit": "{{ pod }}", "Delays": ("1", "2")}}
    assert parsed(block).runbook.steps[0].action == Action("aws.ssm_run_document", arguments)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("action: [a]\nb: c", "names exactly one action, this one has 2"),
        ("action: Kubernetes.restart", "is not the name of an action"),
        ("action: a.b.c", "is not the name of an action"),
        ("action: a\nb-c: d", "is not the name of an argument"),
        ("action: a\nb: {c: d}", "neither a text"),
        ("action: a\nparameters: {b: {c: d}}", "the argument parameters.b is neither a text"),
        ("action: a\nparameters: {1: d}", "is not the name of an argument"),
        ('action: a\nparameters: {b: "{{ nobody }}"}', "{{ nobody }} is not declared"),
        ('action: a\nparameters: {b: ["{{ nobody }}"]}', "{{ nobody }} is not declared"),
    ],
)
def test_what_is_not_understood_is_a_problem(block, told):
    broken = parsed(block)
    assert isinstance(broken, Broken)
    assert any(told in str(problem) for problem in broken.problems)
