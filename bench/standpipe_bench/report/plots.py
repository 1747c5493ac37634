"""Which plots apply to what was measured, and their data. Not aware of HTML, nor of how they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby

from standpipe_bench.report.entries import Measured, number
from standpipe_bench.report.plot import COLOURS, Axis, Mark, Plot, Series
from standpipe_bench.slo import parse

MOST_SERIES, SHOWN = 24, 8
"""Lines that a plot holds, and those of them that it shows at first; the reader may show the others."""


def plots(points: Sequence[Measured]) -> list[Plot]:
    """Those that apply, in the order in which they are read."""
    found = [make(points) for make in _PLOTS]
    return [plot for plot in found if plot is not None]


def _load_curve(points: Sequence[Measured]) -> Plot | None:
    loaded = [
        each for each in points if each.entry.command in ("sweep", "search") and each.figures.latency_ms
    ]
    series: list[Series] = []
    lines = [(of, sorted(group, key=_load)) for of, group in groupby(loaded, key=lambda each: each.entry.of)]
    lines = [(of, line) for of, line in lines if len(line) > 1][:COLOURS]
    for index, (of, line) in enumerate(lines):
        prefix = f"{of} · " if len(lines) > 1 else ""
        for name, dash in (("p99", 0), ("p50", 1)):
            series.append(
                Series(
                    prefix + name,
                    f"c{index}",
                    [each.figures.calls_per_second for each in line],
                    [(each.figures.latency_ms or {}).get(name) for each in line],
                    dash,
                    dots=True,
                    texts=[number(_load(each)) for each in line] if name == "p99" else (),
                )
            )
    if not series:
        return None
    what = " or ".join(dict.fromkeys(_load_key(each) for _, line in lines for each in line))
    return Plot(
        "load-curve",
        "Throughput and latency",
        f"Each point is one load, with its {what} beside it: where the line turns upwards, more load buys "
        "only waiting, and where it bends back, the server is past its best.",
        Axis("calls answered per second"),
        Axis("latency, ms", "log"),
        series,
        marks=_bounds(loaded),
    )


def _percentiles(points: Sequence[Measured]) -> Plot | None:
    curved = _ordered([each for each in points if each.figures.curve])
    if not curved:
        return None
    some, styles = _spread(curved, MOST_SERIES), _styles(curved)
    shown = {each.entry.name for each in _spread(some, SHOWN)}
    series = [
        Series(
            each.entry.name,
            styles[each.entry.name][0],
            [percentile for percentile, _ in each.figures.curve],
            [ms for _, ms in each.figures.curve],
            styles[each.entry.name][1],
            shown=each.entry.name in shown,
        )
        for each in some
    ]
    return Plot(
        "percentiles",
        "Latency by percentile",
        _caption(
            "At 99 % one call in a hundred took longer than the line says, at 99.9 % one in a thousand: "
            "lower is better, and a line that climbs late has a long tail.",
            series,
            len(some),
            len(curved),
        ),
        Axis("percentile of calls, %", "nines"),
        Axis("latency, ms", "log"),
        series,
    )


def _rounds(points: Sequence[Measured]) -> Plot | None:
    compared = [each for each in points if each.entry.command == "compare" and each.figures.latency_ms]
    sides = dict.fromkeys(_side(each) for each in compared)
    rounds = sorted({_round(each) for each in compared})
    series = []
    for index, side in enumerate(sides):
        mine = [each for each in compared if _side(each) == side]
        for name, dash in (("p99", 0), ("p50", 1)):
            series.append(
                Series(
                    f"{side} · {name}",
                    f"c{index % COLOURS}",
                    [float(rounds.index(_round(each))) for each in mine],
                    [(each.figures.latency_ms or {}).get(name) for each in mine],
                    dash,
                    dots=True,
                )
            )
    if not series:
        return None
    return Plot(
        "rounds",
        "Round by round",
        "The sides took turns: lines that rise and fall together show a machine that changed, and only a "
        "distance that stays between A and B tells them apart.",
        Axis("round", "names", [f"{number}" for number in rounds]),
        Axis("latency, ms", "log"),
        series,
    )


def _latency_over_time(points: Sequence[Measured]) -> Plot | None:
    timed = _ordered([each for each in points if _has_windows(each)])
    if not timed:
        return None
    some = _spread(timed, COLOURS)
    colours, shown = _colours(some), {each.entry.name for each in _spread(some, 3)}
    series = [
        Series(
            f"{each.entry.name} · {name}" if len(some) > 1 else name,
            colours[each.entry.name],
            [window.start for window in each.figures.windows],
            [window.p99 if name == "p99" else window.p50 for window in each.figures.windows],
            dash,
            dots=True,
            shown=each.entry.name in shown,
        )
        for each in some
        for name, dash in (("p99", 0), ("p50", 1))
    ]
    return Plot(
        "latency-over-time",
        "Latency over time",
        _caption(
            "Each dot is a tenth of the counted time, placed where it began: level lines mean that the "
            "server had come to rest, rising ones that a queue was still growing.",
            series,
            len(some),
            len(timed),
        ),
        Axis("since the counted time began, s"),
        Axis("latency, ms", "log"),
        series,
    )


def _throughput_over_time(points: Sequence[Measured]) -> Plot | None:
    timed = _ordered([each for each in points if _has_windows(each)])
    if not timed:
        return None
    some = _spread(timed, COLOURS)
    colours = _colours(some)
    series = [
        Series(
            each.entry.name,
            colours[each.entry.name],
            [window.start for window in each.figures.windows],
            [window.calls_per_second for window in each.figures.windows],
            dots=True,
        )
        for each in some
    ]
    return Plot(
        "throughput-over-time",
        "Throughput over time",
        _caption(
            "Calls answered in each tenth of the counted time, placed where it began: a dip is a stall, and "
            "a slope means that the warm-up was too short.",
            series,
            len(some),
            len(timed),
        ),
        Axis("since the counted time began, s"),
        Axis("calls answered per second"),
        series,
    )


def _batches(points: Sequence[Measured]) -> Plot | None:
    batched = _ordered([each for each in points if each.figures.batches])
    if not batched:
        return None
    sizes = sorted({size for each in batched for size in each.figures.batches})
    place = {size: float(index) for index, size in enumerate(sizes)}
    some = _spread(batched, COLOURS)
    colours = _colours(some)
    shown = {each.entry.name for each in _spread(some, 3)}
    series = []
    for each in some:
        counts = each.figures.batches
        total = sum(counts.values())
        series.append(
            Series(
                each.entry.name,
                colours[each.entry.name],
                [place[size] for size in sizes],
                [100 * counts.get(size, 0) / total for size in sizes],
                shown=each.entry.name in shown,
            )
        )
    return Plot(
        "batches",
        "Calls by the batch that they ran in",
        _caption(
            "How large the batches were that the server made: weight on the right means that calls found "
            "company, weight at 1 that each ran alone.",
            series,
            len(some),
            len(batched),
        ),
        Axis("batch size", "names", [f"{size}" for size in sizes]),
        Axis("share of calls, %"),
        series,
        bars=True,
    )


_PLOTS: Sequence[Callable[[Sequence[Measured]], Plot | None]] = (
    _load_curve,
    _percentiles,
    _rounds,
    _latency_over_time,
    _throughput_over_time,
    _batches,
)


def _has_windows(each: Measured) -> bool:
    # Points of a comparison or a matrix are many and short: how each went by itself decides nothing.
    return each.entry.command not in ("compare", "matrix") and any(
        window.p50 is not None for window in each.figures.windows
    )


def _ordered(points: Sequence[Measured]) -> list[Measured]:
    """Loads from little to much, in whatever order they were tried; all others as they come."""
    return sorted(points, key=_load) if _are_loads(points) else list(points)


def _spread(points: Sequence[Measured], most: int) -> list[Measured]:
    """At most so many, evenly from the first to the last."""
    if len(points) <= most:
        return list(points)
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]


def _colours(points: Sequence[Measured]) -> dict[str, str]:
    """By name, of few points in order: loads go from little to much, all others differ."""
    if not _are_loads(points):
        return {each.entry.name: f"c{index % COLOURS}" for index, each in enumerate(points)}
    steps = len(points) - 1
    return {each.entry.name: f"s{round(index * (COLOURS - 1) / steps)}" for index, each in enumerate(points)}


def _styles(points: Sequence[Measured]) -> dict[str, tuple[str, int]]:
    """By name, of many points, a colour and a dash: what belongs together looks alike."""
    if all(each.entry.command == "compare" for each in points):
        sides = list(dict.fromkeys(_side(each) for each in points))
        return {each.entry.name: (f"c{sides.index(_side(each)) % COLOURS}", 0) for each in points}
    results = list(dict.fromkeys(each.entry.of for each in points))
    if len(results) > 1:
        names = list(dict.fromkeys(each.entry.short for each in points))
        return {
            each.entry.name: (f"c{names.index(each.entry.short) % COLOURS}", results.index(each.entry.of) % 3)
            for each in points
        }
    again = not _are_loads(points)
    return {
        name: (colour, index // COLOURS % 3 if again else 0)
        for index, (name, colour) in enumerate(_colours(points).items())
    }


def _are_loads(points: Sequence[Measured]) -> bool:
    commands = {each.entry.command for each in points}
    one_result = len({each.entry.of for each in points}) == 1
    return one_result and len(points) > 2 and commands <= {"sweep", "search"}


def _load_key(each: Measured) -> str:
    labels = each.entry.point.labels
    return next((key for key in ("rate", "concurrency") if key in labels), "load")


def _load(each: Measured) -> float:
    value = each.entry.point.labels.get(_load_key(each))
    return float(value) if isinstance(value, int | float) else each.figures.offered_per_second


def _round(each: Measured) -> int:
    return int(each.entry.point.labels.get("round", 1))


def _side(each: Measured) -> str:
    side = str(each.entry.point.labels.get("side", "A"))
    return side if each.entry.name == each.entry.short else f"{each.entry.of} · {side}"


def _bounds(points: Sequence[Measured]) -> list[Mark]:
    """The latency that the SLO allows, where there is one."""
    found = []
    for text in dict.fromkeys(each.entry.slo for each in points if each.entry.slo):
        # A text that says nothing to this version is still shown, among the settings.
        with suppress(ValueError):
            bound = parse(text).latency_ms
            if bound is not None:
                found.append(Mark(bound, text))
    return found


def _caption(text: str, series: Sequence[Series], drawn: int, of: int) -> str:
    """With what a reader would else miss: points left out, and lines that are hidden at first."""
    hidden = sum(not each.shown for each in series)
    return " ".join(
        [
            text,
            *([f"{drawn} of {of} points are drawn: the table has all."] if drawn < of else []),
            *([f"{hidden} lines are hidden at first: press a name to show it."] if hidden else []),
        ]
    )
