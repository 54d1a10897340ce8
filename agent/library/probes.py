"""`## Watch`: what the agent looks at by itself, and when that becomes an alert.

    - promql "sum(keeptrusts_pending)"; every 60s; warning > 20; critical > 50
    - free space: command; every 5m; trend 2h; warning < 10; critical when < 0 within 4h; clears > 15
      ```bash
      df --output=avail /var | tail -n 1
      ```
    - keeptrusts pending escalations; every 60s; for 2 looks; warning > 20; critical > 50; clears < 15

One item each; `name:` in front is free. Its first clause says where the number comes from, the others,
separated by `;`, how often and what is too much. What is not understood is a problem: nobody shall believe
that something is watched which is not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from agent.domain.probing import Probe, ProbeKind
from agent.library import code, probe_clauses
from agent.library.blocks import Block, Kind
from agent.library.keys import NOTE_KEYS, is_comment, split_key
from agent.library.outline import Section
from agent.library.parameters import uses_in
from agent.library.problems import NotUnderstoodError, Problems
from agent.library.values import QUOTES, SEMICOLON, read_quoted, shown, split_outside_quotes

MAX_PROBES = 20
MAX_QUERY_CHARS = 4_000
_LONGEST_NAME = 60

_HEAD = re.compile(r"(promql|command|keeptrusts pending escalations)(?![\w-])\s*", re.IGNORECASE)
_KNOWN_HEADS = 'begin with promql "…", command, or keeptrusts pending escalations'
_NOT_IN_KEY = re.compile(r"[^a-z0-9]+")


@dataclass(slots=True)
class _Item:
    """One item's text and code blocks, before they are understood."""

    text: str
    line: int
    blocks: list[Block] = field(default_factory=list)


def parse_section(section: Section, problems: Problems) -> tuple[Probe, ...]:
    """The section's probes; what is not understood is a problem."""
    items = _items(section, problems)
    if not items and not problems.found:
        problems.add(section.line, "Watch has no item", fix=f"add one with `- `: {_KNOWN_HEADS}")
    if len(items) > MAX_PROBES:
        problems.add(items[MAX_PROBES].line, f"more than {MAX_PROBES} items in Watch", fix="watch less")
    probes: dict[str, Probe] = {}
    for item in items[:MAX_PROBES]:
        try:
            probe = _probe(item)
        except NotUnderstoodError as error:
            problems.add(item.line, f"Watch: {error.message}", fix=error.fix)
            continue
        if probe.key in probes:
            problems.add(
                item.line,
                f"Watch: {shown(probe.name)} stands there twice, first in line {probes[probe.key].line}",
                fix="write both thresholds in one item, or give each a name of its own: `- name: …`",
            )
        probes.setdefault(probe.key, probe)
    return tuple(probes.values())


def _items(section: Section, problems: Problems) -> list[_Item]:
    """A text is an item; a code block belongs to the item above it."""
    items: list[_Item] = []
    for block in section.blocks:
        if block.kind is Kind.TEXT and not block.quoted:
            text = " ".join(line.strip() for line in block.lines)
            key_value = split_key(text)
            if key_value is None or key_value[0].lower() not in NOTE_KEYS:
                items.append(_Item(text, block.line))
        elif block.kind is Kind.FENCE and items and not block.quoted:
            items[-1].blocks.append(block)
        elif not (block.kind is Kind.HTML and is_comment(block)):
            what = "a quote" if block.quoted else block.kind
            problems.add(
                block.line,
                f"Watch holds {what}, which means nothing there",
                fix="keep only items with `- `, and below `- command` its ```bash block",
            )
    return items


def _probe(item: _Item) -> Probe:
    name, text = _named(item.text)
    head = _HEAD.match(text)
    if head is None:
        raise NotUnderstoodError(f"{shown(text)} is not understood", _KNOWN_HEADS)
    kind = ProbeKind(head[1].lower())
    query, rest = _query(text[head.end() :], kind)
    if rest and not rest.startswith(";"):
        raise NotUnderstoodError(f"unexpected {shown(rest)} after {kind}", "put `;` between the clauses")
    blank = Probe("", "", item.line, kind, 0.0, ())
    probe = probe_clauses.read(blank, split_outside_quotes(rest.lstrip("; "), SEMICOLON))
    probe = _with_source(probe, query, item.blocks)
    return _with_name(probe, name)


