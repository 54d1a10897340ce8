"""Escalations and their report on the terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.table import Table

from agent.cli.output import console, plain
from agent.domain.queue import Escalated
from agent.reports.sla import SlaReport, Tally
from agent.reports.summary import duration

_LIGHTS = {"green": "green", "amber": "yellow", "breached": "red"}

_COLUMNS = ("severity", "made", "settled", "within SLA", "breaches", "kept", "to acknowledge", "to resolve")


def queue_table(rows: list[dict[str, Any]], now: datetime) -> Table:
    """What waits, a line each."""
    table = Table(box=None, pad_edge=False)
    columns = ("id", "since", "severity", "waits for", "until", "whose", "why", "title")
    for position, name in enumerate(columns):
        table.add_column(name, no_wrap=position < 3, overflow="fold")
    for row in rows:
        told = (row.get("reason") or row["trigger"], row["title"])
        why, title = (plain(str(text)) for text in told)
        whose = plain(str(row.get("assignee") or row.get("target") or "–"))
        severity = plain(str(row.get("rank") or row["severity"] or "–"))
        waits_for = plain(str(row["waits_for"]))
        until = _until(row, now)
        ident = str(row["incident_id"] or row.get("id"))
        table.add_row(ident, str(row["created_at"])[:19], severity, waits_for, until, whose, why, title)
    return table


def _until(row: dict[str, Any], now: datetime) -> str:
    if row.get("deadline") is None:
        return str(row["until"] or "–")[:19]
    colour = _LIGHTS[row["light"]]
    left_s = (datetime.fromisoformat(row["deadline"]) - now).total_seconds()
    words = f"{duration(left_s)} left" if left_s > 0 else f"{duration(-left_s)} over"
    return f"[{colour}]{words}[/{colour}]"


def print_line(found: Escalated) -> None:
    """Whose it is now."""
    whose = f"with {found.assignee}" if found.assignee else f"for {found.target}"
    console.print(f"{found.id} is {found.status.value}, {plain(whose)}")


def print_item(found: Escalated, shown: dict[str, Any]) -> None:
    """All of one."""
    console.print(f"[bold]{plain(str(shown['title']))}[/bold]  {found.status.value}, {found.rank.value}")
    console.print(f"{found.id}  {plain(str(shown['reason']))}")
    print_line(found)
    colour = _LIGHTS[shown["light"]]
    deadline = f"[{colour}]{found.deadline:%Y-%m-%d %H:%M:%S} UTC[/{colour}]"
    console.print(f"deadline {deadline} by rule {plain(found.rule)}")
    for name, value in shown["facts"].items():
        console.print(f"[bold]{plain(str(name))}[/bold]: {plain(str(value))}")
    for event in shown["evidence"]["timeline"]:
        console.print(f"[dim]{str(event['at'])[11:19]}[/dim] {plain(str(event['text']))}")
    for each in shown["evidence"]["history"]:
        console.print(f"[dim]before: {each['id']} {plain(str(each['title']))} ({each['status']})[/dim]")


def print_report(found: SlaReport) -> None:
    """The report as tables."""
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name)
    for rank, tally in found.by_rank.items():
        table.add_row(rank.value, *_figures(tally))
    table.add_row("[bold]all[/bold]", *_figures(found.total))
    console.print(table)
    total = found.total
    if total.response_compliance is not None:
        console.print(f"\nanswered in time: {total.answered}, late: {total.unanswered}")
    console.print(f"\ntrend: {found.trend}")
    for monday, tally in found.by_week.items():
        console.print(f"  week of {monday}: {tally.made} made, {_share(tally)} kept, {tally.broken} breaches")
    for title, lines in _lists(found):
        console.print(f"\n{title}" if lines else "", end="\n" if lines else "")
        for line in lines:
            console.print(f"  {plain(line)}")


def _lists(found: SlaReport) -> list[tuple[str, list[str]]]:
    eager = " (mostly harmless: its threshold may be too low)"
    return [
        (
            "what calls humans",
            [f"{each.made} {each.what}{eager * each.is_eager}" for each in found.causes[:10]],
        ),
        ("how it was settled", [f"{count} {action}" for action, count in found.by_action.items()]),
        (
            "who settled it",
            [
                f"{each.name}: {each.settled}, {duration(each.mean_to_resolve_s)} each"
                for each in found.reviewers
            ],
        ),
        ("consumers that come again", [f"{name}: {count}" for name, count in found.repeat_consumers]),
    ]


def _figures(tally: Tally) -> tuple[str, ...]:
    times = (tally.mean_to_acknowledge_s, tally.mean_to_resolve_s)
    shown = tuple("–" if each is None else duration(each) for each in times)
    return (str(tally.made), str(tally.settled), str(tally.kept), str(tally.broken), _share(tally), *shown)


def _share(tally: Tally) -> str:
    return "–" if tally.compliance is None else f"{tally.compliance:.1%}"
