"""The bench's own arithmetic, and its closed loop on targets of known behaviour."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest

from standpipe.v1 import text_pb2
from standpipe_bench.closed_loop import ClosedLoop, Record, drive
from standpipe_bench.in_process import Throughput
from standpipe_bench.overhead import Comparison
from standpipe_bench.payloads import embed_requests, texts
from standpipe_bench.statistics import summarize
from standpipe_bench.targets import NullTarget
from standpipe_server.interfaces import Call, LoadedModel, ModelInfo, Outcome, Output


class SlowTarget:
    """Answers after a while, and notes how many callers waited at once."""

    name = "slow"
    items = 1

    def __init__(self) -> None:
        self.waiting = 0
        self.most = 0

    async def call(self) -> str:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(0.002)
        self.waiting -= 1
        return "OK"


def test_percentiles_agree_with_numpy() -> None:
    generator = random.Random(1)
    times = [generator.lognormvariate(-6, 1) for _ in range(20_000)]
    summary = summarize([Record(0.0, time, "OK") for time in times], items=2, duration=10.0)
    for name, value in summary.latency_ms.items():
        percentile = float(name[1:])
        # One rank more or less is the two libraries' rounding.
        below, above = (
            np.percentile(times, [percentile - 0.005, percentile + 0.005], method="inverted_cdf") * 1e3
        )
        assert below * 0.998 - 0.001 <= value <= above * 1.002 + 0.001
    assert summary.max_ms == pytest.approx(max(times) * 1e3, rel=2e-3)
    assert (20_000, 2000.0, 4000.0) == (summary.calls, summary.calls_per_second, summary.items_per_second)


def test_errors_are_counted_by_status_and_not_timed() -> None:
    statuses = ["OK", "UNAVAILABLE", "UNAVAILABLE", "INTERNAL"]
    records = [Record(0.0, 0.001 if status == "OK" else 9.0, status) for status in statuses]
    summary = summarize(records, items=1, duration=1.0)
    assert (1, {"UNAVAILABLE": 2, "INTERNAL": 1}) == (summary.calls, summary.errors)
    assert summary.max_ms == pytest.approx(1.0, rel=2e-3)


async def test_as_many_callers_wait_as_the_schedule_says() -> None:
    target = SlowTarget()
    await drive(target, ClosedLoop(concurrency=7, warm_up=0.0, duration=0.05))
    assert 7 == target.most


async def test_what_ends_during_the_warm_up_is_not_counted() -> None:
    records = await drive(NullTarget(), ClosedLoop(concurrency=2, warm_up=0.2, duration=0.2))
    assert records
    span = max(record.done for record in records) - min(record.done for record in records)
    assert span <= 0.2


def test_the_same_seed_gives_the_same_texts_and_another_gives_others() -> None:
    assert texts(20, 17, seed=1) == texts(20, 17, seed=1)
    assert texts(20, 17, seed=1) != texts(20, 17, seed=2)
    assert all(8 <= len(text.split()) <= 25 for text in texts(200, 17, seed=1))


def test_requests_hold_as_many_texts_as_asked_for_and_never_end() -> None:
    for data in itertools.islice(embed_requests(5, 17, seed=1, model="m"), 100):
        request = text_pb2.EmbedTextRequest.FromString(data)
        assert ("m", 5) == (request.model, len(request.texts))


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("runners", [1, 2])
def test_in_process_throughput_is_measured_however_many_runners_there_are(
    runners: int, together: bool
) -> None:
    class Runner:
        def run(self, calls: Sequence[Call], *, alone: bool) -> list[Outcome]:
            assert alone is not together
            return [Output(None) for _ in calls]

    info = ModelInfo("torch", "cpu", "fp32", "because", "", 256, 384)
    model = LoadedModel(info, [Runner() for _ in range(runners)], batch_cost=448)
    assert Throughput(together, items=4, words=3, seconds=0.05).measure(model) > 0


def test_ratios_compare_within_a_round() -> None:
    line = Comparison("load", in_process=[100.0, 50.0], served=[90.0, 40.0])
    assert [0.9, 0.8] == line.ratios()
    assert [-10.0, -10.0] == line.differences()