def _named(text: str) -> tuple[str, str]:
    """`free space: command; …` as its name and the rest."""
    if _HEAD.match(text) is not None:
        return "", text
    key_value = split_key(text)
    if key_value is None or _HEAD.match(key_value[1]) is None:
        return "", text
    name = key_value[0]
    if len(name) > _LONGEST_NAME:
        raise NotUnderstoodError("the name is too long", f"use at most {_LONGEST_NAME} characters")
    return name, key_value[1]


def _query(text: str, kind: ProbeKind) -> tuple[str, str]:
    """The query in quotes or backticks behind `promql`, and what follows it."""
    if not text or text.startswith(";"):
        return "", text
    if kind is not ProbeKind.PROMQL:
        return "", text
    if text[0] == "`":
        end = text.find("`", 1)
        if end < 0:
            raise NotUnderstoodError(
                "the ` in front of the query is never closed", "close it behind the query"
            )
        return text[1:end].strip(), text[end + 1 :].strip()
    if text[0] not in QUOTES:
        raise NotUnderstoodError(
            f"the query {shown(text)} is not in quotes", 'write promql "…", promql `…`, or a ```promql block'
        )
    query, end = read_quoted(text, 0)
    return query.strip(), text[end:].strip()


def _with_source(probe: Probe, query: str, blocks: Sequence[Block]) -> Probe:
    if len(blocks) > 1:
        raise NotUnderstoodError(f"{probe.kind} has {len(blocks)} code blocks", "keep one of them")
    match probe.kind:
        case ProbeKind.PROMQL:
            return _with_query(probe, query, blocks)
        case ProbeKind.COMMAND:
            if not blocks:
                raise NotUnderstoodError(
                    "command has no code block", "put its command in a ```bash block below it"
                )
            return _with_command(probe, blocks[0])
        case ProbeKind.PENDING:
            if blocks:
                raise NotUnderstoodError(f"{probe.kind} needs no code block", "remove it")
            return probe


def _with_query(probe: Probe, query: str, blocks: Sequence[Block]) -> Probe:
    if blocks and query:
        raise NotUnderstoodError("promql has a query on its line and one in a code block", "keep one of them")
    if blocks:
        _check_label(blocks[0], ("promql",))
        query = " ".join(line.strip() for line in blocks[0].lines if line.strip())
    if not query:
        raise NotUnderstoodError("promql has no query", 'write promql "…"')
    if len(query) > MAX_QUERY_CHARS:
        raise NotUnderstoodError(
            f"the query is longer than {MAX_QUERY_CHARS} characters", "record it as a rule"
        )
    return replace(probe, query=query)


def _with_command(probe: Probe, block: Block) -> Probe:
    _check_label(block, tuple(each for each in code.LANGUAGES if each != code.ACTION))
    command, line = code.command_of(block)
    for name in uses_in(command):
        raise NotUnderstoodError(
            f"the command uses {{{{ {name} }}}}, and there is no alert yet that could fill it",
            "write the value",
        )
    return replace(probe, command=command, command_line=line)


def _check_label(block: Block, labels: Sequence[str]) -> None:
    if block.language not in labels:
        label = f"has the label {shown(block.info)}" if block.language else "has no label"
        raise NotUnderstoodError(f"its code block {label}", f"label it {', '.join(labels)}")
    if not block.closed:
        raise NotUnderstoodError("its code block is never closed", "close it with ```")


def _with_name(probe: Probe, name: str) -> Probe:
    """Unnamed ones are known by what they look at: another query is another probe."""
    if name:
        key = _NOT_IN_KEY.sub("-", name.lower()).strip("-")
        if not key:
            raise NotUnderstoodError(f"{shown(name)} cannot be a name", "use letters and digits")
        return replace(probe, key=key, name=name)
    if probe.kind is ProbeKind.PENDING:
        return replace(probe, key="pending-escalations", name="pending escalations")
    text = probe.query or probe.command
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    first = next(_lines(text))
    short = first if len(first) <= _LONGEST_NAME else f"{first[: _LONGEST_NAME - 1]}…"
    return replace(probe, key=f"{probe.kind}-{digest}", name=short)


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))
