"""Results as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from standpipe_bench.comparison import Change, Verdict
from standpipe_bench.report.cells import number, table
from standpipe_bench.report.matrix import matrix_tables
from standpipe_bench.report.usage import used
from standpipe_bench.results import Point, Result
from standpipe_bench.statistics import PERCENTILES, Figures, Milliseconds


@dataclass(frozen=True, slots=True)
class Column:
    """A column, shown where any point has something to say in it.

    Attributes:
        heading: With its unit.
        value: Of a point's figures; None where there is none.
    """

    heading: str
    value: Callable[[Figures], float | None]


def _of(times: Callable[[Figures], Milliseconds | None], name: str) -> Callable[[Figures], float | None]:
    def value(figures: Figures) -> float | None:
        found = times(figures)
        return None if found is None else found[name]

    return value


COLUMNS: Sequence[Column] = (
    Column("calls/s", lambda figures: figures.calls_per_second),
    Column("items/s", lambda figures: figures.items_per_second),
    Column("tokens/s", lambda figures: figures.written_per_second),
    Column("good/s", lambda figures: figures.goodput),
    *(Column(name, _of(lambda figures: figures.latency_ms, name)) for name in ("p50", "p99", "p99.9")),
    Column("first p50", _of(lambda figures: figures.first_ms, "p50")),
    Column("gap p50", _of(lambda figures: figures.gap_ms, "p50")),
)
"""Of many points: as many as fit beside their labels."""

_TIMES: Sequence[tuple[str, Callable[[Figures], Milliseconds | None]]] = (
    ("latency, from when it was due", lambda figures: figures.latency_ms),
    ("latency, from when it was sent", lambda figures: figures.service_ms),
    ("sent later than due", lambda figures: figures.driver.late_ms),
    ("first message", lambda figures: figures.first_ms),
    ("between messages", lambda figures: figures.gap_ms),
)

_FACTS: Sequence[tuple[str, Callable[[Point, Figures], str]]] = (
    ("calls/s answered", lambda _, figures: number(figures.calls_per_second)),
    ("calls/s due", lambda point, figures: "" if closed(point) else number(figures.offered_per_second)),
    ("good calls/s", lambda _, figures: number(figures.goodput)),
    ("items/s", lambda _, figures: number(figures.items_per_second)),
    ("tokens/s read", lambda _, figures: number(figures.read_per_second)),
    ("tokens/s written", lambda _, figures: number(figures.written_per_second)),
    ("calls", lambda _, figures: f"{figures.calls:,} in {figures.seconds:.3g} s"),
    ("errors", lambda _, figures: _errors(figures)),
    ("ran in batches of", lambda _, figures: _batches(figures)),
    ("server", lambda point, _: "; ".join(used(point.usage))),
    ("driver", lambda _, figures: f"{figures.driver.busy:.2f} cores busy, of {_processes(figures)}"),
    ("steady", lambda _, figures: "yes" if figures.steady else "no"),
)


def show(result: Result) -> Iterator[Table]:
    """What a terminal shows of a result: all of a single point, or a line for each of several."""
    if result.command == "matrix":
        yield from matrix_tables(result)
        return
    point = result.points[0] if len(result.points) == 1 else None
    if point is None or point.figures is None:
        yield points_table(result)
        return
    yield times_table(result, point, point.figures)
    yield facts_table(point, point.figures)


_UNSTEADY, _P99, _FEW = "not steady", "p99 is hardly more than the slowest call", 100


def warnings(result: Result) -> Iterator[str]:
    """What a reader should know of the figures before believing them, each once."""
    found = [point.figures for point in result.points if point.figures]
    said: dict[str, list[str]] = {}
    for figures in found:
        for text, detail in _doubts(figures):
            said.setdefault(text, []).append(detail)
    for text, details in said.items():
        # A round of a comparison is short, and one of many.
        if result.command != "compare" or text not in (_UNSTEADY, _P99):
            where = f"{len(details)} of {len(found)} points; " if len(found) > 1 else ""
            yield f"{text}: {where}{details[0]}"


def _doubts(figures: Figures) -> Iterator[tuple[str, str]]:
    if figures.driver.bottleneck:
        yield "the driver was the bottleneck, not the server", figures.driver.bottleneck
    if not figures.steady:
        yield _UNSTEADY, "the last windows differ by over 10 %"
    if figures.latency_ms and figures.calls < _FEW:
        yield _P99, f"of {figures.calls:,} calls"
    yield from figures.details.items()


def times_table(result: Result, point: Point, figures: Figures) -> Table:
    """A point's latencies."""
    bound = " – the driver's, not the server's" if figures.driver.bottleneck else ""
    shown = table(f"{_title(result)}{bound}", ["ms"], [*PERCENTILES, "max"])
    for name, times in _TIMES:
        found = times(figures)
        # In a closed loop nothing is due: calls are sent.
        if found is not None and not (name.endswith("due") and closed(point)):
            shown.add_row(name, *(number(found[one]) for one in (*PERCENTILES, "max")))
    return shown


