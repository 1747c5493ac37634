"""Figures as a person reads them in a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.table import Table

from standpipe_bench.closed_loop import ClosedLoop
from standpipe_bench.demo import DemoCall
from standpipe_bench.overhead import Comparison
from standpipe_bench.statistics import Summary

Run = tuple[str, int, ClosedLoop, Summary]
"""A closed-loop run: target, items per call, schedule, figures."""


def calls_table(calls: Sequence[DemoCall]) -> Table:
    """Calls of the demo: what went in, what came out, how long it took."""
    table = Table(title="every RPC, once", title_justify="left")
    for heading in ("RPC", "in", "out"):
        table.add_column(heading)
    table.add_column("ms", justify="right")
    for call in calls:
        table.add_row(call.rpc.rpartition(".")[2], call.given, call.got, f"{call.milliseconds:.1f}")
    return table


def runs_table(runs: Sequence[Run]) -> Table:
    """Closed-loop runs, a line each."""
    table = Table(
        title="closed loop: each caller calls again as soon as it is answered", title_justify="left"
    )
    table.add_column("target", no_wrap=True)
    for heading in (
        "callers",
        "items/call",
        "calls/s",
        "items/s",
        "p50 ms",
        "p90",
        "p99",
        "p99.9",
        "max",
        "errors",
    ):
        table.add_column(heading, justify="right")
    for name, items, loop, summary in runs:
        latencies = [*summary.latency_ms.values(), summary.max_ms]
        errors = ", ".join(f"{count} {status}" for status, count in summary.errors.items()) or "0"
        table.add_row(
            name.rpartition(".")[2],
            str(loop.concurrency),
            str(items),
            f"{summary.calls_per_second:,.0f}",
            f"{summary.items_per_second:,.0f}",
            *(f"{latency:,.3g}" for latency in latencies),
            errors,
        )
    return table


def ratio_table(title: str, unit: str, lines: Sequence[Comparison]) -> Table:
    """Served against in-process: medians, and the ratio with its least and greatest over the rounds."""
    table = Table(title=title, title_justify="left")
    table.add_column("load", no_wrap=True)
    for heading in (f"in-process {unit}", f"served {unit}", "ratio", "least–greatest", f"difference {unit}"):
        table.add_column(heading, justify="right")
    for line in lines:
        ratios = line.ratios()
        table.add_row(
            line.name,
            f"{statistics.median(line.in_process):,.4g}",
            f"{statistics.median(line.served):,.4g}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f}–{max(ratios):.2f}",
            f"{statistics.median(line.differences()):+,.2f}",
        )
    return table
