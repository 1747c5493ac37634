"""From records to figures.

Latency counts from the scheduled moment, of calls that were due in the counted time; throughput counts what
was answered in it, in a closed loop also the part of a call that lies in it: whole calls would make figures
jump where they are few. A call that its deadline cut off, or that was given up when a run was broken off,
took at least as long: it counts with that, because leaving it out would flatter the server. Errors that
come back at once are counted, and not timed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

from standpipe_bench.load.records import DEADLINE_EXCEEDED, OK, STATUSES, UNFINISHED, Records

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}
NAMES = (*PERCENTILES, "mean", "max")
"""What there is of each kind of time."""

WINDOWS = 10
"""That the counted time is cut into, to see whether it was steady."""

STEADY = 0.1
"""Share by which the last three windows may differ from their mean."""

LATE_MS, LATE_SHARE_OF_MEDIAN, MOST_LATE = 2.0, 0.1, 0.01
"""A call was sent late if it was so by more than the first, and by more than the second of the median
latency. Where more than the last share of calls was late, the driver was the bottleneck."""

BUSY = 0.95
"""Processor cores that a driver keeps busy when it can hardly do more."""

_CUT_OFF = (DEADLINE_EXCEEDED, UNFINISHED)
_TIMED = (OK, *_CUT_OFF)
"""What took a time that is known, or at least so long."""

Times = npt.NDArray[np.float64]
Milliseconds = dict[str, float]
"""Of ``NAMES``."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the counted time.

    Attributes:
        start: Seconds since the counted time began.
        calls_per_second: Answered in it.
        p50: Milliseconds, of the calls that were due in it; None where there were none.
        p99: The same.
    """

    start: float
    calls_per_second: float
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class DriverFigures:
    """How well the tool kept to the schedule.

    Attributes:
        late_share: Calls that were sent late, of all; 0 of a closed loop, which has no schedule to keep.
        late_ms: How much later than scheduled calls were sent.
        busy: Processor cores that the busiest driver process kept busy.
        processes: Driver processes.
        bottleneck: Why these figures are the driver's and not the server's; empty where they aren't.
    """

    late_share: float
    late_ms: Milliseconds | None
    busy: float
    processes: int
    bottleneck: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run showed.

    Attributes:
        seconds: Counted.
        calls: Due in that time.
        answered: Of them, with OK.
        errors: Of them, by status.
        unfinished: Of them, given up when the run was broken off, or never sent.
        calls_per_second: Answered in the counted time.
        items_per_second: Their inputs.
        offered_per_second: Calls that were due.
        read_per_second: Tokens that the model read; None where the server doesn't say.
        written_per_second: Tokens that it wrote; the same.
        goodput: Calls a second that were answered within the SLO's latency; None without one.
        latency_ms: From the scheduled moment to the last byte; None where no call was answered.
        service_ms: From the actual send; the same.
        first_ms: From the scheduled moment to the first message of a stream; None of unary calls.
        gap_ms: Between two messages of a stream; the same.
        curve: Percentiles and their milliseconds, ascending, for plots.
        batches: How many calls ran in batches of which size; empty where the server doesn't say.
        windows: The counted time in parts.
        steady: Whether throughput and median latency of the last three windows are within 10 % of their mean.
        driver: How well the tool kept to the schedule.
        details: What the server said with its first error, by status.
        histogram: The latencies in microseconds as an encoded HdrHistogram (V2, base64).
    """

    seconds: float
    calls: int
    answered: int
    errors: dict[str, int]
    unfinished: int
    calls_per_second: float
    items_per_second: float
    offered_per_second: float
    driver: DriverFigures
    details: dict[str, str] = field(default_factory=dict)
    read_per_second: float | None = None
    written_per_second: float | None = None
    goodput: float | None = None
    latency_ms: Milliseconds | None = None
    service_ms: Milliseconds | None = None
    first_ms: Milliseconds | None = None
    gap_ms: Milliseconds | None = None
    curve: Sequence[tuple[float, float]] = ()
    batches: dict[int, int] = field(default_factory=dict)
    windows: Sequence[Window] = ()
    steady: bool = False
    histogram: str = ""

    def error_share(self) -> float:
        """Errors of all calls that came to an end."""
        ended = self.calls - self.unfinished
        return sum(self.errors.values()) / ended if ended else 0.0


