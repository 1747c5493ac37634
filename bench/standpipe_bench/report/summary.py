"""What a reader should know first: the figure that the command was run for, and what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standpipe_bench.report.entries import Entry, Measured, Named, entries, flat, measured, number
from standpipe_bench.results import Result

TITLES = {
    "run": "One load, measured",
    "sweep": "Throughput and latency, load by load",
    "search": "The highest rate that keeps the SLO",
    "matrix": "Which device, backend and batch",
    "compare": "A against B",
}


MOST_NAMED = 5
"""Points that a warning which isn't grave names."""


@dataclass(frozen=True, slots=True)
class Card:
    """One figure, large.

    Attributes:
        figure: With its unit.
        of: What it is.
    """

    figure: str
    of: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that speaks against figures.

    Attributes:
        title: What.
        lines: Where, and why.
        grave: The figures aren't what they seem; else they are only less certain.
    """

    title: str
    lines: Sequence[str]
    grave: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A result, as the page's head describes it.

    Attributes:
        name: Of its file.
        title: What its command asks.
        targets: What was called.
        time: When.
        machine: On what, in one line.
        details: Everything known of that, and what the command was asked for: headings and their lines.
        cards: What it was run for.
    """

    name: str
    title: str
    targets: Sequence[str]
    time: str
    machine: str
    details: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    cards: Sequence[Card]


def source(named: Named) -> Source:
    """A result's own lines of the page's head."""
    name, result = named
    environment = result.environment
    found = {key: value for key, value in result.found.items() if key != "metrics"}
    details = [
        ("Environment", flat(environment)),
        ("Settings", flat(result.settings)),
        ("Found", flat(found)),
        ("Model", flat(next((point.model for point in result.points if point.model), {}))),
    ]
    points = measured(entries([named]))
    return Source(
        name,
        TITLES.get(result.command, result.command),
        list(dict.fromkeys(point.target for point in result.points if point.target)),
        str(environment.get("time", "")),
        machine(environment),
        [(heading, lines) for heading, lines in details if lines],
        _cards(result, points),
    )


def machine(environment: Mapping[str, Any]) -> str:
    """What a result was measured on, in one line."""
    packages = environment.get("packages") or {}
    known = [
        ("{}", environment.get("processor")),
        ("{} cores", environment.get("cores")),
        ("{:.0f} GiB", (environment.get("memory_bytes") or 0) / 2**30 or None),
        ("Standpipe {}", packages.get("standpipe")),
        ("commit {}", environment.get("commit")),
    ]
    return ", ".join(form.format(value) for form, value in known if value) or "not recorded"


def warnings(results: Sequence[Named], points: Sequence[Entry]) -> list[Warned]:
    """What speaks against the figures, the graver first."""
    seen = measured(points)
    late = [f"{each.entry.name}: {each.figures.driver.bottleneck}" for each in seen if _is_doubtful(each)]
    unsteady = [each.entry.name for each in seen if not each.figures.steady]
    return [
        warned
        for warned in (
            Warned(
                "Broken off: partial",
                [
                    f"{name}: points may be missing, and the last one may be short"
                    for name, result in results
                    if result.partial
                ],
                grave=True,
            ),
            Warned("The driver was the bottleneck: these are not the server's figures", late, grave=True),
            Warned(
                "Not steady: the last three windows differ by more than 10 % from their mean, so a longer "
                "run may show other figures",
                _few(unsteady, len(seen)),
                grave=False,
            ),
        )
        if warned.lines
    ]


def _few(names: Sequence[str], of: int) -> list[str]:
    if len(names) > MOST_NAMED:
        return [f"{len(names)} of {of} points: the table below says which"]
    return [", ".join(names)] if names else []


def _is_doubtful(each: Measured) -> bool:
    return bool(each.figures.driver.bottleneck)


def _cards(result: Result, points: Sequence[Measured]) -> list[Card]:
    # What is the driver's figure and not the server's is no answer, unless there is no other.
    sound = [each for each in points if not _is_doubtful(each)] or list(points)
    make = _CARDS.get(result.command, _run_cards)
    return make(result, sound) if sound else []


def _run_cards(result: Result, points: Sequence[Measured]) -> list[Card]:
    if len(points) > 1:
        return _sweep_cards(result, points)
    figures = points[0].figures
    cards = [Card(f"{number(figures.calls_per_second)} calls/s", points[0].entry.name)]
    latency = figures.latency_ms or {}
    cards += [Card(f"{number(latency[name])} ms", name) for name in ("p50", "p99") if name in latency]
    cards += [Card(f"{figures.error_share():.2%}", "errors")]
    return cards


def _sweep_cards(result: Result, points: Sequence[Measured]) -> list[Card]:
    most = max(points, key=lambda each: each.figures.calls_per_second)
    timed = [each for each in points if each.figures.latency_ms]
    cards = [
        Card(f"{number(most.figures.calls_per_second)} calls/s", f"most throughput, at {most.entry.name}")
    ]
    if timed:
        quickest = min(timed, key=_p99)
        cards.append(Card(f"{number(_p99(quickest))} ms", f"least p99, at {quickest.entry.name}"))
    if most.figures.latency_ms:
        cards.append(Card(f"{number(_p99(most))} ms", "p99 where throughput is greatest"))
    return cards


def _search_cards(result: Result, points: Sequence[Measured]) -> list[Card]:
    rate, slo = result.found.get("rate"), result.found.get("slo", "the SLO")
    if not rate:
        return [Card("none", f"of the rates that were tried kept {slo}")]
    return [Card(f"{number(float(rate))} calls/s", f"the highest rate that keeps {slo}")]


def _matrix_cards(result: Result, points: Sequence[Measured]) -> list[Card]:
    most = max(points, key=lambda each: each.figures.items_per_second)
    timed = [each for each in points if each.figures.latency_ms]
    cards = [Card(f"{number(most.figures.items_per_second)} items/s", f"most throughput: {most.entry.name}")]
    if timed:
        quickest = min(timed, key=_p50)
        cards.append(Card(f"{number(_p50(quickest))} ms", f"least p50: {quickest.entry.name}"))
    return cards


def _compare_cards(result: Result, points: Sequence[Measured]) -> list[Card]:
    verdicts = [metric.get("verdict", "") for metric in result.found.get("metrics", ())]
    wanted = ("regression", "improvement", "unclear", "no change")
    return [Card(str(verdicts.count(verdict)), verdict) for verdict in wanted if verdict in verdicts]


_CARDS: Mapping[str, Callable[[Result, Sequence[Measured]], list[Card]]] = {
    "run": _run_cards,
    "sweep": _sweep_cards,
    "search": _search_cards,
    "matrix": _matrix_cards,
    "compare": _compare_cards,
}


def _p50(each: Measured) -> float:
    return (each.figures.latency_ms or {"p50": float("inf")})["p50"]


def _p99(each: Measured) -> float:
    return (each.figures.latency_ms or {"p99": float("inf")})["p99"]
