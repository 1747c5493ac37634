"""What becomes of calls that are cancelled, late, refused or poisoned, and of their companions."""

from __future__ import annotations

from itertools import combinations

import pytest
from engine_fakes import Rig, let_tasks_run, replies, reply

from standpipe_server.engine.batcher import CallFailedError
from standpipe_server.engine.queue import BatchLimits
from standpipe_server.errors import DeadlinePassedError, OverloadedError

CALLERS = ["a", "b", "c", "d"]
SUBSETS = [subset for size in range(len(CALLERS) + 1) for subset in combinations(CALLERS, size)]


def failing(*bad: str) -> dict[str, ValueError]:
    return {call: ValueError(f"{call} is bad") for call in bad}


# Cancelling


@pytest.mark.parametrize("cancelled", SUBSETS)
async def test_callers_that_cancel_before_their_batch_starts_leave_the_others_answered(
    cancelled: tuple[str, ...],
) -> None:
    rig = Rig()
    await rig.call("first")
    tasks = {name: await rig.call(name, f"{name}2") for name in CALLERS}
    for name in cancelled:
        tasks[name].cancel()
    await rig.finish_everything()
    left = [name for name in CALLERS if name not in cancelled]
    assert [call for name in left for call in (name, f"{name}2")] == [
        call for batch in rig.started[1:] for call in batch
    ]
    assert [replies(name, f"{name}2") for name in left] == [(await tasks[name]).outputs for name in left]
    assert set(cancelled) == {name for name in CALLERS if tasks[name].cancelled()}
    await rig.batcher.drain()


@pytest.mark.parametrize("cancelled", SUBSETS)
async def test_callers_that_cancel_while_their_batch_runs_leave_the_others_answered(
    cancelled: tuple[str, ...],
) -> None:
    rig = Rig()
    await rig.call("first")
    tasks = {name: await rig.call(name) for name in CALLERS}
    rig.worker.finish()
    assert tuple(CALLERS) == rig.started[-1]
    for name in cancelled:
        tasks[name].cancel()
    await rig.finish_everything()
    left = [name for name in CALLERS if name not in cancelled]
    assert [replies(name) for name in left] == [(await tasks[name]).outputs for name in left]
    assert set(cancelled) == {name for name in CALLERS if tasks[name].cancelled()}
    await rig.batcher.drain()


async def test_a_caller_that_cancels_half_way_drops_the_half_that_has_not_started() -> None:
    rig = Rig(BatchLimits(max_items=1))
    caller = await rig.call("a", "b", "c")
    other = await rig.call("d")
    caller.cancel()
    await rig.finish_everything()
    assert [("a",), ("d",)] == rig.started
    assert [reply("d")] == (await other).outputs


async def test_a_call_cancelled_in_the_turn_in_which_a_worker_becomes_idle_does_not_reach_it() -> None:
    rig = Rig()
    await rig.call("a")
    caller = await rig.call("b")
    caller.cancel()
    rig.worker.finish()
    assert [("a",)] == rig.started
    await let_tasks_run()


# Deadlines


async def test_a_caller_whose_time_runs_out_stops_waiting_even_where_the_worker_is_stuck() -> None:
    rig = Rig()
    caller = await rig.call("a", timeout=5)
    rig.clock.advance(4.99)
    await let_tasks_run()
    assert not caller.done()
    rig.clock.advance(0.01)
    with pytest.raises(DeadlinePassedError):
        await caller
    assert rig.worker.busy


async def test_an_answer_that_comes_after_the_deadline_is_dropped_and_the_worker_goes_on() -> None:
    rig = Rig()
    late = await rig.call("a", timeout=5)
    rig.clock.advance(5)
    other = await rig.call("b")
    rig.worker.finish()
    rig.worker.finish()
    assert [reply("b")] == (await other).outputs
    assert isinstance(late.exception(), DeadlinePassedError)


async def test_a_call_whose_deadline_passed_while_it_waited_never_reaches_a_worker() -> None:
    rig = Rig()
    await rig.call("a")
    late, fresh = await rig.call("late", timeout=5), await rig.call("fresh", timeout=6)
    rig.clock.advance(5)
    rig.worker.finish()
    assert [("a",), ("fresh",)] == rig.started
    await rig.finish_everything()
    assert isinstance(late.exception(), DeadlinePassedError)
    assert [reply("fresh")] == (await fresh).outputs


async def test_a_call_whose_deadline_passed_does_not_start_even_where_its_timer_is_late() -> None:
    rig = Rig()
    await rig.call("a")
    late = await rig.call("late", timeout=5)
    rig.clock.jump(5)
    rig.worker.finish()
    assert [("a",)] == rig.started
    with pytest.raises(DeadlinePassedError):
        await late


async def test_a_call_whose_deadline_passes_while_the_batch_runs_leaves_the_others_answered() -> None:
    rig = Rig()
    await rig.call("first")
    late, other = await rig.call("late", timeout=5), await rig.call("other")
    rig.worker.finish()
    rig.clock.advance(5)
    await rig.finish_everything()
    assert isinstance(late.exception(), DeadlinePassedError)
    assert [reply("other")] == (await other).outputs


