"""Whatever happens in whatever order, every caller is answered once, with what its own calls came to."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

import pytest
from engine_fakes import Rig, StartedBatch, let_tasks_run, reply
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe_server.engine.batcher import Answer, CallFailedError
from standpipe_server.engine.queue import BatchLimits
from standpipe_server.errors import DeadlinePassedError, OverloadedError

# What happens


@dataclass(frozen=True)
class Arrive:
    """A caller comes; the calls at ``bad`` fail when they run."""

    costs: tuple[int, ...]
    key: str
    timeout: float | None
    bad: frozenset[int]


@dataclass(frozen=True)
class Cancel:
    """A caller goes; which one is counted round those that came."""

    caller: int


@dataclass(frozen=True)
class Finish:
    """A worker answers its batch; which one is counted round those that run."""

    worker: int


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    seconds: float


Event = Arrive | Cancel | Finish | Pass

LIMITS = st.builds(
    BatchLimits,
    max_items=st.integers(1, 5),
    max_cost=st.integers(1, 50),
    max_queue=st.integers(3, 12),
    max_wait=st.sampled_from([0.0, 0.0, 2.0]),
    window=st.integers(1, 12),
)
ARRIVALS = st.builds(
    Arrive,
    costs=st.lists(st.integers(1, 20), min_size=1, max_size=5).map(tuple),
    key=st.sampled_from("ab"),
    timeout=st.sampled_from([None, None, 1.0, 3.0, 8.0]),
    bad=st.one_of(st.just(frozenset[int]()), st.just(frozenset[int]()), st.frozensets(st.integers(0, 4))),
)
EVENTS: st.SearchStrategy[list[Event]] = st.lists(
    st.one_of(
        ARRIVALS,
        ARRIVALS,
        st.builds(Finish, st.integers(0, 3)),
        st.builds(Finish, st.integers(0, 3)),
        st.builds(Cancel, st.integers(0, 20)),
        st.builds(Pass, st.sampled_from([0.5, 1.0, 4.0])),
    ),
    min_size=1,
    max_size=40,
)


# What is known of it


@dataclass
class Caller:
    """Somebody who came, and what became of them.

    Attributes:
        fitted: Whether the queue had room for all their calls.
        gone_between: When the event in which they were answered, refused or went away began and ended.
        gone_after: How many batches had started by then.
    """

    arrival: Arrive
    calls: tuple[str, ...]
    came: float
    fitted: bool
    task: asyncio.Task[Answer[str]]
    cancelled: bool = False
    gone_between: tuple[float, float] = (0.0, 0.0)
    gone_after: int = 0

    @property
    def deadline(self) -> float:
        return math.inf if self.arrival.timeout is None else self.came + self.arrival.timeout


@dataclass
class Story:
    """Plays events and keeps count beside the batcher."""

    rig: Rig
    limits: BatchLimits
    callers: list[Caller] = field(default_factory=list)
    owners: dict[str, tuple[Caller, int]] = field(default_factory=dict)
    event_began: float = 0.0

    async def play(self, event: Event) -> None:
        self.event_began = self.rig.clock.time()
        match event:
            case Arrive():
                self.arrive(event)
            case Cancel() if self.callers:
                caller = self.callers[event.caller % len(self.callers)]
                caller.cancelled = caller.task.cancel() or caller.cancelled
            case Finish():
                self.finish(event.worker)
            case Pass():
                self.rig.clock.advance(event.seconds)
        await let_tasks_run()
        if not self.limits.max_wait:
            assert not self.waiting() or all(worker.busy for worker in self.rig.workers)

    def arrive(self, arrival: Arrive) -> None:
        number = len(self.callers)
        calls = tuple(f"{number}.{index}" for index in range(len(arrival.costs)))
        task = self.rig.submit(*calls, key=arrival.key, costs=arrival.costs, timeout=arrival.timeout)
        fitted = self.waiting() + len(calls) <= self.limits.max_queue
        caller = Caller(arrival, calls, self.rig.clock.time(), fitted, task)
        task.add_done_callback(lambda _: self.note_the_end(caller))
        self.callers.append(caller)
        self.owners |= {call: (caller, index) for index, call in enumerate(calls)}

    def finish(self, worker: int) -> None:
        if busy := [worker for worker in self.rig.workers if worker.busy]:
            busy[worker % len(busy)].finish(self.outcome)

    def outcome(self, call: str) -> str | Exception:
        caller, index = self.owners[call]
        return ValueError(call) if index in caller.arrival.bad else reply(call)

    def note_the_end(self, caller: Caller) -> None:
        caller.gone_between = (self.event_began, self.rig.clock.time())
        caller.gone_after = len(self.rig.batches)

    def waiting(self) -> int:
        """Calls of those who still wait that no worker was given."""
        given = {call for batch in self.rig.batches for call in batch.calls}
        here = [caller for caller in self.callers if not caller.task.done()]
        return sum(call not in given for caller in here for call in caller.calls)

    async def play_to_the_end(self) -> None:
        while self.waiting() or any(worker.busy for worker in self.rig.workers):
            await self.play(Finish(0))
            await self.play(Pass(self.limits.max_wait))

    # What must hold

    def check_answer(self, caller: Caller) -> None:
        assert caller.gone_between[0] < caller.deadline
        if caller.task.cancelled():
            assert caller.cancelled
            return
        error = caller.task.exception()
        assert (not caller.fitted) == isinstance(error, OverloadedError)
        match error:
            case None:
                assert [reply(call) for call in caller.calls] == caller.task.result().outputs
                assert not caller.arrival.bad & set(range(len(caller.calls)))
            case CallFailedError():
                assert error.index in caller.arrival.bad
                assert caller.calls[error.index] == str(error.__cause__)
            case DeadlinePassedError():
                assert caller.deadline <= caller.gone_between[1]
            case _:
                assert isinstance(error, OverloadedError)

    def check_batch(self, batch: StartedBatch) -> None:
        assert 0 < len(batch.calls) <= self.limits.max_items
        owners = [self.owners[call] for call in batch.calls]
        assert 1 == len({caller.arrival.key for caller, _ in owners})
        dearest = max(caller.arrival.costs[index] for caller, index in owners)
        assert len(batch.calls) == 1 or dearest * len(batch.calls) <= self.limits.max_cost
        for caller, _ in owners:
            assert caller.fitted
            assert batch.at < caller.deadline

    def check_that_nobody_ran_after_they_had_gone(self) -> None:
        for caller in self.callers:
            for batch in self.rig.batches[caller.gone_after :]:
                assert not set(caller.calls) & set(batch.calls)


async def play(limits: BatchLimits, workers: int, events: list[Event]) -> None:
    story = Story(Rig(limits, workers), limits)
    for event in events:
        await story.play(event)
    await story.play_to_the_end()

    started = [call for batch in story.rig.batches for call in batch.calls]
    assert len(started) == len(set(started))
    for batch in story.rig.batches:
        story.check_batch(batch)
    for caller in story.callers:
        assert caller.task.done()
        story.check_answer(caller)
    story.check_that_nobody_ran_after_they_had_gone()
    drained = asyncio.create_task(story.rig.batcher.drain())
    await let_tasks_run()
    assert drained.done()
    story.rig.clock.advance(limits.max_wait)
    assert 0 == story.rig.clock.pending


@pytest.mark.parametrize("workers", [1, 2, 3])
@settings(max_examples=400)
@given(LIMITS, EVENTS)
def test_every_caller_is_answered_once_and_rightly(
    workers: int, limits: BatchLimits, events: list[Event]
) -> None:
    asyncio.run(play(limits, workers, events))
