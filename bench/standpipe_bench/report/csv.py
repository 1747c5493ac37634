"""Results as comma-separated values: a line for each point, full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from standpipe_bench.results import Point, Result
from standpipe_bench.statistics import NAMES, Figures

_TIMES = ("latency_ms", "service_ms", "first_ms", "gap_ms")
_NUMBERS = (
    "seconds",
    "calls",
    "answered",
    "unfinished",
    "offered_per_second",
    "calls_per_second",
    "items_per_second",
    "read_per_second",
    "written_per_second",
    "goodput",
    "steady",
)


def lines(results: Sequence[tuple[str, Result]]) -> Iterator[str]:
    """The head, then the points of results with their names; every line has its end."""
    rows = [{"result": name} | _row(result, point) for name, result in results for point in result.points]
    names = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    yield from buffer.getvalue().splitlines(keepends=True)


def _row(result: Result, point: Point) -> dict[str, Any]:
    about = {"command": result.command, "target": point.target, "schedule": point.schedule.get("kind", "")}
    figures = {} if point.figures is None else _figures(point.figures)
    return {**about, **point.labels, "partial": result.partial, "absent": point.absent, **figures}


def _figures(figures: Figures) -> Mapping[str, Any]:
    row: dict[str, Any] = {name: getattr(figures, name) for name in _NUMBERS}
    for times in _TIMES:
        found = getattr(figures, times)
        row |= {f"{times.removesuffix('_ms')}_{name}_ms": found[name] if found else "" for name in NAMES}
    row["errors"] = sum(figures.errors.values())
    row["late_share"] = figures.driver.late_share
    row["driver_bottleneck"] = figures.driver.bottleneck
    return row
