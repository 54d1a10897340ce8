"""*Analytics*: how much the agent does alone, why and when people are needed, and how fast they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request
from markupsafe import Markup

from agent.reports import plots
from agent.reports.plots import Column
from agent.reports.sla import SlaReport
from agent.reports.statistics import Counted, Statistics, without_gaps

if TYPE_CHECKING:
    from agent.web.app import WebParts
    from agent.web.console.frame import Frame

_PERIODS = (7, 30, 90, 365)
_SHOWN = 10
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def add_routes(routes: Blueprint, parts: WebParts, frame: Frame) -> None:
    """One page."""

    @routes.get("/analytics")
    def analytics() -> Response:
        actor = frame.viewer()
        period = next((each for each in _PERIODS if str(each) == request.args.get("period")), 30)
        until = frame.now() + timedelta(seconds=1)
        since = until - timedelta(days=period)
        with parts.room.taken():
            counted = parts.store.statistics(since, until)
            report = parts.store.queue_report(since, until)
        stats = replace(counted, days=without_gaps(counted.days, since, until))
        return frame.page(
            "analytics.html",
            actor,
            period=period,
            periods=_PERIODS,
            stats=stats,
            report=report,
            causes=[Counted(each.what, each.made) for each in report.causes[:_SHOWN]],
            eager=[each.what for each in report.causes if each.is_eager],
            actions=[Counted(name, many) for name, many in report.by_action.items()],
            consumers=[Counted(name, many) for name, many in report.repeat_consumers[:_SHOWN]],
            trend_plot=_trend_plot(report),
            hours_plot=_hours_plot(report.hours),
            weekly=len(stats.days) < period,
            ends_plot=_ends_plot(stats),
            heat_plot=_plot(plots.heat(stats.hours or {}, title="Alerts by weekday and hour of UTC")),
            busiest=_busiest(stats.hours or {}),
        )


def _plot(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704  (drawn by `reports.plots`, which escapes every text)


def _ends_plot(stats: Statistics) -> Markup:
    drawn = [
        Column(
            f"{each.day:%-d %b}",
            (
                ("good", each.resolved, f"{each.resolved} resolved alone"),
                ("bad", each.escalated, f"{each.escalated} escalated"),
                ("calm", each.stood_down, f"{each.stood_down} taken over"),
            ),
        )
        for each in stats.days
    ]
    title = f"{stats.resolved} of {stats.total} incidents were resolved alone"
    return _plot(plots.columns(drawn, title=title))


def _busiest(hours: Mapping[tuple[int, int], int]) -> str:
    if not hours:
        return "none came"
    (day, hour), many = max(hours.items(), key=lambda each: each[1])
    return f"most on {_DAYS[day]}s from {hour:02}:00 ({many})"


def _trend_plot(report: SlaReport) -> Markup:
    weeks = [(start, tally) for start, tally in report.by_week.items() if tally.compliance is not None]
    drawn = [
        Column(
            f"{start:%-d %b}",
            (("good", 100 * share, f"{share:.0%} kept"), ("bad", 100 * (1 - share), "late")),
        )
        for start, share in ((start, tally.compliance or 0.0) for start, tally in weeks)
    ]
    title = f"Share of escalations settled in time, by week: {report.trend}"
    return _plot(plots.columns(drawn, title=title, top=100, unit=" %", width=plots.NARROW))


def _hours_plot(hours: Mapping[int, int]) -> Markup:
    drawn = [
        Column(f"{hour:02}", (("bad", hours.get(hour, 0), f"{hours.get(hour, 0)} escalations"),))
        for hour in range(24)
    ]
    return _plot(plots.columns(drawn, title="Escalations by hour of the day, in UTC"))
