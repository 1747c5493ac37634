"""The table of points: which columns there are, and what stands in them. Not aware of HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from standpipe_bench.report.entries import Entry, figure, flat
from standpipe_bench.report.usage import used
from standpipe_bench.statistics import NAMES, Figures, Milliseconds


@dataclass(frozen=True, slots=True)
class Row:
    """A point's line.

    Attributes:
        name: Of the point.
        cells: By column; empty where it is absent.
        absent: Why there are no figures.
        doubtful: The driver was the bottleneck.
    """

    name: str
    cells: Sequence[str]
    absent: str
    doubtful: bool


@dataclass(frozen=True, slots=True)
class Table:
    """All points.

    Attributes:
        groups: Columns that belong together: what they are, their unit, and how many they are.
        headings: Of the columns.
        texts: Whether each column is of words, and not of numbers.
        rows: The points.
    """

    groups: Sequence[tuple[str, int]]
    headings: Sequence[str]
    texts: Sequence[bool]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class _Column:
    group: str
    heading: str
    cell: Callable[[Entry, Figures], str]
    words: bool = False


def table(points: Sequence[Entry]) -> Table:
    """Of the columns those in which there is something."""
    filled = [(column, [_cell(column, entry) for entry in points]) for column in _COLUMNS]
    columns = [(column, cells) for column, cells in filled if any(cells)]
    rows = [
        Row(
            entry.name,
            [cells[index] or "–" for _, cells in columns] if entry.point.figures else [],
            "" if entry.point.figures else entry.point.absent or "no reason was given",
            bool(entry.point.figures and entry.point.figures.driver.bottleneck),
        )
        for index, entry in enumerate(points)
    ]
    groups = [(group, len(list(same))) for group, same in groupby(column.group for column, _ in columns)]
    return Table(
        groups, [column.heading for column, _ in columns], [column.words for column, _ in columns], rows
    )


def _cell(column: _Column, entry: Entry) -> str:
    figures = entry.point.figures
    return "" if figures is None else column.cell(entry, figures)


def _load(entry: Entry, figures: Figures) -> str:
    schedule = entry.point.schedule
    # What is left at nothing says nothing: a pause of 0 is none.
    given = flat({key: value for key, value in schedule.items() if key != "kind" and value})
    return ", ".join([str(schedule.get("kind", "")), *(f"{key} {value}" for key, value in given)])


def _errors(entry: Entry, figures: Figures) -> str:
    counts = figures.errors | ({"unfinished": figures.unfinished} if figures.unfinished else {})
    return ", ".join(f"{count:,} {status}" for status, count in counts.items()) or "none"


def _usage(entry: Entry, figures: Figures) -> str:
    return "; ".join(used(entry.point.usage))


def _optional(value: Callable[[Figures], float | None]) -> Callable[[Entry, Figures], str]:
    def cell(entry: Entry, figures: Figures) -> str:
        found = value(figures)
        return "" if found is None else figure(found)

    return cell


def _of(times: Callable[[Figures], Milliseconds | None], name: str) -> Callable[[Entry, Figures], str]:
    return _optional(lambda figures: (times(figures) or {}).get(name))


_TIMES: Mapping[str, tuple[Callable[[Figures], Any], Sequence[str]]] = {
    "latency, ms": (lambda figures: figures.latency_ms, [name for name in NAMES if name != "mean"]),
    "first message, ms": (lambda figures: figures.first_ms, ["p50", "p99"]),
    "gap between messages, ms": (lambda figures: figures.gap_ms, ["p50", "p99"]),
}

_COLUMNS = (
    _Column("", "load", _load, words=True),
    _Column("throughput, per second", "calls", _optional(lambda figures: figures.calls_per_second)),
    _Column("throughput, per second", "items", _optional(lambda figures: figures.items_per_second)),
    _Column("throughput, per second", "tokens read", _optional(lambda figures: figures.read_per_second)),
    _Column(
        "throughput, per second", "tokens written", _optional(lambda figures: figures.written_per_second)
    ),
    _Column("throughput, per second", "good calls", _optional(lambda figures: figures.goodput)),
    *(_Column(group, name, _of(times, name)) for group, (times, names) in _TIMES.items() for name in names),
    _Column("outcome", "calls due", _optional(lambda figures: figures.calls)),
    _Column("outcome", "errors", _errors, words=True),
    _Column("outcome", "steady", lambda entry, figures: "yes" if figures.steady else "no", words=True),
    _Column(" ", "usage", _usage, words=True),
)