def summarize(
    records: Records,
    begin: float,
    end: float,
    *,
    closed: bool,
    good_ms: float | None = None,
    busy: float = 0.0,
    processes: int = 1,
) -> Figures:
    """Figures of a run.

    Args:
        records: All of them, warm-up and stragglers too.
        begin: Of the counted time, in seconds as the records have them.
        end: The same.
        closed: It was a closed loop.
        good_ms: Milliseconds within which an answer is a good one.
        busy: Processor cores that the busiest driver kept busy.
        processes: Driver processes.
    """
    calls = records.calls
    seconds = max(end - begin, 1e-9)
    due = _between(calls["scheduled"], begin, end)
    ended = _between(calls["last"], begin, end) & (calls["status"] == OK)
    done = _parts(calls, begin, end) if closed else ended
    status = calls["status"][due]
    known = np.isin(calls["status"], _TIMED)
    timed = due & known
    latency = calls["last"][timed] - calls["scheduled"][timed]
    histogram = _histogram(latency)
    figures = milliseconds(histogram)
    windows = _windows(calls[known], begin, end)
    return Figures(
        seconds=seconds,
        calls=int(due.sum()),
        answered=int((status == OK).sum()),
        errors=_errors(status),
        details={STATUSES[number]: text for number, text in records.details.items()},
        unfinished=int((status == UNFINISHED).sum()),
        calls_per_second=float(done.sum() / seconds),
        items_per_second=float((calls["items"] * done).sum() / seconds),
        offered_per_second=float(due.sum() / seconds),
        read_per_second=_rate(calls["read"] * done, seconds),
        written_per_second=_written(records, done, begin, end),
        goodput=None if good_ms is None else _good(calls, done, good_ms, seconds),
        latency_ms=figures,
        service_ms=_milliseconds(calls["last"][timed] - calls["sent"][timed]),
        first_ms=_first(records, due),
        gap_ms=_gaps(records, begin, end),
        curve=_curve(histogram),
        batches=_counts(calls["batch"][due & (calls["status"] == OK)]),
        windows=windows,
        steady=steady(windows),
        driver=_driver(calls[due], figures, closed=closed, busy=busy, processes=processes),
        histogram=histogram.encode().decode() if figures else "",
    )


def milliseconds(histogram: HdrHistogram) -> Milliseconds | None:
    """What a histogram of microseconds holds; None where that is nothing."""
    if not histogram.get_total_count():
        return None
    found = {name: histogram.get_value_at_percentile(p) / 1e3 for name, p in PERCENTILES.items()}
    return found | {"mean": histogram.get_mean_value() / 1e3, "max": histogram.get_max_value() / 1e3}


def steady(windows: Sequence[Window]) -> bool:
    """Whether a run had come to rest: its last three windows are within 10 % of their means."""
    last = windows[-3:]
    if len(last) < 3 or any(window.p50 is None for window in last):
        return False
    width = last[1].start - last[0].start
    rates, medians = [one.calls_per_second for one in last], [one.p50 for one in last if one.p50 is not None]
    # Random arrivals alone scatter counts by their roots.
    chance = 3 * (sum(rates) / 3 / width) ** 0.5
    return _level(rates, chance) and _level(medians)


def _level(figures: Sequence[float], least: float = 0.0) -> bool:
    mean = sum(figures) / len(figures)
    return all(abs(figure - mean) <= max(STEADY * mean, least) for figure in figures)


def _between(times: Times, begin: float, end: float) -> npt.NDArray[np.bool_]:
    within: npt.NDArray[np.bool_] = (times >= begin) & (times < end)
    return within


def _parts(calls: npt.NDArray[Any], begin: float, end: float) -> Times:
    """Of each answered call the part that lies in the time: whole calls would jump where they are few."""
    within = np.minimum(calls["last"], end) - np.maximum(calls["sent"], begin)
    took = np.maximum(calls["last"] - calls["sent"], 1e-9)
    parts: Times = np.where(calls["status"] == OK, np.clip(within, 0.0, None) / took, 0.0)
    return parts


def _errors(status: npt.NDArray[np.uint8]) -> dict[str, int]:
    counts = Counter(status.tolist())
    return {STATUSES[number]: count for number, count in counts.items() if number not in (OK, UNFINISHED)}


