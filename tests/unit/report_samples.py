"""Results of every command, as the bench would write them: figures of seeded records, without a server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from standpipe_bench.load.records import CALL, Records
from standpipe_bench.results import Label, Point, Result
from standpipe_bench.statistics import Figures, summarize

TARGET = "standpipe.v1.Embeddings.EmbedText"
ENVIRONMENT = {
    "time": "2026-03-14T09:26:53+00:00",
    "system": "Linux-6.8-x86_64",
    "processor": "A Processor @ 2.10GHz",
    "cores": 16,
    "memory_bytes": 67_430_000_000,
    "python": "3.11.2",
    "packages": {"standpipe": "0.1.0", "grpcio": "1.85.0", "torch": "2.11.0"},
    "commit": "0123abc",
}
SECONDS = 10.0


def records(
    rate: float,
    median_ms: float,
    *,
    seed: int = 1,
    batch: int = 1,
    items: int = 1,
    failed: float = 0.0,
    streams: int = 0,
) -> Records:
    """Calls with a long tail of latencies, some of them batched, failed or streamed."""
    generator = np.random.default_rng(seed)
    count = max(1, round(rate * SECONDS))
    calls = np.zeros(count, CALL)
    calls["scheduled"] = np.sort(generator.uniform(0, SECONDS, count))
    calls["sent"] = calls["scheduled"] + generator.exponential(5e-5, count)
    calls["last"] = calls["sent"] + median_ms / 1e3 * generator.lognormal(0, 0.45, count)
    calls["first"] = calls["last"]
    calls["items"] = items
    calls["batch"] = 1 + generator.binomial(batch * 2, 0.5, count) if batch > 1 else 0
    calls["status"] = np.where(generator.random(count) < failed, 8, 0)
    if not streams:
        return Records(calls, np.empty(0))
    steps = np.cumsum(generator.exponential(median_ms / 1e4, (count, streams)), axis=1)
    times = calls["sent"][:, None] + median_ms / 1e3 + steps
    calls["first"], calls["last"] = times[:, 0], times[:, -1]
    calls["messages"], calls["written"], calls["read"] = streams, streams, 12
    return Records(calls, times.ravel())


def figures(
    rate: float, median_ms: float, *, closed: bool = False, good_ms: float | None = 50.0, **more: Any
) -> Figures:
    return summarize(records(rate, median_ms, **more), 0.0, SECONDS, closed=closed, good_ms=good_ms)


def point(labels: Mapping[str, Label], measured: Figures | None, **more: Any) -> Point:
    return Point(labels=labels, target=TARGET, figures=measured, **more)


@cache
def run() -> Result:
    schedule = {"kind": "poisson", "rate": 200.0, "seed": 1}
    usage = {
        "seconds": SECONDS,
        "server": {"cores_busy": 3.4127, "rss_peak_bytes": 812_000_000},
        "gpus": [{"index": 0, "utilization_percent": 62.0, "memory_peak_bytes": 2**31, "power_watts": 140.0}],
        "package_energy_joules": 95 * SECONDS,
        "missing": {},
    }
    measured = figures(200, 12.0, batch=6, failed=0.004)
    return _result("run", [point({}, measured, schedule=schedule, usage=usage, model={"name": "bert"})])


@cache
def stream() -> Result:
    schedule = {"kind": "closed", "concurrency": 4, "pause": 0.0}
    return _result("run", [point({}, figures(20, 60.0, streams=24, closed=True), schedule=schedule)])


@cache
def sweep() -> Result:
    # Past its best, at 32 callers, the server answers less: the curve bends back.
    loads = {1: (80, 12.0), 2: (150, 13.0), 4: (280, 14.0), 8: (470, 17.0), 16: (640, 25.0), 32: (690, 47.0)}
    loads[64] = (610, 110.0)
    points = [
        point(
            {"concurrency": concurrency},
            figures(rate, median, closed=True, seed=concurrency, batch=min(32, concurrency)),
            schedule={"kind": "closed", "concurrency": concurrency, "pause": 0.0},
        )
        for concurrency, (rate, median) in loads.items()
    ]
    return _result("sweep", points, settings={"concurrency": list(loads), "duration": SECONDS})


@cache
def search() -> Result:
    tried = {100.0: 10.0, 200.0: 11.0, 400.0: 14.0, 800.0: 60.0, 600.0: 14.5, 700.0: 34.0, 650.0: 15.5}
    points = [
        point(
            {"rate": rate},
            figures(rate, median, seed=int(rate)),
            schedule={"kind": "poisson", "rate": rate, "seed": 1},
        )
        for rate, median in tried.items()
    ]
    late = points[3].figures
    assert late is not None
    busy = replace(
        late.driver, bottleneck="3.2% of the calls were sent more than 2 ms late", late_share=0.032
    )
    points[3] = replace(points[3], figures=replace(late, driver=busy))
    return _result("search", points, found={"rate": 650.0, "slo": "p99<50ms"}, partial=True)


@cache
def matrix() -> Result:
    places = product(("minilm", "bert-base"), ("in-process", "served"), (1, 8, 32), _CHOICES)
    cells = [_cell(*place, seed=seed) for seed, place in enumerate(places)]
    # What can't be had is absent as a whole, and once.
    return _result("matrix", list({json.dumps(cell.labels): cell for cell in cells}.values()))


def _cell(model: str, path: str, batch: int, choice: tuple[str, str, str], seed: int) -> Point:
    device, backend, dtype = choice
    labels: dict[str, Label] = {"model": model, "device": device, "backend": backend, "dtype": dtype}
    if (device, backend) not in _SPEEDS:
        return point(labels, None, absent="no XPU device")
    labels |= {"path": path, "batch": batch, "words": 16}
    factors = {"bert-base": 0.2, "served": 0.8, "bf16": 1.4}
    items = (
        _SPEEDS[device, backend] * batch**0.3 * prod(factors.get(name, 1.0) for name in (model, path, dtype))
    )
    return point(labels, figures(items / batch, 1e3 * batch / items, closed=True, items=batch, seed=seed))


_SPEEDS = {("cpu", "torch"): 60.0, ("cpu", "openvino"): 130.0, ("cuda", "torch"): 900.0}
_CHOICES = (
    ("cpu", "torch", "fp32"),
    ("cpu", "openvino", "fp32"),
    ("cpu", "openvino", "bf16"),
    ("cuda", "torch", "bf16"),
    ("xpu", "torch", "bf16"),
)


@cache
def compare() -> Result:
    points = [
        point(
            {"side": side, "round": number},
            figures(150, median * (1 + 0.03 * number % 0.1), seed=10 * number + ord(side)),
        )
        for number in range(1, 7)
        for side, median in (("A", 20.0), ("B", 22.0))
    ]
    metrics = [
        _metric("p50", "ms", 1.0931, 1.071, 1.115, "regression"),
        _metric("p99", "ms", 1.08, 0.97, 1.21, "unclear"),
        _metric("first message p50", "ms", 0.91, 0.88, 0.94, "improvement"),
        _metric("throughput", "calls/s", 1.002, 0.996, 1.009, "no change"),
    ]
    return _result("compare", points, found={"metrics": metrics})


def _metric(name: str, unit: str, ratio: float, low: float, high: float, verdict: str) -> dict[str, Any]:
    return {"name": name, "unit": unit, "ratio": ratio, "low": low, "high": high, "verdict": verdict}


def _result(command: str, points: Sequence[Point], **more: Any) -> Result:
    return Result(command, ENVIRONMENT, points, **more)


ALL = {"run": run, "sweep": sweep, "search": search, "matrix": matrix, "compare": compare, "stream": stream}
"""By the names under which tests show them."""
