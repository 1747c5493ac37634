from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from standpipe_server.engine.worker import ThreadWorker, run_apart


class Doubler:
    """Doubles numbers; a batch that holds a poisoned one raises.

    Attributes:
        batches: Every batch it was given.
    """

    def __init__(self, *poisoned: int) -> None:
        self.batches: list[list[int]] = []
        self._poisoned = poisoned

    def run(self, calls: Sequence[int], *, alone: bool) -> Sequence[int | Exception]:
        self.batches.append(list(calls))
        for call in calls:
            if call in self._poisoned:
                raise ValueError(f"{call} is poisoned")
        return [2 * call for call in calls]


class Speaker:
    """Answers every batch with what a test chose."""

    def __init__(self, say: Callable[[Sequence[int], bool], Sequence[int | Exception]]) -> None:
        self._say = say

    def run(self, calls: Sequence[int], *, alone: bool) -> Sequence[int | Exception]:
        return self._say(calls, alone)


def shown(outcomes: Sequence[int | Exception]) -> list[int | str]:
    return [str(outcome) if isinstance(outcome, Exception) else outcome for outcome in outcomes]


@pytest.mark.parametrize("size", range(1, 10))
def test_a_batch_that_runs_through_runs_once(size: int) -> None:
    runner = Doubler()
    assert [2 * call for call in range(size)] == run_apart(runner, range(size), alone=False)
    assert [list(range(size))] == runner.batches


@pytest.mark.parametrize("poisoned", range(7))
def test_a_poisoned_call_fails_alone(poisoned: int) -> None:
    expected: list[int | str] = [2 * call for call in range(7)]
    expected[poisoned] = f"{poisoned} is poisoned"
    assert expected == shown(run_apart(Doubler(poisoned), range(7), alone=False))


def test_several_poisoned_calls_fail_each_with_its_own_error() -> None:
    outcomes = run_apart(Doubler(1, 2, 4), range(5), alone=False)
    assert [0, "1 is poisoned", "2 is poisoned", 6, "4 is poisoned"] == shown(outcomes)


def test_where_all_are_poisoned_all_fail() -> None:
    assert ["0 is poisoned", "1 is poisoned"] == shown(run_apart(Doubler(0, 1), range(2), alone=False))


def test_halves_run_before_single_calls() -> None:
    runner = Doubler(0)
    run_apart(runner, range(4), alone=False)
    assert [[0, 1, 2, 3], [0, 1], [0], [1], [2, 3]] == runner.batches


def test_an_exception_as_an_outcome_is_handed_on_and_nothing_runs_again() -> None:
    refusal = ValueError("too long")
    batches: list[Sequence[int]] = []

    def say(calls: Sequence[int], _: bool) -> list[int | Exception]:
        batches.append(calls)
        return [7, refusal]

    assert [7, refusal] == run_apart(Speaker(say), [1, 2], alone=False)
    assert [[1, 2]] == batches


@pytest.mark.parametrize("answers", [0, 1, 3, 5])
def test_a_runner_that_answers_too_few_or_too_many_fails_the_calls_it_can_not_answer(answers: int) -> None:
    def say(calls: Sequence[int], _: bool) -> list[int | Exception]:
        return [0] * answers if len(calls) == 4 else [2 * call for call in calls]

    assert [0, 2, 4, 6] == run_apart(Speaker(say), range(4), alone=False)


def test_a_lone_call_without_an_answer_fails_with_the_count() -> None:
    outcomes = run_apart(Speaker(lambda _, __: []), [1], alone=False)
    assert ["the runner answered 0 of 1 calls"] == shown(outcomes)


@pytest.mark.parametrize("alone", [True, False])
def test_the_runner_is_told_whether_it_is_alone(alone: bool) -> None:
    told: list[bool] = []

    def say(calls: Sequence[int], alone: bool) -> list[int | Exception]:
        told.append(alone)
        raise ValueError("no")

    run_apart(Speaker(say), [1, 2], alone=alone)
    assert [alone] * 3 == told


async def run_on(
    worker: ThreadWorker[int, int], calls: Sequence[int], *, alone: bool = False
) -> Sequence[int | Exception]:
    answered: asyncio.Future[Sequence[int | Exception]] = asyncio.get_running_loop().create_future()
    worker.start(calls, alone, lambda outcomes, _: answered.set_result(outcomes))
    return await answered


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


async def test_a_thread_worker_runs_every_batch_on_one_thread_of_its_own() -> None:
    worker: ThreadWorker[int, int] = ThreadWorker(
        Speaker(lambda calls, _: [threading.get_ident()] * len(calls)), "own", asyncio.get_running_loop()
    )
    (thread,) = threads_named("own")
    first, second = await run_on(worker, [1, 2]), await run_on(worker, [3])
    worker.close()
    assert [thread.ident] * 3 == [*first, *second]
    assert threading.get_ident() != thread.ident


async def test_a_thread_worker_answers_on_the_event_loop() -> None:
    loop = asyncio.get_running_loop()
    worker: ThreadWorker[int, int] = ThreadWorker(Doubler(), "answers", loop)
    answered: asyncio.Future[tuple[int, Sequence[int | Exception]]] = loop.create_future()
    worker.start(
        [1, 2], True, lambda outcomes, _: answered.set_result((threading.get_ident(), list(outcomes)))
    )
    expected = (threading.get_ident(), [2, 4])
    assert expected == await answered
    worker.close()


async def test_a_thread_worker_hands_on_whether_the_batch_is_alone() -> None:
    loop = asyncio.get_running_loop()
    worker: ThreadWorker[int, int] = ThreadWorker(Speaker(lambda _, alone: [alone]), "alone", loop)
    told = [*await run_on(worker, [0], alone=True), *await run_on(worker, [0], alone=False)]
    worker.close()
    assert [True, False] == told


async def test_a_thread_worker_lives_on_after_a_batch_that_raised() -> None:
    worker: ThreadWorker[int, int] = ThreadWorker(Doubler(1), "lives", asyncio.get_running_loop())
    assert ["1 is poisoned"] == shown(await run_on(worker, [1]))
    assert [4] == await run_on(worker, [2])
    worker.close()


async def test_closing_a_thread_worker_ends_its_thread() -> None:
    worker: ThreadWorker[int, int] = ThreadWorker(Doubler(), "closing", asyncio.get_running_loop())
    (thread,) = threads_named("closing")
    worker.close()
    await asyncio.to_thread(thread.join, 10)
    assert [] == threads_named("closing")


async def test_a_batch_that_was_started_before_closing_is_answered() -> None:
    worker: ThreadWorker[int, int] = ThreadWorker(Doubler(), "last", asyncio.get_running_loop())
    answer = asyncio.ensure_future(run_on(worker, [5]))
    await asyncio.sleep(0)
    worker.close()
    assert [10] == await answer


def test_a_batch_that_outlives_the_event_loop_ends_its_thread_without_a_word() -> None:
    running, go_on = threading.Event(), threading.Event()

    def say(calls: Sequence[int], _: bool) -> list[int | Exception]:
        running.set()
        go_on.wait(10)
        return [0]

    async def start() -> threading.Thread:
        worker: ThreadWorker[int, int] = ThreadWorker(Speaker(say), "outlives", asyncio.get_running_loop())
        worker.start([1], True, lambda *_: None)
        worker.close()
        running.wait(10)
        return threads_named("outlives")[0]

    thread = asyncio.run(start())
    go_on.set()
    thread.join(10)
    assert not thread.is_alive()
