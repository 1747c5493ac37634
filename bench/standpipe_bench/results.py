"""A result: what was measured, of what, on what, and whether it is whole. One JSON file.

Every command gives the same: points, each with labels that tell it from the others, and either figures or the
reason why there are none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from standpipe_bench.statistics import DriverFigures, Figures, Window

FORMAT = "standpipe-bench/1"

Label = str | int | float


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement, or the reason why it wasn't made.

    Attributes:
        labels: What tells it from the others: {"concurrency": 8}, {"device": "cuda", "batch": 32}.
        target: What was called.
        schedule: When, as ``schedules.described`` has it.
        figures: What it showed; None where it is absent.
        usage: What it took of the machine, as ``usage.used`` has it.
        absent: Why there are no figures.
        model: What the server says of the model that answered.
        sent: What the calls held, in words.
    """

    labels: Mapping[str, Label]
    target: str = ""
    schedule: Mapping[str, Any] = field(default_factory=dict)
    figures: Figures | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    absent: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    sent: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command measured.

    Attributes:
        command: "run", "sweep", "search", "matrix" or "compare".
        environment: As ``environment.environment`` has it.
        points: In the order in which they were measured.
        partial: It was broken off: points may be missing, and the last one may be short.
        settings: What the command was asked for.
        found: What the command found beyond its points, such as the rate that a search came to.
    """

    command: str
    environment: Mapping[str, Any]
    points: Sequence[Point]
    partial: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """As JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(json.dumps({"format": FORMAT} | asdict(self), indent=2) + "\n", encoding="utf-8")
        beside.replace(path)


def read(path: Path) -> Result:
    """A result from its file.

    Raises:
        ValueError: It isn't one; the message names the file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} can't be read: {error}") from None
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise ValueError(f"{path} is no result of this bench (format {FORMAT!r})")
    try:
        return Result(**data | {"points": [_point(point) for point in data["points"]]})
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _point(data: dict[str, Any]) -> Point:
    figures = data["figures"]
    return Point(**data | {"figures": None if figures is None else _figures(figures)})


def _figures(data: dict[str, Any]) -> Figures:
    whole = {
        "driver": DriverFigures(**data["driver"]),
        "windows": [Window(**window) for window in data["windows"]],
        "curve": [(percentile, ms) for percentile, ms in data["curve"]],
        # JSON's keys are texts.
        "batches": {int(size): count for size, count in data["batches"].items()},
    }
    return Figures(**data | whole)
