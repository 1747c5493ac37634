"""How batches form, what an answer tells, and how a batcher drains."""

from __future__ import annotations

import asyncio

import pytest
from engine_fakes import Rig, let_tasks_run, replies, reply

from standpipe_server.engine.batcher import Answer, merged
from standpipe_server.engine.queue import BatchLimits
from standpipe_server.errors import DeadlinePassedError, DrainingError, OverloadedError

# Batches


async def test_a_call_that_finds_the_worker_idle_runs_at_once() -> None:
    rig = Rig()
    caller = await rig.call("a")
    assert [("a",)] == rig.started
    rig.worker.finish()
    assert [reply("a")] == (await caller).outputs


async def test_calls_that_come_while_the_worker_is_busy_run_together_next() -> None:
    rig = Rig()
    callers = [await rig.call(call) for call in "abc"]
    assert [("a",)] == rig.started
    rig.worker.finish()
    assert [("a",), ("b", "c")] == rig.started
    rig.worker.finish()
    assert [replies(call) for call in "abc"] == [(await caller).outputs for caller in callers]


async def test_the_next_batch_starts_before_the_last_ones_callers_go_on() -> None:
    rig = Rig()
    caller = await rig.call("a")
    await rig.call("b")
    rig.worker.finish()
    assert ([("a",), ("b",)], False) == (rig.started, caller.done())
    rig.worker.finish()
    await let_tasks_run()


async def test_an_answer_keeps_the_order_of_its_calls_whatever_the_order_in_which_they_ran() -> None:
    rig = Rig(BatchLimits(max_items=2))
    caller = await rig.call("a", "b", "c", "d", costs=[9, 1, 8, 2])
    await rig.finish_everything()
    assert [("c", "a"), ("b", "d")] == rig.started
    assert replies("a", "b", "c", "d") == (await caller).outputs


async def test_only_calls_of_an_equal_key_run_together() -> None:
    rig = Rig()
    await rig.call("first")
    for call, key in [("a", "x"), ("b", "y"), ("c", "x")]:
        await rig.call(call, key=key)
    await rig.finish_everything()
    assert [("first",), ("a", "c"), ("b",)] == rig.started


async def test_each_idle_worker_takes_a_batch() -> None:
    rig = Rig(BatchLimits(max_items=1), workers=2)
    caller = await rig.call("a", "b", "c")
    assert [("a",), ("b",)] == rig.started
    rig.workers[1].finish()
    assert ("c",) == rig.workers[1].started[-1].calls
    await rig.finish_everything()
    assert replies("a", "b", "c") == (await caller).outputs


async def test_an_answer_says_how_large_its_batches_were_how_long_it_waited_and_how_long_they_ran() -> None:
    rig = Rig(BatchLimits(max_items=3))
    await rig.call("first")
    rig.clock.advance(1)
    caller = await rig.call("a", "b", "c", "d")
    rig.clock.advance(2)
    rig.worker.finish()
    rig.clock.advance(4)
    rig.worker.finish(seconds=8)
    rig.worker.finish(seconds=16)
    answer = await caller
    assert (3, 6.0, 24.0) == (answer.batch_size, answer.queue_seconds, answer.compute_seconds)


# Alone


async def test_a_batch_is_alone_where_nothing_else_runs_or_waits() -> None:
    rig = Rig(workers=2)
    await rig.call("a")
    assert [True] == [batch.alone for batch in rig.batches]
    await rig.finish_everything()


async def test_a_batch_is_not_alone_where_another_runs() -> None:
    rig = Rig(workers=2)
    await rig.call("a")
    await rig.call("b")
    assert [True, False] == [batch.alone for batch in rig.batches]
    await rig.finish_everything()


async def test_a_batch_is_not_alone_where_more_waits() -> None:
    rig = Rig(BatchLimits(max_items=1))
    await rig.call("a", "b")
    rig.worker.finish()
    assert [False, True] == [batch.alone for batch in rig.batches]
    rig.worker.finish()
    await let_tasks_run()


# Draining


async def test_draining_answers_everything_accepted_and_takes_nothing_new() -> None:
    rig = Rig()
    running, waiting = await rig.call("a"), await rig.call("b")
    drained = asyncio.create_task(rig.batcher.drain())
    await let_tasks_run()
    with pytest.raises(DrainingError) as refusal:
        await rig.submit("c")
    assert 0 < refusal.value.retry_after
    rig.worker.finish()
    await let_tasks_run()
    assert not drained.done()
    rig.worker.finish()
    await drained
    assert [replies("a"), replies("b")] == [(await running).outputs, (await waiting).outputs]
    assert [("a",), ("b",)] == rig.started


