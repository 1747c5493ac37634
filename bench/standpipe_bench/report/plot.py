"""What a plot consists of, as the page's script reads it. Not aware of what was measured.

Colours are named and not given: "c0" to "c7" are hues that anyone can tell apart, "s0" to "s7" steps from
little to much. What they look like is the style sheet's, in light and in dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = 8
"""Of either kind."""

Numbers = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a plot.

    Attributes:
        label: What it is, with its unit.
        scale: "linear", "log", "nines" (percentiles, each nine as wide as the last) or "names".
        names: Of the places 0, 1, 2 … on a scale of names.
    """

    label: str
    scale: str = "linear"
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or the bars of one colour.

    Attributes:
        name: In the legend.
        colour: By name.
        x: Of its points, in the order in which they are joined.
        y: The same; None breaks the line.
        dash: How it is drawn: 0 whole, 1 dashed, 2 dotted.
        dots: Each point is marked.
        shown: At first.
        texts: Written beside the points.
    """

    name: str
    colour: str
    x: Sequence[float]
    y: Numbers
    dash: int = 0
    dots: bool = False
    shown: bool = True
    texts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A level, drawn across.

    Attributes:
        at: Where it lies.
        text: What it says.
    """

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot.

    Attributes:
        name: For its place in the page.
        title: What it shows.
        caption: How to read it, in a sentence.
        x: Across.
        y: Up.
        series: What is drawn.
        bars: As bars; else as lines.
        marks: Drawn over it.
    """

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    bars: bool = False
    marks: Sequence[Mark] = ()