def facts_table(point: Point, figures: Figures) -> Table:
    """What else there is to say of a point."""
    shown = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    for name, fact in _FACTS:
        if said := fact(point, figures):
            shown.add_row(name, said)
    return shown


def closed(point: Point) -> bool:
    """Whether callers waited for their answers."""
    return point.schedule.get("kind") == "closed"


def points_table(result: Result) -> Table:
    """A line for each point: its labels, its figures or why there are none, and what went wrong."""
    shown = [column for column in COLUMNS if _says(column, result.points)]
    labels = list(dict.fromkeys(name for point in result.points for name in point.labels))
    lines = table(f"{_title(result)}, times in ms", labels, [*(one.heading for one in shown), "errors"])
    # Only where there is something to say.
    for heading in (told := [one for one in _TOLD if any(map(_TOLD[one], result.points))]):
        lines.add_column(heading, overflow="fold")
    for point in result.points:
        figures = point.figures
        lines.add_row(
            *(str(point.labels.get(name, "")) for name in labels),
            *(number(column.value(figures)) if figures else "" for column in shown),
            _errors(figures) if figures else "",
            *(Text(_TOLD[heading](point)) for heading in told),
        )
    return lines


_TOLD: dict[str, Callable[[Point], str]] = {
    "absent because": lambda point: point.absent,
    "bound by": lambda point: "driver" if point.figures and point.figures.driver.bottleneck else "",
}


def _says(column: Column, points: Sequence[Point]) -> bool:
    return any(point.figures and column.value(point.figures) is not None for point in points)


def _title(result: Result) -> str:
    targets = dict.fromkeys(point.target for point in result.points if point.target)
    names = ", ".join(target.rpartition(".")[2] for target in targets)
    varied = len(result.points) > 1
    kinds = ", ".join(dict.fromkeys(_load(point, varied=varied) for point in result.points if point.schedule))
    broken = " – broken off, partial" if result.partial else ""
    return f"{names}: {kinds}{broken}"


def _load(point: Point, *, varied: bool) -> str:
    schedule = point.schedule
    if closed(point):
        several = "s" if schedule["concurrency"] > 1 else ""
        return "closed loop" if varied else f"closed loop of {schedule['concurrency']} caller{several}"
    rate = f", {schedule['rate']:,.4g} calls/s" if "rate" in schedule and not varied else ""
    return f"open loop ({schedule['kind']}{rate})"


def _batches(figures: Figures) -> str:
    """Each size with its share, where they are few."""
    sizes, calls = sorted(figures.batches), sum(figures.batches.values())
    if len(sizes) <= 4:
        return ", ".join(f"{size} ({figures.batches[size] / calls:.0%})" for size in sizes)
    each = sorted(size for size, count in figures.batches.items() for _ in range(count))
    return f"{each[len(each) // 2]} in the middle, {sizes[0]} to {sizes[-1]}"


def _processes(figures: Figures) -> str:
    count = figures.driver.processes
    return f"{count} process{'es' if count > 1 else ''}"


def _errors(figures: Figures) -> str:
    said = [f"{count:,} {status}" for status, count in figures.errors.items()]
    if figures.unfinished:
        said.append(f"{figures.unfinished:,} unfinished")
    return ", ".join(said) or "0"


def changes_table(changes: Sequence[Change]) -> Table:
    """A line for each metric: both medians, how many times as slow B is, and what that means."""
    names = list(dict.fromkeys(name for change in changes for name in change.labels))
    numbers = ["A", "B", "B / A in time", "interval"]
    shown = table("B against A: above 1 is slower", [*names, "metric"], numbers)
    shown.add_column("verdict")
    for change in changes:
        shown.add_row(
            *(str(change.labels.get(name, "")) for name in names),
            f"{change.name}, {change.unit}" if change.unit == "ms" else change.name,
            number(change.a),
            number(change.b),
            f"{change.ratio:.3f}",
            f"{change.low:.3f}–{change.high:.3f}",
            Text(change.verdict, style=_VERDICTS[change.verdict]),
        )
    return shown


_VERDICTS: dict[Verdict, str] = {
    "regression": "bold red",
    "improvement": "green",
    "no change": "",
    "unclear": "yellow",
}
