"""A matrix as tables of coloured cells: which device, which backend, which batch. Not aware of HTML."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from standpipe_bench.report.entries import Entry, figure, label, varying
from standpipe_bench.results import Label
from standpipe_bench.statistics import Figures

ACROSS = ("device", "backend", "dtype")
"""Labels that make columns: what one chooses between. All others make rows."""

Place = tuple[tuple[str, Label], ...]
"""Labels, as they tell a row or a column."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One of a table.

    Attributes:
        text: The figure; empty where it is absent.
        depth: How good among the table's, from 0 to 1.
        best: Of its row.
        absent: Why there is none; empty where it wasn't asked for.
        doubtful: The driver was the bottleneck.
    """

    text: str = ""
    depth: float = 0.0
    best: bool = False
    absent: str = ""
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One table.

    Attributes:
        name: For its place in the page.
        title: What its figures are, with their unit.
        caption: How to read it.
        columns: Their headings.
        rows: Their headings and cells.
    """

    name: str
    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]


@dataclass(frozen=True, slots=True)
class _Measure:
    name: str
    title: str
    more_is_better: bool
    value: Callable[[Figures], float | None]


def heatmaps(points: Sequence[Entry]) -> list[HeatMap]:
    """Of the points of matrices: each model's throughput and latency."""
    models: dict[Label, list[Entry]] = {}
    for entry in points:
        if entry.command == "matrix":
            models.setdefault(entry.point.labels.get("model", ""), []).append(entry)
    return [
        _heatmap(f"{measure.name}-{number}", str(model), entries, measure)
        for number, (model, entries) in enumerate(models.items())
        for measure in (_throughput(entries), _P50)
    ]


def _throughput(points: Sequence[Entry]) -> _Measure:
    """What a model that writes gives is tokens."""
    written = any(entry.point.figures and entry.point.figures.written_per_second for entry in points)
    return _TOKENS if written else _ITEMS


_ITEMS = _Measure("items", "items per second", True, lambda figures: figures.items_per_second)
_TOKENS = _Measure("tokens", "tokens written per second", True, lambda figures: figures.written_per_second)
_P50 = _Measure("p50", "median latency, ms", False, lambda figures: (figures.latency_ms or {}).get("p50"))


def _heatmap(name: str, model: str, points: Sequence[Entry], measure: _Measure) -> HeatMap:
    whole = [entry for entry in points if entry.point.figures] or points
    # A way that can't be had is absent as a whole, so it has none of the other labels.
    keys = varying([entry.point.labels for entry in whole])
    across = [key for key in varying([entry.point.labels for entry in points]) if key in ACROSS] or keys[-1:]
    down = [key for key in keys if key not in across]
    several = len({entry.of for entry in points}) > 1
    cells = {(_row(entry, down, several), _place(entry, across)): entry for entry in points}
    rows = list(dict.fromkeys(_row(entry, down, several) for entry in whole))
    columns = list(dict.fromkeys(column for _, column in cells))
    goodness = _goodness(points, measure)
    better = "more" if measure.more_is_better else "less"
    return HeatMap(
        name,
        f"{model}: {measure.title}" if model else measure.title,
        f"The deeper the colour the better ({better} is better); the best of a row is in bold, and a hatched "
        f"cell says why it has no figure.{_same(whole, [*keys, *across])}",
        [_heading(column) or "all" for column in columns],
        [
            (
                _heading(row) or "all",
                _best_marked([_cell(_at(cells, row, column), measure, goodness) for column in columns]),
            )
            for row in rows
        ],
    )


def _at(cells: Mapping[tuple[Place, Place], Entry], row: Place, column: Place) -> Entry | None:
    """What stands there: itself, or what is absent for all rows like it."""
    return cells.get((row, column)) or next(
        (entry for (part, other), entry in cells.items() if other == column and set(part) < set(row)), None
    )


def _cell(entry: Entry | None, measure: _Measure, goodness: dict[str, float]) -> Cell:
    if entry is None:
        return Cell()
    figures = entry.point.figures
    value = measure.value(figures) if figures else None
    if figures is None or value is None:
        return Cell(absent=entry.point.absent or "no call was answered")
    return Cell(figure(value), goodness.get(entry.name, 0.0), False, "", bool(figures.driver.bottleneck))


def _best_marked(cells: Sequence[Cell]) -> list[Cell]:
    there = [cell.depth for cell in cells if cell.text]
    best = max(there, default=0.0)
    # Alone in its row it is no choice.
    return [
        Cell(cell.text, cell.depth, cell.depth == best and len(there) > 1, cell.absent, cell.doubtful)
        if cell.text
        else cell
        for cell in cells
    ]


def _goodness(points: Sequence[Entry], measure: _Measure) -> dict[str, float]:
    """From 0 to 1 by the logarithm, since figures differ by magnitudes."""
    values: dict[str, float] = {}
    for entry in points:
        value = measure.value(entry.point.figures) if entry.point.figures else None
        if value is not None and value > 0:
            values[entry.name] = math.log(value) if measure.more_is_better else -math.log(value)
    least, most = min(values.values(), default=0.0), max(values.values(), default=0.0)
    return {name: (value - least) / ((most - least) or 1.0) for name, value in values.items()}


def _place(entry: Entry, keys: Sequence[str]) -> Place:
    return tuple((key, entry.point.labels[key]) for key in keys if key in entry.point.labels)


def _row(entry: Entry, keys: Sequence[str], several: bool) -> Place:
    of: Place = (("result", entry.of),) if several else ()
    return of + _place(entry, keys)


def _heading(place: Place) -> str:
    return " · ".join(label(key, value) for key, value in place)


def _same(points: Sequence[Entry], keys: Sequence[str]) -> str:
    first = points[0].point.labels
    same = _heading(tuple((key, value) for key, value in first.items() if key not in keys))
    return f" All cells: {same}." if same else ""
