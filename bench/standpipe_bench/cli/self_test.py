"""``self-test``: what the bench itself is worth on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from standpipe_bench import self_test as checks
from standpipe_bench.cli.session import console, said_plainly, write_json
from standpipe_bench.environment import environment
from standpipe_bench.report.cells import number, table


def self_test(
    trials: Annotated[int, typer.Option(min=0, help="Comparisons of each kind; 0 to leave them out.")] = 3,
    rounds: Annotated[int, typer.Option(min=10, help="Of a comparison.")] = 30,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of a round.")] = 0.25,
    output: Annotated[Path | None, typer.Option("--json", help="Write the result here too.")] = None,
) -> None:
    """Measure the bench by servers whose behaviour is known: is it right, what does it cost, does it find."""
    with said_plainly():
        truths = checks.truth()
        shown = table("a server that stands still 2 s of every 10 (ms)", [""], _TRUTH)
        for one in truths:
            figures = (one.expected_ms, one.open_ms, one.open_ms / one.expected_ms, one.closed_ms)
            shown.add_row(one.percentile, *map(number, figures))
        console.print(shown)
        costs = list(checks.overhead())
        shown = table("what the tool can do", ["target"], _COSTS)
        for cost in costs:
            figures = (cost.processes, cost.calls_per_second, cost.busy, cost.microseconds)
            shown.add_row(cost.target, *map(number, figures))
        console.print(shown)
        found = [checks.trials(slower, trials, rounds, seconds) for slower in (1.1, 1.0) if trials]
        for kind in found:
            console.print(
                f"B with {kind.slower:.2f} times A's work: called slower in {kind.regressions} of "
                f"{kind.trials} comparisons (ratios {min(kind.ratios):.3f}–{max(kind.ratios):.3f})"
            )
        sections: dict[str, Sequence[Any]] = {"truth": truths, "overhead": costs, "comparisons": found}
        parts = {name: [asdict(part) for part in section] for name, section in sections.items()}
        write_json(output, {"environment": environment()} | parts)


_TRUTH = ["expected", "open loop", "ratio", "closed loop"]
_COSTS = ["processes", "calls/s", "cores busy", "µs a call"]
