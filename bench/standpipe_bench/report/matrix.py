"""A matrix as a person reads it in a terminal: a line for each way to run a model, paths side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from standpipe_bench.report.cells import number, table
from standpipe_bench.results import Label, Point, Result

_SETUP, _SHAPE = ("device", "backend", "dtype"), ("batch", "words")

_Key = tuple[Label, ...]


def matrix_tables(result: Result) -> Iterator[Table]:
    """A table for each model, and one of what couldn't be measured."""
    for model in dict.fromkeys(str(point.labels["model"]) for point in result.points):
        points = [point for point in result.points if point.labels["model"] == model]
        if measured := [point for point in points if point.figures]:
            yield _measured(model, measured)
        if absent := [point for point in points if point.figures is None]:
            yield _absent(model, absent)


def _measured(model: str, points: Sequence[Point]) -> Table:
    paths = list(dict.fromkeys(str(point.labels["path"]) for point in points))
    unit = "tokens/s" if any(map(_written, points)) else "items/s"
    heads = [head for path in paths for head in (f"{path}\n{unit}", "p50\nms")]
    shown = table(f"{model}, one call at a time", [], ["", *_SHAPE, *heads])
    shown.columns[0].justify = "left"
    cells: dict[_Key, dict[str, Point]] = {}
    for point in points:
        cells.setdefault(_of(point, *_SETUP, *_SHAPE), {})[str(point.labels["path"])] = point
    for key, sides in cells.items():
        setup, shape = key[: len(_SETUP)], key[len(_SETUP) :]
        figures = [cell for path in paths for cell in _figures(sides.get(path))]
        shown.add_row(_words(setup), *map(str, shape), *figures)
    return shown


def _absent(model: str, points: Sequence[Point]) -> Table:
    shown = table(f"{model}: not measured", [], ["", "because"])
    for column in shown.columns:
        column.justify = "left"
    shown.columns[1].no_wrap = False
    for point in points:
        shown.add_row(_words(_of(point, *_SETUP, "path")), point.absent)
    return shown


def _words(key: _Key) -> str:
    return " ".join(map(str, key)).strip()


def _of(point: Point, *names: str) -> _Key:
    return tuple(point.labels.get(name, "") for name in names)


def _written(point: Point) -> float | None:
    return point.figures.written_per_second if point.figures else None


def _figures(point: Point | None) -> Sequence[str]:
    if point is None or point.figures is None or point.figures.latency_ms is None:
        return "", ""
    rate = _written(point) or point.figures.items_per_second
    return number(rate), number(point.figures.latency_ms["p50"])
