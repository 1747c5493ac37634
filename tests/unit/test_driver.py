"""The driver, on targets of known behaviour."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
import pytest

from standpipe_bench.load import driver as module
from standpipe_bench.load.driver import Driver, Timing
from standpipe_bench.load.pacer import pacer
from standpipe_bench.load.records import OK, UNFINISHED, Records
from standpipe_bench.load.schedules import Closed, Constant, Poisson, Schedule
from standpipe_bench.targets import Answer


class Target:
    """Answers after a while, and notes who was asked."""

    def __init__(self, seconds: float = 0.002, answer: Callable[[], Answer] = Answer) -> None:
        self.seconds = seconds
        self.answer = answer
        self.asked: list[int] = []
        self.waiting = 0
        self.most = 0

    async def call(self, index: int) -> Answer:
        self.asked.append(index)
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.waiting -= 1
        return self.answer()


async def test_as_many_callers_wait_as_the_schedule_says() -> None:
    target = Target()
    records = await Driver(target, Closed(7), Timing(0.05)).run()
    assert 7 == target.most
    # Nobody waits to be sent.
    assert (records.calls["scheduled"] <= records.calls["sent"]).all()


async def test_an_open_loop_calls_when_calls_are_due_whatever_the_target_does() -> None:
    target = Target(seconds=0.3)
    schedule = Poisson(rate=200)
    records = await Driver(target, schedule, Timing(0.2)).run()
    assert schedule.arrivals(0.2).tolist() == sorted(records.calls["scheduled"].tolist())
    assert len(records.calls) == target.most
    assert sorted(target.asked) == list(range(target.most))
    assert (records.calls["sent"] >= records.calls["scheduled"]).all()
    assert (records.calls["last"] - records.calls["sent"] >= 0.29).all()


async def test_what_was_under_way_at_the_end_is_waited_for() -> None:
    records = await Driver(Target(seconds=0.2), Constant(rate=100), Timing(0.1)).run()
    assert [OK] * 10 == records.calls["status"].tolist()


async def test_a_run_that_is_broken_off_keeps_what_it_knows() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, stop.set)
    target = Target(seconds=30)
    records = await Driver(target, Constant(rate=100), Timing(60)).run(stop=stop)
    assert 0 == target.waiting
    assert {UNFINISHED} == set(records.calls["status"].tolist())
    # That it took at least so long.
    assert (records.calls["last"] > records.calls["sent"]).all()


@pytest.mark.parametrize("schedule", [Closed(3), Constant(rate=100)], ids=lambda schedule: schedule.kind)
async def test_drivers_number_their_calls_apart(schedule: Schedule) -> None:
    targets = [Target(), Target()]
    await asyncio.gather(
        *(Driver(target, schedule, Timing(0.1), part, 2).run() for part, target in enumerate(targets))
    )
    assert all(index % 2 == part for part, target in enumerate(targets) for index in target.asked)


async def test_no_more_is_under_way_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OUTSTANDING", 3)
    target = Target(seconds=0.02)
    records = await Driver(target, Constant(rate=1000), Timing(0.05)).run()
    assert 3 == target.most
    assert 50 == len(records.calls)
    # What waited for room shows as late, not as the target's.
    assert (records.calls["sent"] - records.calls["scheduled"]).max() > 0.1


async def test_the_times_of_a_stream_stay_with_its_call() -> None:
    streams = iter([[-0.2, -0.1], [], [-0.3]])

    def answer() -> Answer:
        times = [time.perf_counter() + offset for offset in next(streams)]
        return Answer(times=times, first=times[0] if times else float("nan"))

    records = await Driver(Target(0.0, answer), Constant(rate=100), Timing(0.03)).run()
    assert [2, 0, 1] == records.calls["messages"].tolist()
    lengths = [len(stream) for stream in records.streams()]
    assert [2, 0, 1] == lengths
    firsts = records.calls["first"]
    assert [firsts[0], firsts[2]] == [records.streams()[0][0], records.streams()[2][0]]
    # What never came isn't timed.
    assert np.isnan(firsts[1])


async def test_a_target_that_breaks_its_promise_ends_the_run() -> None:
    def answer() -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        await Driver(Target(0.0, answer), Closed(2), Timing(5)).run()


async def test_nobody_is_woken_too_early() -> None:
    with pacer() as pace:
        for step in (0.0003, 0.001, 0.005, -1.0):
            moment = time.perf_counter() + step
            await pace.until(moment)
            assert time.perf_counter() >= moment


def test_records_of_several_drivers_are_merged_in_the_order_of_their_schedule() -> None:
    def row(due: float, messages: int) -> tuple[float, ...]:
        return (due, due, due, due + 1, OK, 1, 0, messages, 0, 0, 0)

    parts = [
        Records.of([row(0.2, 1), row(0.0, 2)], [1.2, 1.0, 1.1]),
        Records.of([row(0.1, 0), row(0.3, 1)], [1.3]),
    ]
    merged = Records.merged(parts)
    assert [0.0, 0.1, 0.2, 0.3] == merged.calls["scheduled"].tolist()
    assert [[1.0, 1.1], [], [1.2], [1.3]] == [stream.tolist() for stream in merged.streams()]


def test_raw_records_are_lines_that_leave_out_what_never_came() -> None:
    nan = float("nan")
    records = Records.of([(0.5, 0.6, nan, 0.9, UNFINISHED, 2, 0, 0, 0, 0, 0)])
    (line,) = records.lines()
    assert ("UNFINISHED", 0.5, 2) == (line["status"], line["scheduled"], line["items"])
    assert "first" not in line


def test_a_driver_without_a_message_has_its_place_in_the_order() -> None:
    def row(due: float, messages: int) -> tuple[float, ...]:
        return (due, due, due, due + 1, OK, 1, 0, messages, 0, 0, 0)

    merged = Records.merged([Records.of([row(0.0, 0), row(0.2, 0)]), Records.of([row(0.1, 1)], [1.1])])
    assert [[], [1.1], []] == [stream.tolist() for stream in merged.streams()]


async def test_what_was_due_and_never_sent_is_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OUTSTANDING", 3)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, stop.set)
    records = await Driver(Target(seconds=30), Constant(rate=100), Timing(0.1)).run(stop=stop)
    assert 10 == len(records.calls)
    assert {UNFINISHED} == set(records.calls["status"].tolist())


async def test_nobody_rests_after_the_end() -> None:
    began = time.perf_counter()
    await Driver(Target(), Closed(1, pause=30), Timing(0.1)).run()
    assert time.perf_counter() - began < 15


def test_what_was_said_first_with_an_error_stays() -> None:
    parts = [Records.of([], (), {13: "first"}), Records.of([], (), {13: "second", 14: "gone"})]
    assert {13: "first", 14: "gone"} == Records.merged(parts).details
