"""Typed actions on Kubernetes: each is the kubectl command that does the same, and is priced as that one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from agent.domain.command import Filled, Refusal
from agent.ports import Counter
from agent.safety.actions_arguments import Argument, Arguments, Form, Text, Texts, Whole, Words, YesNo
from agent.safety.actions_binding import COMMAND
from agent.safety.analysis import Analysis
from agent.safety.effects import EffectTables
from agent.safety.rule_kubectl_changes import MOST_REPLICAS

DEFAULT_TAIL = 100
_NAMESPACE = Argument("namespace", Text(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "a namespace"))
_NAME = Text(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", "a name")
_SELECTOR = Text(r"[A-Za-z0-9._/=!,() -]{1,512}", "a selector")
_KINDS = ("deployment", "statefulset", "daemonset")
_WORKLOADS = tuple(Argument(kind, _NAME) for kind in _KINDS)
_TARGETS = (Argument("pod", _NAME), *_WORKLOADS)
_CONTAINER = Argument("container", _NAME, required=False)
_NODE = Form((Argument("node", _NAME),))


@dataclass(frozen=True, slots=True)
class KubernetesAction:
    """What it takes, and its kubectl command."""

    form: Form
    command: Callable[[Arguments], tuple[str, ...]]


def _target(arguments: Arguments) -> str:
    return "/".join(arguments.chosen(("pod", *_KINDS)))


def _within(arguments: Arguments) -> tuple[str, str]:
    return ("-n", arguments.text("namespace"))


def _container(arguments: Arguments) -> tuple[str, ...]:
    name = arguments.text("container")
    return ("-c", name) if name else ()


def _restart(arguments: Arguments) -> tuple[str, ...]:
    return ("kubectl", "rollout", "restart", _target(arguments), *_within(arguments))


def _delete_pod(arguments: Arguments) -> tuple[str, ...]:
    labels, fields = arguments.text("selector"), arguments.text("field_selector")
    chosen = (
        *((f"--selector={labels}",) if labels else ()),
        *((f"--field-selector={fields}",) if fields else ()),
    )
    names = (arguments.text("pod"),) if arguments.text("pod") else arguments.texts("pods")
    return ("kubectl", "delete", "pods", *names, *chosen, *_within(arguments))


def _scale(arguments: Arguments) -> tuple[str, ...]:
    present = arguments.number("from_replicas")
    condition = () if present is None else (f"--current-replicas={present}",)
    replicas = f"--replicas={arguments.number('replicas')}"
    return ("kubectl", "scale", _target(arguments), replicas, *condition, *_within(arguments))


def _exec(arguments: Arguments) -> tuple[str, ...]:
    where = (*_within(arguments), *_container(arguments))
    return ("kubectl", "exec", _target(arguments), *where, "--", *arguments.texts(COMMAND))


def _cordon(arguments: Arguments) -> tuple[str, ...]:
    return ("kubectl", arguments.action.rpartition(".")[2], arguments.text("node"))


def _drain(arguments: Arguments) -> tuple[str, ...]:
    return ("kubectl", "drain", arguments.text("node"), "--ignore-daemonsets")


def _logs(arguments: Arguments) -> tuple[str, ...]:
    tail = arguments.number("tail") or DEFAULT_TAIL
    previous = ("--previous",) if arguments.flag("previous") else ()
    options = (*_container(arguments), f"--tail={tail}", *previous, *_within(arguments))
    return ("kubectl", "logs", _target(arguments), *options)


def _wait_ready(arguments: Arguments) -> tuple[str, ...]:
    target = _target(arguments)
    if target.startswith("pod/"):
        return ("kubectl", "wait", "--for=condition=Ready", target, *_within(arguments))
    return ("kubectl", "rollout", "status", target, *_within(arguments))


ACTIONS: Mapping[str, KubernetesAction] = {
    "kubernetes.rollout_restart": KubernetesAction(Form((_NAMESPACE,), _WORKLOADS), _restart),
    "kubernetes.delete_pod": KubernetesAction(
        Form(
            (_NAMESPACE, Argument("field_selector", _SELECTOR, required=False)),
            (Argument("pod", _NAME), Argument("pods", Texts(_NAME, 64)), Argument("selector", _SELECTOR)),
        ),
        _delete_pod,
    ),
    "kubernetes.scale": KubernetesAction(
        Form(
            (
                _NAMESPACE,
                Argument("replicas", Whole(1, MOST_REPLICAS)),
                Argument("from_replicas", Whole(0, MOST_REPLICAS), required=False),
            ),
            _WORKLOADS[:2],
        ),
        _scale,
    ),
    "kubernetes.exec": KubernetesAction(
        Form((_NAMESPACE, _CONTAINER, Argument(COMMAND, Words())), _TARGETS), _exec
    ),
    "kubernetes.cordon": KubernetesAction(_NODE, _cordon),
    "kubernetes.uncordon": KubernetesAction(_NODE, _cordon),
    "kubernetes.drain": KubernetesAction(_NODE, _drain),
    "kubernetes.logs": KubernetesAction(
        Form(
            (
                _NAMESPACE,
                _CONTAINER,
                Argument("tail", Whole(1, 10_000), required=False),
                Argument("previous", YesNo(), required=False),
            ),
            _TARGETS,
        ),
        _logs,
    ),
    "kubernetes.wait_ready": KubernetesAction(Form((_NAMESPACE,), _TARGETS), _wait_ready),
}


def analyse(arguments: Arguments, tables: EffectTables, counter: Counter | None) -> Analysis | Refusal:
    """The analysis of the kubectl command that does the same."""
    if arguments.text("field_selector") and not arguments.text("selector"):
        return Refusal(f"{arguments.action}: field_selector without selector", "add selector")
    argv = ACTIONS[arguments.action].command(arguments)
    found = tables.analyse(argv, counter=counter, filled=_shifted(arguments, argv))
    if isinstance(found, Refusal):
        command = " ".join(argv[:3] if argv[1] == "rollout" else argv[:2])
        return Refusal(found.reason.replace(command, arguments.action, 1), found.hint)
    return found


def _shifted(arguments: Arguments, argv: tuple[str, ...]) -> tuple[Filled, ...]:
    """Parameters stand in the words of `command`, which are the last ones of the argv."""
    first = len(argv) - len(arguments.texts(COMMAND))
    return tuple(replace(each, word=first + each.word) for each in arguments.filled)
