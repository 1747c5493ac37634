"""What the page shows, point by point, each under a name of its own. Not aware of HTML, nor of plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standpipe_bench.results import Label, Point, Result
from standpipe_bench.statistics import Figures

Named = tuple[str, Result]
"""A result and what the reader knows it by: the stem of its file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A point.

    Attributes:
        name: Tells it from all others of the page.
        short: Tells it from the others of its result.
        of: The name of its result.
        command: That gave it.
        slo: That its command was to keep; empty where there was none.
        point: What was measured.
    """

    name: str
    short: str
    of: str
    command: str
    slo: str
    point: Point


@dataclass(frozen=True, slots=True)
class Measured:
    """A point that has figures.

    Attributes:
        entry: The point.
        figures: Its figures.
    """

    entry: Entry
    figures: Figures


def entries(results: Sequence[Named]) -> list[Entry]:
    """All points of some results, in their order."""
    found = []
    for of, result in results:
        prefix = f"{of} · " if len(results) > 1 else ""
        names = _names(result.points)
        slo = str(result.found.get("slo") or result.settings.get("slo") or "")
        found += [
            Entry(prefix + name, name, of, result.command, slo, point)
            for name, point in zip(names, result.points, strict=True)
        ]
    return found


def measured(points: Sequence[Entry]) -> list[Measured]:
    """Those that have figures."""
    return [Measured(entry, entry.point.figures) for entry in points if entry.point.figures is not None]


def varying(labels: Sequence[Mapping[str, Label]]) -> list[str]:
    """The keys whose values tell points apart, in the order in which they first come."""
    keys = dict.fromkeys(key for each in labels for key in each)
    return [key for key in keys if len({each.get(key) for each in labels}) > 1]


def label(key: str, value: Label) -> str:
    """One label: a number says nothing without its key."""
    return value if isinstance(value, str) else f"{key} {number(value)}"


def number(value: float | None) -> str:
    """Three digits that count, or all of a whole part; a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def figure(value: float | None) -> str:
    """The same for a column, where what counts must stand even if it is a nought: 35.0 under 35.1."""
    if not value or isinstance(value, int) or abs(value) >= 99.95 or abs(value) < 0.001:
        return number(value)
    # Three digits after the point are microseconds, where the figures are milliseconds: finer, none is true.
    return f"{value:.3f}" if abs(value) < 1 else f"{value:#.3g}"


def flat(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as lines: what they are called, and their value as a person writes it."""
    found: list[tuple[str, str]] = []
    for key, value in data.items():
        if isinstance(value, Mapping):
            found += flat(value, f"{prefix}{key} ")
        else:
            found.append(_line(f"{prefix}{key}", value))
    return found


def _names(points: Sequence[Point]) -> list[str]:
    keys = varying([point.labels for point in points])
    names = [
        " · ".join(label(key, point.labels[key]) for key in keys if key in point.labels)
        or point.target.rpartition(".")[2]
        or "all calls"
        for point in points
    ]
    if len(set(names)) == len(names):
        return names
    # Labels ought to tell them apart; where they don't, their order does.
    return [f"{name} ({index})" for index, name in enumerate(names, start=1)]


def _line(key: str, value: Any) -> tuple[str, str]:
    if key.endswith("_bytes") and isinstance(value, int | float):
        return _words(key.removesuffix("_bytes")), _bytes(value)
    return _words(key), _text(value)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    return str(value)


def _bytes(value: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:,.3g} TiB"
