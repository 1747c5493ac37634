"""Figures as a person reads them in a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from standpipe_bench.closed_loop import ClosedLoop
from standpipe_bench.comparison import Comparison, Goal
from standpipe_bench.demo import DemoCall
from standpipe_bench.generation import Finding
from standpipe_bench.statistics import Summary

Run = tuple[str, int, ClosedLoop, Summary]
"""A closed-loop run: target, items per call, schedule, figures."""


def calls_table(calls: Sequence[DemoCall]) -> Table:
    """Calls of the demo: what went in, what came out, how long it took."""
    table = _table("every RPC, once", ["RPC", "in", "out"], ["ms"])
    for call in calls:
        # Text, not markup: "[MASK]" is one of the inputs.
        given, got = Text(call.given), Text(call.got, style="" if call.answered else "dim")
        table.add_row(call.rpc.rpartition(".")[2], given, got, f"{call.milliseconds:.1f}")
    return table


def runs_table(runs: Sequence[Run]) -> Table:
    """Closed-loop runs, a line each."""
    title = "closed loop (load: callers × items per call; latency in ms)"
    numbers = ["load", "items/s", "p50", "p90", "p99", "p99.9", "max", "errors"]
    table = _table(title, ["target"], numbers)
    for name, items, loop, summary in runs:
        latencies = [*summary.latency_ms.values(), summary.max_ms]
        errors = ", ".join(f"{count} {status}" for status, count in summary.errors.items()) or "0"
        table.add_row(
            name.rpartition(".")[2],
            f"{loop.concurrency} × {items}",
            f"{summary.items_per_second:,.0f}",
            *(f"{latency:,.3g}" for latency in latencies),
            errors,
        )
    return table


def ratio_table(title: str, lines: Sequence[Comparison]) -> Table:
    """Served against in-process: medians, and the ratio with its least and greatest over the rounds."""
    numbers = ["in-process", "served", "difference", "ratio", "least–greatest"]
    table = _table(title, ["load"], numbers)
    for line in lines:
        ratios = line.ratios()
        table.add_row(
            line.name,
            f"{statistics.median(line.in_process):,.4g}",
            f"{statistics.median(line.served):,.4g}",
            f"{statistics.median(line.differences()):+,.3g}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f}–{max(ratios):.2f}",
        )
    return table


def goals_table(goals: Sequence[Goal]) -> Table:
    """What served calls gain over the library in-process: medians, ratios, and whether they are as wanted."""
    title = "items/s, served against the library in-process (load: callers × items per call)"
    numbers = ["library", "served", "ratio", "range", "wanted"]
    table = _table(title, ["load", "against"], numbers)
    for goal in goals:
        line, ratios = goal.comparison, goal.comparison.ratios()
        table.add_row(
            line.name,
            goal.against,
            f"{statistics.median(line.in_process):,.4g}",
            f"{statistics.median(line.served):,.4g}",
            f"{goal.ratio():.2f}",
            f"{min(ratios):.2f}–{max(ratios):.2f}",
            f"≥ {goal.wanted:g} {'met' if goal.met() else 'missed'}",
        )
    return table


def findings_table(findings: Sequence[Finding], *, quiet: bool) -> Table:
    """What serving a causal model costs: medians of both sides, and whether they are as wanted.

    Args:
        findings: A line each.
        quiet: Others left the machine alone; else nothing is claimed.
    """
    title = "streams served, against the same engine in-process (gap: between two tokens of a text)"
    table = _table(title, ["streams", "figure"], ["in-process", "served", "compared", "range", "wanted"])
    for finding in findings:
        say = _COMPARED[finding.how]
        alone = "" if finding.figure == "messages/s" else f"{finding.in_process:,.4g}"
        table.add_row(
            str(finding.streams),
            finding.figure,
            alone,
            f"{finding.served:,.4g}",
            "" if finding.how == "served" else say(finding.result()),
            f"{say(min(finding.compared))}–{say(max(finding.compared))}",
            _wanted(finding, quiet),
        )
    return table


_COMPARED: dict[str, Callable[[float], str]] = {
    "ratio": lambda value: f"{value:.2f}",
    "difference": lambda value: f"{value:+.1f}",
    "served": lambda value: f"{value:,.4g}",
}


def _wanted(finding: Finding, quiet: bool) -> str:
    met = finding.met()
    if met is None:
        return ""
    goal = f"{'≥' if finding.at_least else '≤'} {finding.wanted:g}"
    if not quiet:
        return goal
    return f"{goal} {'met' if met else 'missed'}"


def _table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for heading in words:
        # A model's name is shown whole, whatever the width.
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