@pytest.mark.parametrize("timeout", [0.0, -1.0])
async def test_a_call_that_comes_after_its_deadline_is_refused_at_once(timeout: float) -> None:
    rig = Rig(BatchLimits(max_queue=1))
    await rig.call("running")
    await rig.call("waiting")
    caller = await rig.call("late", timeout=timeout)
    assert isinstance(caller.exception(), DeadlinePassedError)
    await rig.finish_everything()


async def test_no_timer_is_left_when_every_caller_has_gone() -> None:
    rig = Rig()
    answered, cancelled = await rig.call("a", timeout=5), await rig.call("b", timeout=5)
    cancelled.cancel()
    await rig.finish_everything()
    await answered
    assert 0 == rig.clock.pending


# Overload


async def test_a_request_that_the_queue_can_not_hold_is_refused_whole() -> None:
    rig = Rig(BatchLimits(max_queue=3))
    await rig.call("a")
    waiting = await rig.call("b", "c")
    with pytest.raises(OverloadedError) as refusal:
        await rig.submit("d", "e")
    assert 0 < refusal.value.retry_after
    await rig.finish_everything()
    assert [("a",), ("b", "c")] == rig.started
    assert replies("b", "c") == (await waiting).outputs


async def test_the_queue_is_filled_to_its_last_place() -> None:
    rig = Rig(BatchLimits(max_queue=3))
    await rig.call("a")
    callers = [await rig.call("b", "c"), await rig.call("d")]
    await rig.finish_everything()
    assert [replies("b", "c"), replies("d")] == [(await caller).outputs for caller in callers]


async def test_a_caller_that_cancels_makes_room_in_the_queue() -> None:
    rig = Rig(BatchLimits(max_queue=1))
    await rig.call("a")
    first = await rig.call("b")
    first.cancel()
    await let_tasks_run()
    second = await rig.call("c")
    await rig.finish_everything()
    assert [reply("c")] == (await second).outputs


async def test_a_refused_caller_is_told_to_wait_the_longer_the_slower_the_worker_was() -> None:
    told: list[float] = []
    for seconds in (10, 100):
        rig = Rig(BatchLimits(max_queue=2))
        await rig.call("a")
        rig.worker.finish(seconds=seconds)
        callers = [await rig.call("b"), await rig.call("c", "d")]
        with pytest.raises(OverloadedError) as refusal:
            await rig.submit("e")
        told.append(refusal.value.retry_after)
        await rig.finish_everything()
        assert all(caller.done() for caller in callers)
    assert 10 * told[0] == pytest.approx(told[1])


# Failures


async def test_a_call_that_fails_fails_its_own_request_only() -> None:
    rig = Rig()
    await rig.call("first")
    before, bad, after = [await rig.call(*calls) for calls in (["a"], ["b", "c"], ["d"])]
    rig.worker.finish()
    errors = failing("c")
    rig.worker.finish(lambda call: errors.get(call) or reply(call))
    with pytest.raises(CallFailedError) as failure:
        await bad
    assert (1, errors["c"]) == (failure.value.index, failure.value.__cause__)
    assert [replies("a"), replies("d")] == [(await before).outputs, (await after).outputs]


async def test_of_several_failed_calls_the_one_that_ran_first_is_told() -> None:
    rig = Rig()
    errors = failing("b", "c")
    caller = await rig.call("a", "b", "c")
    rig.worker.finish(lambda call: errors.get(call) or reply(call))
    with pytest.raises(CallFailedError) as failure:
        await caller
    assert (1, errors["b"]) == (failure.value.index, failure.value.__cause__)


async def test_what_still_waits_of_a_failed_request_never_reaches_a_worker() -> None:
    rig = Rig(BatchLimits(max_items=1))
    errors = failing("a")
    bad, other = await rig.call("a", "b", "c"), await rig.call("d")
    rig.worker.finish(lambda call: errors.get(call) or reply(call))
    await rig.finish_everything()
    assert [("a",), ("d",)] == rig.started
    assert isinstance(bad.exception(), CallFailedError)
    assert [reply("d")] == (await other).outputs


async def test_a_failed_request_leaves_the_queue_before_another_worker_can_take_the_rest() -> None:
    rig = Rig(BatchLimits(max_items=1), workers=2)
    bad = await rig.call("a", "b", "c", "d")
    rig.workers[0].finish(ValueError)
    rig.workers[1].finish()
    assert "d" not in [call for batch in rig.batches for call in batch.calls]
    await rig.finish_everything()
    assert isinstance(bad.exception(), CallFailedError)


async def test_the_worker_goes_on_after_a_batch_in_which_all_failed() -> None:
    rig = Rig()
    bad = await rig.call("a")
    rig.worker.finish(ValueError)
    with pytest.raises(CallFailedError):
        await bad
    good = await rig.call("b")
    rig.worker.finish()
    assert [reply("b")] == (await good).outputs
