"""Prices a typed action: what it would do to the world, and what it may reach, or why it is refused."""

from __future__ import annotations

from agent.domain.command import Refusal
from agent.domain.runbook import Action
from agent.ports import Counter
from agent.safety import actions_aws, actions_keeptrusts, actions_kubernetes
from agent.safety.actions_arguments import Arguments, Form, read
from agent.safety.actions_binding import bind
from agent.safety.analysis import Analysis
from agent.safety.effects import EffectTables
from agent.safety.grammar import nearest

__all__ = ["NAMES", "analyse", "bind"]

#: Every action there is.
NAMES: tuple[str, ...] = (
    *actions_kubernetes.ACTIONS,
    *actions_aws.ACTIONS,
    *actions_keeptrusts.ACTIONS,
)


def analyse(
    action: Action, tables: EffectTables, *, counter: Counter | None = None
) -> tuple[tuple[str, ...], Analysis] | Refusal:
    """The action in words, and its analysis; parameters must have been bound."""
    form = _form(action.name)
    if form is None:
        hint = nearest(action.name, NAMES, noun="action")
        return Refusal(f"the action {action.name} is not known", hint)
    arguments = read(action, form)
    if isinstance(arguments, Refusal):
        return arguments
    found = _analysis(arguments, tables, counter)
    return found if isinstance(found, Refusal) else (arguments.words, found)


def _form(name: str) -> Form | None:
    if name in actions_kubernetes.ACTIONS:
        return actions_kubernetes.ACTIONS[name].form
    if name in actions_keeptrusts.ACTIONS:
        return actions_keeptrusts.ACTIONS[name].form
    return actions_aws.ACTIONS[name].form if name in actions_aws.ACTIONS else None


def _analysis(arguments: Arguments, tables: EffectTables, counter: Counter | None) -> Analysis | Refusal:
    if arguments.action in actions_kubernetes.ACTIONS:
        return actions_kubernetes.analyse(arguments, tables, counter)
    if arguments.action in actions_keeptrusts.ACTIONS:
        return actions_keeptrusts.analyse(arguments, tables.keeptrusts)
    return actions_aws.analyse(arguments, tables, counter)