def _histogram(seconds: Times) -> HdrHistogram:
    # Microseconds from 1 µs to 1 h, to three digits; equal ones are recorded together.
    histogram = HdrHistogram(1, 3_600_000_000, 3)
    values, counts = np.unique(np.maximum(1, np.rint(seconds * 1e6)).astype(np.int64), return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)
    return histogram


def _milliseconds(seconds: Times) -> Milliseconds | None:
    return milliseconds(_histogram(seconds))


def _curve(histogram: HdrHistogram) -> list[tuple[float, float]]:
    """Ever finer towards 100 %, as far as there are calls to tell: one of 10,000 is 99.99 %."""
    count = histogram.get_total_count()
    if not count:
        return []
    finest = min(6.0, np.log10(count))
    shares = 1 - np.logspace(0, -finest, 60)
    return [
        (round(100 * share, 6), histogram.get_value_at_percentile(100 * share) / 1e3)
        for share in shares.tolist()
    ]


def _rate(amounts: npt.NDArray[Any], seconds: float) -> float | None:
    total = float(amounts.sum())
    return total / seconds if total else None


def _written(records: Records, done: npt.NDArray[Any], begin: float, end: float) -> float | None:
    """Tokens a second; a stream's are spread over its messages, so that only those in the time count."""
    calls = records.calls
    streams = records.streams()
    if not streams:
        return _rate(calls["written"] * done, end - begin)
    written = sum(
        count * _between(times, begin, end).sum() / len(times)
        for count, times in zip(calls["written"].tolist(), streams, strict=True)
        if len(times)
    )
    return float(written / (end - begin)) if written else None


def _good(calls: npt.NDArray[Any], done: npt.NDArray[Any], good_ms: float, seconds: float) -> float:
    within = (calls["last"] - calls["scheduled"]) * 1e3 <= good_ms
    return float((within * done).sum() / seconds)


def _first(records: Records, due: npt.NDArray[np.bool_]) -> Milliseconds | None:
    if not len(records.times):
        return None
    # One that was cut off before its first message waited for it until then.
    cut = (records.calls["messages"] == 0) & np.isin(records.calls["status"], _CUT_OFF)
    calls = records.calls[due & ((records.calls["messages"] > 0) | cut)]
    first = np.where(calls["messages"] > 0, calls["first"], calls["last"])
    return _milliseconds(first - calls["scheduled"])


def _gaps(records: Records, begin: float, end: float) -> Milliseconds | None:
    streams = records.streams()
    if not streams:
        return None
    gaps = [np.diff(times)[_between(times[1:], begin, end)] for times in streams if len(times) > 1]
    return _milliseconds(np.concatenate(gaps)) if gaps else None


def _counts(sizes: npt.NDArray[np.uint32]) -> dict[int, int]:
    values, counts = np.unique(sizes[sizes > 0], return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _windows(calls: npt.NDArray[Any], begin: float, end: float) -> list[Window]:
    answered = calls["last"][calls["status"] == OK]
    latency = (calls["last"] - calls["scheduled"]) * 1e3
    edges = np.linspace(begin, end, WINDOWS + 1)
    found = []
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        times = latency[_between(calls["scheduled"], low, high)]
        p50, p99 = np.percentile(times, [50, 99]).tolist() if len(times) else (None, None)
        rate = float(_between(answered, low, high).sum() / max(high - low, 1e-9))
        found.append(Window(low - begin, rate, p50, p99))
    return found


def _driver(
    calls: npt.NDArray[Any], latency_ms: Milliseconds | None, *, closed: bool, busy: float, processes: int
) -> DriverFigures:
    if closed or latency_ms is None:
        bottleneck = (
            f"a driver process kept {busy:.2f} cores busy and can hardly do more" if busy >= BUSY else ""
        )
        return DriverFigures(0.0, None, busy, processes, bottleneck)
    late = calls["sent"] - calls["scheduled"]
    limit = max(LATE_MS, LATE_SHARE_OF_MEDIAN * latency_ms["p50"])
    share = float((late * 1e3 > limit).mean())
    bottleneck = (
        f"{share:.1%} of the calls were sent more than {limit:.3g} ms late" if share > MOST_LATE else ""
    )
    return DriverFigures(share, _milliseconds(late), busy, processes, bottleneck)
