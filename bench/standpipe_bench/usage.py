"""What a run takes of the machine: processor time and memory of the server, its GPUs, and their energy.

A thread looks at all of it several times a second, beside whatever drives the run; afterwards it tells of any
part of that time. Not aware of calls, schedules or servers: it is given a process and two moments.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from standpipe_bench.devices import GpuReading, Gpus, Packages, UnavailableError
from standpipe_bench.processes import ProcessTree

Floats = npt.NDArray[np.float64]

EVERY = 0.25
"""Seconds between two looks."""


class Meter(Protocol):
    """Something that is looked at from time to time."""

    def look(self) -> None:
        """Note how things stand now."""
        ...

    def used(self, begin: float, end: float) -> Mapping[str, Any]:
        """What was used between two moments, under the names that results have for it."""
        ...

    def missing(self, begin: float, end: float) -> str:
        """Why some of that is unknown; empty where it isn't."""
        ...

    def close(self) -> None:
        """Look no more."""
        ...


class Usage:
    """Looks at the machine from its making until ``close``; a context manager, too.

    All processes' doings count for the GPUs and the processor package, which can't tell them apart.

    Args:
        pid: Of the server; None where it isn't known, or runs elsewhere.
        every: Seconds between two looks.
    """

    def __init__(self, pid: int | None = None, every: float = EVERY) -> None:
        self._every = every
        self._meters: dict[str, Meter] = {}
        self._missing: dict[str, str] = {}
        for name, made in _METERS.items():
            try:
                self._meters[name] = made(pid)
            except UnavailableError as error:
                self._missing[name] = str(error)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._last = 0.0
        self._look()
        self._begun = time.perf_counter()
        self._thread = threading.Thread(target=self._watch, name="usage", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def used(self, begin: float, end: float) -> dict[str, Any]:
        """What a time took, as JSON can hold it; what isn't known is None, or an empty list, and named.

        Args:
            begin: Of the time, on ``time.perf_counter``.
            end: The same; it has passed.

        Returns:
            ``seconds``, ``server``, ``gpus``, ``package_energy_joules``, and in ``missing`` the reasons by
            "server", "gpu", "rapl" and "time".

        Raises:
            ValueError: The end doesn't come after the beginning.
        """
        if not end > begin:
            raise ValueError(f"end ({end}) must come after begin ({begin})")
        if end > self._last:
            self._look()
        found: dict[str, Any] = {"seconds": end - begin, **_NOTHING}
        missing = dict(self._missing)
        with self._lock:
            for name, meter in self._meters.items():
                found |= meter.used(begin, end)
                if reason := meter.missing(begin, end):
                    missing[name] = reason
        if unwatched := max(0.0, self._begun - begin) + max(0.0, end - self._last):
            missing["time"] = f"nobody looked during {min(unwatched, end - begin):.3g} s of it"
        return found | {"missing": missing}

    def close(self) -> None:
        """Take a last look; what was seen can still be asked for."""
        if self._closed.is_set():
            return
        self._look()
        self._closed.set()
        self._thread.join()
        for meter in self._meters.values():
            meter.close()

    def _watch(self) -> None:
        while not self._closed.wait(self._every):
            self._look()

    def _look(self) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            # Each meter looks a little later: all of them know that much.
            now = time.perf_counter()
            for meter in self._meters.values():
                meter.look()
            self._last = now


class Line:
    """A figure over time: what was seen of it, and straight lines between."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._values: list[float] = []

    def add(self, moment: float, value: float | None) -> None:
        """Note a figure; None where it wasn't to be had."""
        self._times.append(moment)
        self._values.append(float("nan") if value is None else value)

    def gained(self, begin: float, end: float) -> float | None:
        """How much a counter rose; None where that isn't known."""
        if len(self._times) < 2:
            return None
        first, last = np.interp([begin, end], self._times, self._values).tolist()
        return None if math.isnan(last - first) else last - first

    def mean(self, begin: float, end: float) -> float | None:
        """Over time, however unevenly it was looked at; None where nothing is known."""
        times, values = self._between(begin, end)
        return float(_areas(times, values).sum() / (end - begin)) if len(times) else None

    def peak(self, begin: float, end: float) -> float | None:
        """The most that was seen; the same."""
        _, values = self._between(begin, end)
        return float(values.max()) if len(values) else None

    def integral(self) -> Line:
        """A counter of it: of watts, joules."""
        times, values = self._known()
        counter = Line()
        for moment, total in zip(times, np.cumsum([0.0, *_areas(times, values)]), strict=False):
            counter.add(float(moment), float(total))
        return counter

    def _known(self) -> tuple[Floats, Floats]:
        times, values = np.asarray(self._times, float), np.asarray(self._values, float)
        known = ~np.isnan(values)
        return times[known], values[known]

    def _between(self, begin: float, end: float) -> tuple[Floats, Floats]:
        times, values = self._known()
        if not len(times):
            return times, values
        within = np.concatenate([[begin], times[(times > begin) & (times < end)], [end]])
        return within, np.interp(within, times, values)


class _Server:
    """The server's processes."""

    def __init__(self, pid: int | None) -> None:
        if pid is None:
            raise UnavailableError("no process of this machine is known to be it")
        self._pid = pid
        self._tree = ProcessTree(pid)
        self._seconds, self._rss = Line(), Line()
        self._seen = 0.0

    def look(self) -> None:
        self._tree.look()
        now = time.perf_counter()
        self._seconds.add(now, self._tree.seconds)
        self._rss.add(now, self._tree.rss)
        if self._tree.alive:
            self._seen = now

    def used(self, begin: float, end: float) -> Mapping[str, Any]:
        seconds = self._seconds.gained(begin, end)
        return {
            "server": {
                "cpu_seconds": seconds,
                "cores_busy": _rate(seconds, end - begin),
                "rss_peak_bytes": _whole(self._rss.peak(begin, end)),
                "rss_mean_bytes": _whole(self._rss.mean(begin, end)),
            }
        }

    def missing(self, begin: float, end: float) -> str:
        if self._tree.alive or self._seen >= end:
            return ""
        return f"process {self._pid} was last seen {end - self._seen:.3g} s before the end of this time"

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _GpuLines:
    """One GPU over time."""

    utilization: Line = field(default_factory=Line)
    memory: Line = field(default_factory=Line)
    energy: Line = field(default_factory=Line)
    power: Line = field(default_factory=Line)

    def note(self, reading: GpuReading) -> None:
        now = time.perf_counter()
        self.utilization.add(now, reading.utilization_percent)
        self.memory.add(now, reading.memory_bytes)
        self.energy.add(now, reading.energy_joules)
        self.power.add(now, reading.power_watts)

    def used(self, begin: float, end: float) -> Mapping[str, float | None]:
        joules = self.energy.gained(begin, end)
        if joules is None:
            # Older GPUs count none; what they draw is seen often enough.
            joules = self.power.integral().gained(begin, end)
        return {
            "utilization_percent": self.utilization.mean(begin, end),
            "memory_peak_bytes": _whole(self.memory.peak(begin, end)),
            "energy_joules": joules,
            "power_watts": _rate(joules, end - begin),
        }


class _Graphics:
    """The GPUs."""

    def __init__(self, pid: int | None) -> None:
        self._gpus = Gpus()
        self._lines: Sequence[_GpuLines] = [_GpuLines() for _ in self._gpus.devices]

    def look(self) -> None:
        for lines, reading in zip(self._lines, self._gpus.read(), strict=True):
            lines.note(reading)

    def used(self, begin: float, end: float) -> Mapping[str, Any]:
        return {
            "gpus": [
                {"index": device.index, "name": device.name, **lines.used(begin, end)}
                for device, lines in zip(self._gpus.devices, self._lines, strict=True)
            ]
        }

    def missing(self, begin: float, end: float) -> str:
        untold = [
            f"{name} of GPU {gpu['index']}"
            for gpu in self.used(begin, end)["gpus"]
            for name, figure in gpu.items()
            if figure is None
        ]
        return f"NVML doesn't tell {', '.join(untold)}" if untold else ""

    def close(self) -> None:
        self._gpus.close()


class _Package:
    """The processor packages' energy."""

    def __init__(self, pid: int | None) -> None:
        self._packages = Packages()
        self._joules = Line()

    def look(self) -> None:
        joules = self._packages.joules()
        self._joules.add(time.perf_counter(), joules)

    def used(self, begin: float, end: float) -> Mapping[str, Any]:
        return {"package_energy_joules": self._joules.gained(begin, end)}

    def missing(self, begin: float, end: float) -> str:
        known = self._joules.gained(begin, end) is not None
        return "" if known else "RAPL: the counters could be read no longer"

    def close(self) -> None:
        pass


_METERS: Mapping[str, Callable[[int | None], Meter]] = {
    "server": _Server,
    "gpu": _Graphics,
    "rapl": _Package,
}

_NOTHING: Mapping[str, Any] = {"server": None, "gpus": [], "package_energy_joules": None}


def _areas(times: Floats, values: Floats) -> Floats:
    """Under the line, from each moment to the next."""
    areas: Floats = np.diff(times) * (values[1:] + values[:-1]) / 2
    return areas


def _rate(amount: float | None, seconds: float) -> float | None:
    return None if amount is None else amount / seconds


def _whole(figure: float | None) -> int | None:
    return None if figure is None else round(figure)