async def test_draining_waits_for_a_caller_whose_answer_is_made_by_several_calls() -> None:
    rig = Rig()
    with rig.batcher.accepted():
        drained = asyncio.create_task(rig.batcher.drain())
        await let_tasks_run()
        further = asyncio.create_task(
            rig.batcher.submit(["a"], key="k", costs=[1], timeout=None, accepted=True)
        )
        await let_tasks_run()
        rig.worker.finish()
        assert replies("a") == (await further).outputs
        assert not drained.done()
    await drained
    with pytest.raises(DrainingError), rig.batcher.accepted():
        pytest.fail("nothing new is taken")


def test_what_became_of_several_calls_is_told_as_of_one() -> None:
    one, other = Answer[str](["a"], 3, 0.5, 2.0), Answer[str](["b"], 1, 0.7, 1.0)
    assert Answer([], 3, 0.7, 3.0) == merged([one, other])


async def test_draining_ends_at_once_where_nothing_was_accepted() -> None:
    rig = Rig()
    drained = asyncio.create_task(rig.batcher.drain())
    await let_tasks_run()
    assert drained.done()


async def test_draining_ends_when_the_last_caller_stops_waiting_though_the_worker_is_stuck() -> None:
    rig = Rig()
    cancelled, late = await rig.call("a"), await rig.call("b", timeout=5)
    drained = asyncio.create_task(rig.batcher.drain())
    cancelled.cancel()
    await let_tasks_run()
    assert not drained.done()
    rig.clock.advance(5)
    await let_tasks_run()
    assert drained.done()
    assert isinstance(late.exception(), DeadlinePassedError)


async def test_refused_calls_do_not_hold_up_draining() -> None:
    rig = Rig(BatchLimits(max_queue=1))
    with pytest.raises(OverloadedError):
        await rig.submit("a", "b")
    with pytest.raises(DeadlinePassedError):
        await rig.submit("c", timeout=0)
    drained = asyncio.create_task(rig.batcher.drain())
    await let_tasks_run()
    assert drained.done()


async def test_closing_closes_every_worker() -> None:
    rig = Rig(workers=2)
    rig.batcher.close()
    assert [True, True] == [worker.closed for worker in rig.workers]


# Waiting for company


async def test_a_lone_call_may_wait_for_company_and_no_longer() -> None:
    rig = Rig(BatchLimits(max_wait=2))
    await rig.call("a")
    rig.clock.advance(1.5)
    await rig.call("b")
    rig.clock.advance(0.49)
    assert [] == rig.started
    rig.clock.advance(0.01)
    assert [("a", "b")] == rig.started
    await rig.finish_everything()


async def test_a_full_batch_waits_for_no_company() -> None:
    rig = Rig(BatchLimits(max_items=3, max_wait=2))
    await rig.call("a", "b")
    assert [] == rig.started
    await rig.call("c")
    assert [("a", "b", "c")] == rig.started
    await rig.finish_everything()


async def test_a_call_that_waited_long_enough_behind_a_busy_worker_runs_as_soon_as_it_is_idle() -> None:
    rig = Rig(BatchLimits(max_items=2, max_wait=2))
    await rig.call("a", "b")
    await rig.call("c")
    rig.clock.advance(2)
    rig.worker.finish()
    assert [("a", "b"), ("c",)] == rig.started
    await rig.finish_everything()


async def test_a_call_that_waited_too_short_behind_a_busy_worker_waits_for_the_rest_of_its_time() -> None:
    rig = Rig(BatchLimits(max_items=2, max_wait=2))
    await rig.call("a", "b")
    await rig.call("c")
    rig.clock.advance(1)
    rig.worker.finish()
    assert [("a", "b")] == rig.started
    rig.clock.advance(1)
    assert [("a", "b"), ("c",)] == rig.started
    await rig.finish_everything()


async def test_each_call_waits_from_its_own_arrival_where_the_one_before_it_has_gone() -> None:
    rig = Rig(BatchLimits(max_wait=2))
    gone = await rig.call("a")
    rig.clock.advance(1)
    await rig.call("b")
    gone.cancel()
    await let_tasks_run()
    rig.clock.advance(1.99)
    assert [] == rig.started
    rig.clock.advance(0.01)
    assert [("b",)] == rig.started
    await rig.finish_everything()


async def test_draining_answers_a_call_that_waits_for_company() -> None:
    rig = Rig(BatchLimits(max_wait=2))
    caller = await rig.call("a")
    drained = asyncio.create_task(rig.batcher.drain())
    await let_tasks_run()
    rig.clock.advance(2)
    await rig.finish_everything()
    assert ([reply("a")], True) == ((await caller).outputs, drained.done())
