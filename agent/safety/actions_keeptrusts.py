"""Typed actions on Keeptrusts: configurations of its gateways, and what can be asked of it.

A command line cannot say them safely: the body of a PUT is what another request has just answered, and both
carry a token. Here nothing but names comes from the runbook; the token never leaves the agent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.domain.access import Access, Network
from agent.domain.command import Refusal
from agent.domain.effects import Effect, EffectClass
from agent.safety.actions_arguments import Argument, Arguments, Form, Text, Whole
from agent.safety.analysis import Analysis
from agent.safety.grammar import nearest
from agent.safety.places import KeeptrustsPlaces

#: An exception that is needed for longer is a change of the configuration, with a review of its own.
LONGEST_BYPASS_MINUTES = 240
#: What is asked of the events, at most a day back.
_LONGEST_LOOK_MINUTES = 1_440

_CONFIGURATION = Argument("configuration", Text(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", "a configuration's id"))
_VERSION = Argument("version", Text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a version"))
_NAME = Text(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "a name of the configuration")
_POLICY = Argument("policy", Text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", "a policy's name"), required=False)


@dataclass(frozen=True, slots=True)
class KeeptrustsAction:
    """What it takes, what it does, and where it asks."""

    form: Form
    effects: Callable[[Arguments], tuple[Effect, ...]]
    host: Callable[[Arguments, KeeptrustsPlaces], str | Refusal]


def _api(arguments: Arguments, places: KeeptrustsPlaces) -> str | Refusal:
    if places.api:
        return places.api
    return Refusal(
        f"{arguments.action}: Keeptrusts is not configured", "set keeptrusts.api_url and keeptrusts.api_token"
    )


def _gateway(arguments: Arguments, places: KeeptrustsPlaces) -> str | Refusal:
    return _named(arguments, "gateway", "keeptrusts.gateways", places.gateways, places)


def _status_page(arguments: Arguments, places: KeeptrustsPlaces) -> str | Refusal:
    return _named(arguments, "provider", "keeptrusts.status_pages", places.status_pages, places)


def _named(
    arguments: Arguments, argument: str, key: str, known: Mapping[str, str], places: KeeptrustsPlaces
) -> str | Refusal:
    name = arguments.text(argument)
    if name in known:
        return known[name]
    if places.any_name:
        return f"{name}:443"
    hint = nearest(name, known, noun=argument) if known else f"add it: {key}: {{{name}: URL}}"
    return Refusal(f"{arguments.action}: {key} has no {name}", hint)


def _reads(what: str) -> Callable[[Arguments], tuple[Effect, ...]]:
    def effects(arguments: Arguments) -> tuple[Effect, ...]:
        names = [arguments.text(name) for name in ("configuration", "version", "gateway", "provider")]
        return (Effect(EffectClass.READ, " ".join([what, *(name for name in names if name)])),)

    return effects


def _rollback(arguments: Arguments) -> tuple[Effect, ...]:
    return (Effect(EffectClass.CONFIG_CHANGE, _target(arguments)),)


def _bypass(arguments: Arguments) -> tuple[Effect, ...]:
    """Its end is paid for with its beginning: nothing may stand in the way of it later."""
    return (Effect(EffectClass.CONFIG_CHANGE, _target(arguments), 2),)


def _target(arguments: Arguments) -> str:
    return f"keeptrusts configuration {arguments.text('configuration')}"


ACTIONS: Mapping[str, KeeptrustsAction] = {
    "keeptrusts.count_pending_escalations": KeeptrustsAction(Form(()), _reads("pending escalations"), _api),
    "keeptrusts.count_blocked_events": KeeptrustsAction(
        Form((Argument("minutes", Whole(1, _LONGEST_LOOK_MINUTES)),)), _reads("blocked events"), _api
    ),
    "keeptrusts.gateway_health": KeeptrustsAction(
        Form((Argument("gateway", _NAME),)), _reads("health of gateway"), _gateway
    ),
    "keeptrusts.provider_status": KeeptrustsAction(
        Form((Argument("provider", _NAME),)), _reads("status of provider"), _status_page
    ),
    "keeptrusts.lint_configuration": KeeptrustsAction(
        Form((_CONFIGURATION, _VERSION)), _reads("lint of configuration"), _api
    ),
    "keeptrusts.rollback_configuration": KeeptrustsAction(Form((_CONFIGURATION, _VERSION)), _rollback, _api),
    "keeptrusts.apply_bypass": KeeptrustsAction(
        Form((_CONFIGURATION, Argument("minutes", Whole(1, LONGEST_BYPASS_MINUTES)), _POLICY)), _bypass, _api
    ),
    "keeptrusts.end_bypass": KeeptrustsAction(Form((_CONFIGURATION,)), _rollback, _api),
}


def analyse(arguments: Arguments, places: KeeptrustsPlaces) -> Analysis | Refusal:
    """Effects, and the one host that it asks."""
    action = ACTIONS[arguments.action]
    host = action.host(arguments, places)
    if isinstance(host, Refusal):
        return host
    return Analysis(action.effects(arguments), (host,), access=Access(Network.EGRESS, (host,)))
