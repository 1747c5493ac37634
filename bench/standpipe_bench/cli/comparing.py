"""``compare`` and ``report``: what results say, by themselves and against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from standpipe_bench.cli.options import (
    CallOptions,
    OutputOptions,
    ScheduleOptions,
    TargetOptions,
    TimingOptions,
    grouped,
)
from standpipe_bench.cli.session import asked, bench, console, fail, gathered, said_plainly, show, write
from standpipe_bench.comparison import FEWEST, METRICS, Change, Rules, errors, in_turns, matched, windows
from standpipe_bench.comparison import compare as hold
from standpipe_bench.environment import environment
from standpipe_bench.report.csv import lines
from standpipe_bench.report.tables import changes_table, warnings
from standpipe_bench.results import Label, Point, Result, read
from standpipe_bench.statistics import Figures

MORE_ERRORS = 0.001
"""Share of the calls that B may fail more than A."""


@dataclass(frozen=True, slots=True)
class _Compared:
    """What came of a comparison.

    Attributes:
        changes: By metric.
        errors: Share of the calls that failed, of A and of B.
        warnings: What a reader should know before believing it.
    """

    changes: Sequence[Change]
    errors: tuple[float, float]
    warnings: Sequence[str]

    def worse(self) -> list[str]:
        """In what; failing fast isn't speed."""
        slower = [change.name for change in self.changes if change.verdict == "regression"]
        a, b = self.errors
        return [*slower, f"errors ({b:.1%} of the calls, A {a:.1%})"] if b > a + MORE_ERRORS else slower


@grouped
def compare(
    a: Annotated[str, typer.Argument(help="What was before: a result's JSON file, or a server's host:port.")],
    b: Annotated[str, typer.Argument(help="What is new: the same.")],
    calls: CallOptions,
    schedule: ScheduleOptions,
    output: OutputOptions,
    duration: Annotated[float, typer.Option(min=0.1, help="Of servers: seconds of a round.")] = 1.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds before those.")] = 0.2,
    processes: Annotated[int, typer.Option(min=1, help="Driver processes.")] = 1,
    rounds: Annotated[int, typer.Option(min=10, help="Of servers: measurements of each, in turns.")] = 30,
    threshold: Annotated[float, typer.Option(min=0.001, help="Share by which B must be slower.")] = 0.05,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Of the intervals.")] = 0.98,
    metric: Annotated[str, typer.Option(help="What is compared, with commas between.")] = "p50,p99,calls/s",
) -> None:
    """Hold two against each other; code 1 where B is slower.

    Two servers are measured in turns, so that the machine's drift cancels; two files were measured apart, and
    what changed meanwhile besides the server can't be told from it.
    """
    timing = TimingOptions(duration, warm_up, processes)
    with said_plainly():
        rules = Rules(threshold, confidence, _metrics(metric))
        files = Path(a).is_file(), Path(b).is_file()
        if all(files):
            compared = _of_files(read(Path(a)), read(Path(b)), rules)
        elif any(files):
            raise ValueError(f"{a} and {b}: compare two files, or two servers, not one of each")
        else:
            compared = _of_servers((a, b), calls, schedule, timing, output, rounds, rules)
    console.print(changes_table(compared.changes))
    for warning in compared.warnings:
        console.print(f"note: {warning}", style="yellow")
    if worse := compared.worse():
        fail(f"B is worse: {', '.join(worse)}", 1)


def report(
    results: Annotated[list[Path], typer.Argument(help="Results as JSON.")],
    html: Annotated[
        Path | None, typer.Option(help="Write a page with plots, which needs no network.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a line for each point.")] = None,
) -> None:
    """Show results again: as tables, as a page with plots, as values for a spreadsheet."""
    with said_plainly():
        found = [(path.stem, read(path)) for path in results]
        for _, result in found:
            show(result)
        if csv is not None:
            csv.write_text("".join(lines(found)), encoding="utf-8")
            console.print(f"written to {csv}")
        if html is not None:
            # Imported here: a template engine is needed for nothing else.
            from standpipe_bench.report.html import page

            html.write_text(page(found), encoding="utf-8")
            console.print(f"written to {html}")


def _metrics(text: str) -> Sequence[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in METRICS]:
        raise ValueError(f"--metric {unknown[0]!r}: there are {', '.join(METRICS)}")
    return names


def _of_files(a: Result, b: Result, rules: Rules) -> _Compared:
    pairs = [
        (before.figures, after.figures, before.labels)
        for before, after in matched(a, b)
        if before.figures and after.figures
    ]
    changes = [
        change
        for before, after, labels in pairs
        for change in hold(windows(before), windows(after), rules, paired=False, labels=labels)
    ]
    apart = "measured apart: the machine's drift can't be told from a change"
    found = dict.fromkeys([apart, *warnings(a), *warnings(b)])
    return _Compared(
        changes, (errors(one for one, _, _ in pairs), errors(one for _, one, _ in pairs)), list(found)
    )


def _of_servers(
    addresses: tuple[str, str],
    calls: CallOptions,
    schedule: ScheduleOptions,
    timing: TimingOptions,
    output: OutputOptions,
    rounds: int,
    rules: Rules,
) -> _Compared:
    sources = dict(zip("AB", (calls.calls(address) for address in addresses), strict=True))
    plan = schedule.schedule(timing.duration + timing.warm_up, calls.seed)
    points: list[Point] = []
    with bench(TargetOptions(null=True), timing, output) as measuring:

        def measure(side: str, number: int) -> Figures:
            labels: dict[str, Label] = {"side": side, "round": number}
            points.append(measuring.point(labels, sources[side], plan, timing.timing()))
            figures = points[-1].figures
            assert figures is not None  # noqa: S101 - it was measured
            return figures

        turns, partial = gathered(in_turns(rounds, measure, lambda: measuring.partial))
    partial = partial or measuring.partial
    before, after = zip(*turns, strict=True) if turns else ((), ())
    # Of a comparison that was broken off, as much as there is to tell.
    changes = [] if partial and len(turns) < FEWEST else hold(before, after, rules, paired=True)
    settings = asked(calls, schedule, timing, a=addresses[0], b=addresses[1], rounds=rounds)
    found = {"metrics": [asdict(change) for change in changes]}
    result = Result("compare", environment(), points, partial, settings, found)
    write(result, output)
    if partial:
        fail("broken off: the result is partial, and marked so", 130)
    a, b = (
        errors(point.figures for point in points if point.figures and point.labels["side"] == side)
        for side in "AB"
    )
    return _Compared(changes, (a, b), list(warnings(result)))
