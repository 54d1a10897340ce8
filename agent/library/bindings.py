"""Parameters filled from an alert: every value checked whole, or a refusal that names what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.domain.alert import Alert
from agent.domain.command import Refusal
from agent.domain.decisions import ParameterValue
from agent.domain.runbook import Parameter
from agent.library import regexes
from agent.library.trigger_verdicts import field_of
from agent.library.values import shown

#: Longer values are not names any more.
MAX_VALUE_CHARS = 256
ALERT_FIELDS = (
    "title",
    "body",
    "service",
    "source",
    "severity",
    "urgency",
    "priority",
    "team",
    "environment",
)


def bind(
    parameters: Sequence[Parameter],
    alert: Alert,
    *,
    chosen: Mapping[str, str] | None = None,
    edited: Mapping[str, str] | None = None,
) -> Mapping[str, ParameterValue] | Refusal:
    """The value of every parameter, or why the runbook cannot run for this alert.

    `chosen` holds values that a human or the advisor picked for parameters that the alert leaves
    open, `edited` those that a human wants whatever the alert says; they are checked like any other.
    Parameters that a step captures have no value yet.
    """
    values: dict[str, ParameterValue] = {}
    for parameter in parameters:
        if parameter.captured:
            continue
        wanted = (edited or {}).get(parameter.name)
        if wanted is not None:
            bound = _checked(parameter, ParameterValue(wanted, "edited"))
        else:
            bound = _bound(parameter, alert, (chosen or {}).get(parameter.name))
        if isinstance(bound, Refusal):
            return bound
        values[parameter.name] = bound
    return values


def check_captured(parameter: Parameter, value: ParameterValue) -> ParameterValue | Refusal:
    """A captured value held to its parameter's declaration, before a command may use it."""
    return _checked(parameter, value)


def why_not_allowed(parameter: Parameter, value: str) -> str:
    """Why a value may not be used for the parameter; empty if it may."""
    if not value:
        return "an empty value"
    if len(value) > MAX_VALUE_CHARS:
        return f"a value longer than {MAX_VALUE_CHARS} characters"
    if not value.isprintable():
        return f"{shown(value)} has characters that cannot be printed"
    if value.startswith("-"):
        return f"{shown(value)} begins with a hyphen, so a command would take it for an option"
    if parameter.one_of and value not in parameter.one_of:
        return f"{shown(value)} is not one of {', '.join(parameter.one_of)}"
    if parameter.pattern and not regexes.is_whole(parameter.pattern, value):
        return f"{shown(value)} does not match /{parameter.pattern}/ as a whole"
    if not parameter.pattern and not parameter.one_of:
        return f"{shown(value)} is held to no pattern"
    return ""


def _bound(parameter: Parameter, alert: Alert, chosen: str | None) -> ParameterValue | Refusal:
    found = _from_alert(parameter, alert)
    if found is not None:
        return _checked(parameter, found)
    if chosen is not None:
        return _checked(parameter, ParameterValue(chosen, "chosen"))
    if parameter.default is not None:
        return _checked(parameter, ParameterValue(parameter.default, "default"))
    return Refusal(f"parameter {parameter.name} has no value: {_missing(parameter)}", _hint(parameter))


def _from_alert(parameter: Parameter, alert: Alert) -> ParameterValue | None:
    name = f"label.{parameter.label}" if parameter.label else parameter.alert_field
    text = field_of(alert, name) if name else ""
    if not text:
        return None
    origin = f"label {parameter.label}" if parameter.label else f"alert's {parameter.alert_field}"
    if not parameter.field_pattern:
        return ParameterValue(text, origin)
    picked = regexes.first_group(parameter.field_pattern, text)
    return ParameterValue(picked, f"{origin}, /{parameter.field_pattern}/") if picked else None


def _checked(parameter: Parameter, value: ParameterValue) -> ParameterValue | Refusal:
    reason = why_not_allowed(parameter, value.value)
    if not reason:
        return value
    return Refusal(
        f"parameter {parameter.name}: {reason} (from {value.origin})",
        "correct the alert, or the parameter's declaration in the runbook",
    )


def _missing(parameter: Parameter) -> str:
    if parameter.label:
        what = f"the alert's label {shown(parameter.label)}"
    elif parameter.alert_field:
        what = f"the alert's {parameter.alert_field}"
    else:
        return "somebody must choose it"
    if parameter.field_pattern:
        return f"{what} has no match of /{parameter.field_pattern}/"
    return f"{what} is missing"


def _hint(parameter: Parameter) -> str:
    if parameter.one_of:
        return f"choose one of {', '.join(parameter.one_of)}, or add a default to the runbook"
    return "have the alert carry it, or add a default to the runbook"
