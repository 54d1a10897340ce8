"""What the runbooks of a library need of Kubernetes and AWS, and which step needs it: no more is granted.

Every step is priced with the same tables that judge it when a page comes in; the sum of what its commands may
reach is the least Role and the least IAM policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import re2

from agent.domain.access import Access, ChangeForm, CloudRight, ClusterChange, ClusterRight
from agent.domain.command import PricedCommand, Refusal, Script
from agent.domain.decisions import Section
from agent.domain.effects import BlastRadius
from agent.domain.runbook import Action, Runbook, Step
from agent.ports import Cluster
from agent.safety import actions, language
from agent.safety.least_samples import OneOfEverything, is_unknown, values_of, with_any
from agent.safety.policy import Guard, Judged, price_plan

#: Every signed-in user may ask what they may do (the cluster role system:basic-user).
_OF_EVERYBODY = frozenset({"authorization.k8s.io", "authentication.k8s.io"})
#: How many effects one attempt has is counted when the page comes in, not here.
_UNCOUNTED = 10**9
_SLOT = re2.compile(r"\{\{[ \t]*([a-z_][a-z0-9_]*)[ \t]*\}\}")


@dataclass(frozen=True, slots=True, order=True)
class StepName:
    """A step, as people find it."""

    runbook: str
    section: Section
    index: int
    path: str = ""
    line: int = 0

    def __str__(self) -> str:
        return steps_in_words([self])


def steps_in_words(steps: Sequence[StepName]) -> str:
    """`redis-timeout steps 1, 2, verify step 1; disk-full step 3`."""
    by_runbook: dict[str, dict[Section, list[int]]] = {}
    for step in steps:
        by_runbook.setdefault(step.runbook, {}).setdefault(step.section, []).append(step.index)
    return "; ".join(
        f"{runbook} {', '.join(_numbers(section, numbers) for section, numbers in sections.items())}"
        for runbook, sections in by_runbook.items()
    )


def _numbers(section: Section, numbers: Sequence[int]) -> str:
    names = {Section.STEPS: "step", Section.VERIFY: "verify step", Section.ROLLBACK: "rollback step"}
    plural = "s" if len(numbers) > 1 else ""
    return f"{names[section]}{plural} {', '.join(map(str, numbers))}"


@dataclass(frozen=True, slots=True)
class NotGranted:
    """A step that the guard refuses: nothing is granted for it."""

    step: StepName
    reason: str


@dataclass(frozen=True, slots=True)
class StepRights:
    """What one step needs: what its commands ask for, and what is asked to count and to look before them."""

    step: StepName
    cluster: tuple[ClusterRight, ...] = ()
    cloud: tuple[CloudRight, ...] = ()


@dataclass(frozen=True, slots=True)
class LibraryRights:
    """What a whole library needs, step by step."""

    steps: tuple[StepRights, ...]
    not_granted: tuple[NotGranted, ...] = ()


def rights_of(runbooks: Iterable[Runbook], guard_of: Callable[[Runbook], Guard]) -> LibraryRights:
    """What each step of each runbook needs, and the steps that are refused whatever the alert says."""
    steps: list[StepRights] = []
    refused: list[NotGranted] = []
    for runbook in sorted(runbooks, key=lambda each: each.id):
        guard = _uncounted(guard_of(runbook))
        for name, step in _steps_of(runbook):
            found = _rights_of_step(runbook, step, guard)
            if isinstance(found, Refusal):
                refused.append(NotGranted(name, str(found)))
            else:
                steps.append(StepRights(name, *found))
    return LibraryRights(tuple(steps), tuple(refused))


def _steps_of(runbook: Runbook) -> Iterator[tuple[StepName, Step]]:
    verify = runbook.verification.steps if runbook.verification else ()
    for section, steps in (
        (Section.STEPS, runbook.steps),
        (Section.VERIFY, verify),
        (Section.ROLLBACK, runbook.rollback),
    ):
        for step in steps:
            yield (
                StepName(runbook.id, section, step.index, runbook.path, step.command_line or step.line),
                step,
            )


def _uncounted(guard: Guard) -> Guard:
    """The guard with limits that only say which classes of effects there may be at all."""
    radius: BlastRadius = guard.blast_radius
    limits = {effect: _UNCOUNTED if limit else 0 for effect, limit in radius.limits.items()}
    return replace(guard, blast_radius=replace(radius, limits=limits, max_commands=None))


_Rights = tuple[tuple[ClusterRight, ...], tuple[CloudRight, ...]]


def _rights_of_step(runbook: Runbook, step: Step, guard: Guard) -> _Rights | Refusal:
    """The union over everything that the parameters may be; the first refusal if none of it is allowed."""
    names = _parameters_of(step)
    if isinstance(names, Refusal):
        return names
    namespaces = guard.blast_radius.namespaces or tuple(guard.allowed_namespaces)
    cluster: dict[ClusterRight, None] = {}
    cloud: dict[CloudRight, None] = {}
    refusal: Refusal | None = None
    is_allowed = False
    for values in values_of(runbook.parameters, names, namespaces):
        found = _rights_with(step, values, guard)
        if isinstance(found, Refusal):
            refusal = refusal or found
            continue
        is_allowed = True
        cluster |= dict.fromkeys(found[0])
        cloud |= dict.fromkeys(found[1])
    if not is_allowed:
        return refusal or Refusal("it could not be priced")
    return tuple(cluster), tuple(cloud)


def _parameters_of(step: Step) -> Sequence[str] | Refusal:
    if step.action is not None:
        return tuple(dict.fromkeys(_SLOT.findall(str(dict(step.action.arguments)))))
    template = language.parse(step.command)
    return template if isinstance(template, Refusal) else template.placeholders


def _rights_with(step: Step, values: Mapping[str, str], guard: Guard) -> _Rights | Refusal:
    counter = OneOfEverything()
    commands = _priced(step, values, replace(guard, counter=counter))
    if isinstance(commands, Refusal):
        return commands
    refusal = next((each.refusal for each in commands if each.refusal), None)
    if refusal is not None:
        return refusal
    needed = [right for each in commands for right in cluster_rights(each.access)]
    cloud = (right for each in commands for right in each.access.cloud)
    return (
        tuple(dict.fromkeys(_known(right) for right in (*counter.asked, *needed) if _is_own(right))),
        tuple(dict.fromkeys(replace(right, resource=with_any(right.resource)) for right in cloud)),
    )


def _priced(step: Step, values: Mapping[str, str], guard: Guard) -> Sequence[PricedCommand] | Refusal:
    if step.action is not None:
        work: Script | Judged | Refusal = _judged(step.action, values, guard)
    else:
        template = language.parse(step.command)
        work = template if isinstance(template, Refusal) else language.bind(template, values)
    return work if isinstance(work, Refusal) else price_plan([work], guard)[0]


def _judged(action: Action, values: Mapping[str, str], guard: Guard) -> Judged | Refusal:
    bound = actions.bind(action, values)
    if isinstance(bound, Refusal):
        return bound
    found = actions.analyse(bound, guard.tables, counter=guard.counter)
    return found if isinstance(found, Refusal) else Judged(*found)


def cluster_rights(access: Access) -> Iterator[ClusterRight]:
    """What one command asks of the cluster, and what the metering proxy looks at before a change."""
    yield from access.cluster
    for change in access.changes:
        yield from change.rights
        yield from _looked_at(change)


def _looked_at(change: ClusterChange) -> Iterator[ClusterRight]:
    right = change.right
    match change.form:
        case ChangeForm.RESTART | ChangeForm.SCALE:
            yield replace(right, verb="get")
        case ChangeForm.UNDO:
            yield replace(right, verb="get")
            history = "replicasets" if right.resource == "deployments" else "controllerrevisions"
            yield replace(right, verb="list", resource=history, group="apps", name="")
        case ChangeForm.EXEC:
            yield ClusterRight("get", "pods", namespace=right.namespace, name=_pod_name(right))
            if right.resource != "pods":
                yield replace(right, verb="get", subresource="")
        case ChangeForm.EVICT | ChangeForm.DELETE | ChangeForm.CORDON | ChangeForm.UNCORDON:
            return


def _pod_name(right: ClusterRight) -> str:
    return right.name if right.resource == "pods" else ""


def _is_own(right: ClusterRight) -> bool:
    return right.group not in _OF_EVERYBODY


def _known(right: ClusterRight) -> ClusterRight:
    """The right with any name, or all namespaces, where they are only known when a page comes in."""
    name = "" if is_unknown(right.name) else right.name
    namespace = "*" if is_unknown(right.namespace) else right.namespace
    return replace(right, name=name, namespace=namespace)


@dataclass(frozen=True, slots=True)
class Missing:
    """A right that our credentials lack, and the steps that cannot run without it."""

    right: ClusterRight
    steps: tuple[StepName, ...]

    def __str__(self) -> str:
        return f"your Role misses {in_words(self.right)} ({steps_in_words(self.steps)})"


def missing(rights: LibraryRights, cluster: Cluster) -> tuple[Missing, ...]:
    """What the steps need and our credentials may not do."""
    needed: dict[ClusterRight, dict[StepName, None]] = {}
    for step in rights.steps:
        for right in step.cluster:
            needed.setdefault(right, {})[step.step] = None
    return tuple(Missing(right, tuple(needed[right])) for right in cluster.denied(list(needed)))


def in_words(right: ClusterRight) -> str:
    """`create on pods/exec in production`, as one says it to whoever maintains the Role."""
    resource = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
    named = f" {right.name}" if right.name else ""
    group = f".{right.group}" if right.group else ""
    where = {"": "", "*": " in all namespaces"}.get(right.namespace, f" in {right.namespace}")
    return f"{right.verb} on {resource}{group}{named}{where}"
