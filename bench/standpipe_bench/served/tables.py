"""Figures as a person reads them in a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from rich.table import Table
from rich.text import Text

from standpipe_bench.demo import DemoCall
from standpipe_bench.drawing import Drawing, blocks
from standpipe_bench.report.cells import table
from standpipe_bench.served.comparison import Comparison, Goal
from standpipe_bench.served.generation import Finding


def calls_table(calls: Sequence[DemoCall]) -> Table:
    """Calls of the demo: what went in, what came out, how long it took."""
    shown = table("every RPC, once", ["RPC", "in", "out"], ["ms"])
    for call in calls:
        # Text, not markup: "[MASK]" is one of the inputs.
        given, got = Text(call.given), Text(call.got, style="" if call.answered else "dim")
        shown.add_row(call.rpc.rpartition(".")[2], given, got, f"{call.milliseconds:.1f}")
    return shown


def drawings_table(drawings: Sequence[Drawing]) -> Table:
    """Pictures beside each other, under what they were asked for."""
    shown = Table.grid(padding=(0, 3))
    for _ in drawings:
        shown.add_column()
    shown.add_row(*(Text(drawing.said, style="bold") for drawing in drawings))
    shown.add_row(*(Text(blocks(drawing.image)) for drawing in drawings))
    return shown


def ratio_table(title: str, lines: Sequence[Comparison]) -> Table:
    """Served against in-process: medians, and the ratio with its least and greatest over the rounds."""
    numbers = ["in-process", "served", "difference", "ratio", "least–greatest"]
    shown = table(title, ["load"], numbers)
    for line in lines:
        ratios = line.ratios()
        shown.add_row(
            line.name,
            f"{statistics.median(line.in_process):,.4g}",
            f"{statistics.median(line.served):,.4g}",
            f"{statistics.median(line.differences()):+,.3g}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f}–{max(ratios):.2f}",
        )
    return shown


def goals_table(goals: Sequence[Goal]) -> Table:
    """What served calls gain over the library in-process: medians, ratios, and whether they are as wanted."""
    title = "items/s, served against the library in-process (load: callers × items per call)"
    numbers = ["library", "served", "ratio", "range", "wanted"]
    shown = table(title, ["load", "against"], numbers)
    for goal in goals:
        line, ratios = goal.comparison, goal.comparison.ratios()
        shown.add_row(
            line.name,
            goal.against,
            f"{statistics.median(line.in_process):,.4g}",
            f"{statistics.median(line.served):,.4g}",
            f"{goal.ratio():.2f}",
            f"{min(ratios):.2f}–{max(ratios):.2f}",
            f"≥ {goal.wanted:g} {'met' if goal.met() else 'missed'}",
        )
    return shown


def findings_table(findings: Sequence[Finding], *, quiet: bool) -> Table:
    """What serving a causal model costs: medians of both sides, and whether they are as wanted.

    Args:
        findings: A line each.
        quiet: Others left the machine alone; else nothing is claimed.
    """
    title = "streams served, against the same engine in-process (gap: between two tokens of a text)"
    shown = table(title, ["streams", "figure"], ["in-process", "served", "compared", "range", "wanted"])
    for finding in findings:
        say = _COMPARED[finding.how]
        alone = "" if finding.figure == "messages/s" else f"{finding.in_process:,.4g}"
        shown.add_row(
            str(finding.streams),
            finding.figure,
            alone,
            f"{finding.served:,.4g}",
            "" if finding.how == "served" else say(finding.result()),
            f"{say(min(finding.compared))}–{say(max(finding.compared))}",
            _wanted(finding, quiet),
        )
    return shown


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
