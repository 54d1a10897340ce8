"""What `kubectl get -o` may print of resources that hold environment values: known harmless fields alone."""

from __future__ import annotations

import re2

from agent.domain.command import Refusal
from agent.safety.grammar import Invocation

_WITH_DATA = frozenset({"configmaps", "controllerrevisions"})
_WITH_VALUES = _WITH_DATA | {
    *("all", "pods", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs"),
}
#: Their form is chosen by kubectl and shows no fields of the specification beyond names and images.
_TABLES = ("", "wide", "name")
_METADATA = (
    "name|generateName|namespace|labels|creationTimestamp|deletionTimestamp|generation|uid|resourceVersion"
    "|ownerReferences|finalizers"
)
_WORKLOAD = (
    "replicas|minReadySeconds|paused|revisionHistoryLimit|progressDeadlineSeconds|selector|strategy"
    "|updateStrategy|serviceName|schedule|suspend|concurrencyPolicy|completions|parallelism|backoffLimit"
    "|activeDeadlineSeconds"
)
_POD = (
    "nodeName|nodeSelector|restartPolicy|priority|priorityClassName|serviceAccountName|tolerations|affinity"
    "|terminationGracePeriodSeconds|schedulerName|dnsPolicy|hostNetwork"
)
_CONTAINER = "(containers|initContainers)[.](name|image|imagePullPolicy|resources|ports)"
#: Field names of a path with its subscripts taken out. Annotations hold whole earlier specifications.
_HARMLESS = re2.compile(
    rf"(status|kind|apiVersion|metadata[.]({_METADATA})"
    rf"|spec[.]({_WORKLOAD})|spec[.](template[.]spec[.]|jobTemplate[.]spec[.]template[.]spec[.])?({_POD}|{_CONTAINER})"
    r")([.].*)?"
)
_SUBSCRIPT = (
    r"\[(?:[0-9:-]{1,16}|\*"
    r"|\?\(@\.(?:[A-Za-z]+|metadata\.name|metadata\.namespace|status(?:\.[A-Za-z]+)+)"
    r""" ?(?:==|!=|<=?|>=?) ?(?:"[^"'\\]*"|'[^"'\\]*'|[0-9]+|true|false)\))\]"""
)
_STEP = r"\.(?:[A-Za-z0-9_/-]|\\\.)+"
_PATH = re2.compile(rf"[$@]?(?:(?:{_STEP}|{_SUBSCRIPT})(?:{_STEP}|{_SUBSCRIPT})*)")
_SUBSCRIPTS = re2.compile(_SUBSCRIPT)
#: kubectl does not end a string at a quote behind a backslash (client-go, util/jsonpath/parser.go), so such a
#: one would have two readings; `\\n` has one.
_STRING = r""""(?:[^"'\\]|'|\\[^"'\\])*"|'(?:[^"'\\]|"|\\[^"'\\])*'"""
_BLOCK = re2.compile(rf"""\{{((?:{_STRING}|[^{{}}"'])*)\}}""")
_TEXT = re2.compile(r"""[^{}]*""")
_LITERAL = re2.compile(_STRING)
_HINT = (
    "use -o wide, or -o jsonpath with single fields of .status, .metadata (not annotations) and "
    ".spec (replicas, containers[*].image, …)"
)


def shows_values(invocation: Invocation, resources: frozenset[str]) -> Refusal | None:
    """Why a reading command might show environment values or a config map's data."""
    held = sorted(resources & _WITH_VALUES)
    if not held:
        return None
    if invocation.command.name == "describe" and resources & _WITH_DATA:
        return Refusal(f"describe shows the data of {held[0]}", "use kubectl get")
    output = invocation.value("-o")
    condition = invocation.value("--for")
    if condition.startswith("jsonpath="):
        output = condition[: condition.rfind("}") + 1] or condition
    if output in _TABLES or _is_harmless(output):
        return None
    return Refusal(f"{output!r} may show environment values and data of {held[0]}", _HINT)


def _is_harmless(output: str) -> bool:
    form, _, template = output.partition("=")
    if form in ("jsonpath", "jsonpath-as-json"):
        return "{" in template and _template_is_harmless(template)
    if form == "custom-columns":
        return all(_column_is_harmless(column) for column in template.split(","))
    return False


def _column_is_harmless(column: str) -> bool:
    path = column.partition(":")[2].removeprefix("{").removesuffix("}")
    return _path_is_harmless("", path if path.startswith((".", "[")) else f".{path}")


def _template_is_harmless(template: str) -> bool:
    """Blocks in braces with text between them; a path inside a range goes on from the range's path."""
    ranges: list[str] = []
    at = 0
    while at < len(template):
        text = _TEXT.match(template[at:])
        at += text.end() if text else 0
        if at == len(template):
            break
        block = _BLOCK.match(template[at:])
        if block is None or not _block_is_harmless(block.group(1).strip(), ranges):
            return False
        at += block.end()
    return not ranges


def _block_is_harmless(block: str, ranges: list[str]) -> bool:
    """One block; `range` and `end` change where paths begin."""
    if _LITERAL.fullmatch(block):
        return True
    if block == "end":
        return bool(ranges) and bool(ranges.pop())
    if block.startswith("range "):
        path = block.removeprefix("range ").strip()
        if ranges or not _PATH.fullmatch(path):
            return False
        ranges.append(path)
        return True
    return _path_is_harmless(ranges[-1] if ranges else "", block)


def _path_is_harmless(start: str, path: str) -> bool:
    if not _PATH.fullmatch(path):
        return False
    fields = str(_SUBSCRIPTS.sub("", start.lstrip("$@") + path.lstrip("$@"))).removeprefix(".")
    inside = fields.removeprefix("items.")
    return _HARMLESS.fullmatch(inside) is not None
