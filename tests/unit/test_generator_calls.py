"""Calls that are written side by side to their ends; and whatever happens, nothing of them is left."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from generator_fakes import LAST, ClumsyScribe, Office, finish, let_everyone_go_on, office
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe_server.engine.batcher import Answer, CallFailedError
from standpipe_server.errors import DeadlinePassedError, InvalidInputError, OverloadedError
from standpipe_server.interfaces import Chunk, Output, TokenLogprob, Written

SOON = 0.03


def texts(answer: Answer[Output]) -> list[list[str]]:
    return [[written.text for written in output.value] for output in answer.outputs]


async def test_calls_are_written_side_by_side_and_answered_in_their_order() -> None:
    async with office(slots=2) as it:
        answer = it.submit("a", "b", "c")
        await let_everyone_go_on()
        assert {"a", "b"} == it.scribe.open
        for name in "bca":
            it.scribe.tell(name, Chunk(name), LAST)
            await let_everyone_go_on()
        assert [["a!"], ["b!"], ["c!"]] == texts(await answer)
        assert [7, 7, 7] == [output.tokens for output in (await answer).outputs]
        assert ["a", "b", "c"] == it.scribe.begun


async def test_the_texts_of_a_call_are_gathered_apart() -> None:
    first, second = (TokenLogprob(n, "t", -n) for n in (1, 2))
    one, other = finish(tokens=2), finish(tokens=5, reason="length")
    async with office() as it:
        it.scribe.tell(
            "x",
            Chunk("c", (first,), sequence=1),
            Chunk("a", sequence=0),
            Chunk("d", sequence=1, finish=other),
            Chunk("b", (second,), sequence=0),
            Chunk("", sequence=0, finish=one),
        )
        (output,) = (await it.submit("x", texts=2)).outputs
        expected = Written("ab", 2, (second,), one), Written("cd", 5, (first,), other)
        assert Output(expected, tokens=7) == output


async def test_a_call_that_fails_is_told_with_its_place_and_the_others_are_given_up() -> None:
    error = InvalidInputError("too long")
    async with office(slots=2) as it:
        answer = it.submit("a", "b", "c")
        await let_everyone_go_on()
        beside = it.read("d")
        it.scribe.tell("b", Chunk("x"), error)
        with pytest.raises(CallFailedError) as caught:
            await answer
        assert (1, error) == (caught.value.index, caught.value.__cause__)
        # They are given up by the time that the failure is told.
        assert {"d"} == it.scribe.open
        it.scribe.tell("d", LAST)
        assert [LAST] == await beside


async def test_calls_that_fail_while_they_are_given_up_leave_no_error_that_nobody_reads() -> None:
    unread: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unread.append(context))
    async with office(slots=3, kind=ClumsyScribe) as it:
        answer = it.submit("a", "b", "c")
        it.scribe.tell("b", RuntimeError("broken"))
        with pytest.raises(CallFailedError) as caught:
            await answer
        assert (1, "broken") == (caught.value.index, str(caught.value.__cause__))
        del answer, caught
        it.tasks.clear()
        gc.collect()
    assert [] == unread


async def test_the_deadline_of_calls_passes_for_all_of_them() -> None:
    async with office(slots=2) as it:
        it.scribe.tell("a", LAST)
        with pytest.raises(CallFailedError) as caught:
            await it.submit("a", "b", "c", "d", timeout=SOON)
        assert isinstance(caught.value.__cause__, DeadlinePassedError)
        assert set() == it.scribe.open


async def test_who_gives_up_gives_up_all_calls() -> None:
    async with office(slots=2) as it:
        answer = it.submit("a", "b", "c", "d")
        await let_everyone_go_on()
        beside = it.read("e")
        it.scribe.tell("a", Chunk("x"))
        await let_everyone_go_on()
        assert {"a", "b"} == it.scribe.open
        answer.cancel()
        await let_everyone_go_on()
        assert (True, {"e"}) == (answer.cancelled(), it.scribe.open)
        it.scribe.tell("e", LAST)
        await beside
        assert ["a", "b", "e"] == it.scribe.begun


async def test_calls_that_do_not_all_fit_into_the_queue_are_refused_before_any_begins() -> None:
    async with office(slots=1, max_queue=2) as it:
        with pytest.raises(OverloadedError, match="4 more don't fit: the queue holds 2"):
            await it.submit("a", "b", "c", "d")
        assert [] == it.scribe.begun
        answer = it.submit("a", "b", "c")
        for name in "abc":
            it.scribe.tell(name, LAST)
        assert [["!"]] * 3 == texts(await answer)


async def test_an_answer_tells_what_calls_took_together() -> None:
    async with office(slots=2) as it:
        answer = it.submit("a", "b", "c")
        # Calls and seconds until their next chunks: c waits until b has ended.
        steps: Sequence[tuple[str, float, Chunk]] = [
            ("a", 1.0, Chunk("x")),
            ("b", 1.0, Chunk("!", finish=finish(5, cached=2))),
            ("c", 1.5, Chunk("!", finish=finish(6))),
            ("a", 0.5, Chunk("!", finish=finish(9, cached=1))),
        ]
        for name, seconds, chunk in steps:
            await let_everyone_go_on()
            it.clock.now += seconds
            it.scribe.tell(name, chunk)
        answered = await answer
        assert [["x!"], ["!"], ["!"]] == texts(answered)
        answered.outputs.clear()
        assert (
            Answer(
                [],
                batch_size=2,
                queue_seconds=2,
                compute_seconds=4 + 2 + 1.5,
                first_seconds=2,
                written=20,
                tokens_per_second=5,
                cached_tokens=3,
            )
            == answered
        )


async def test_a_generator_that_does_not_tell_what_was_cached_is_not_spoken_for() -> None:
    async with office(slots=2) as it:
        it.scribe.tell("a", LAST)
        it.scribe.tell("b", LAST)
        answer = await it.submit("a", "b")
        assert (None, 6) == (answer.cached_tokens, answer.written)


@dataclass(frozen=True)
class Arrive:
    """A caller comes with so many calls."""

    calls: int


@dataclass(frozen=True)
class Leave:
    """A caller goes; which one is counted round those that came."""

    caller: int


@dataclass(frozen=True)
class Write:
    """Something is written; which of the calls under way gets it is counted round."""

    call: int
    what: Chunk | RuntimeError


Event = Arrive | Leave | Write

EVENTS = st.lists(
    st.one_of(
        st.builds(Arrive, st.integers(1, 4)),
        st.builds(Arrive, st.integers(1, 2)),
        st.builds(Leave, st.integers(0, 9)),
        st.builds(Write, st.integers(0, 9), st.just(Chunk("a"))),
        st.builds(Write, st.integers(0, 9), st.just(LAST)),
        st.builds(Write, st.integers(0, 9), st.builds(RuntimeError)),
    ),
    max_size=40,
)
Outcome = list[list[str]] | tuple[int, RuntimeError] | Literal["left", "refused"]


class Play:
    """What happens to callers, and what should come of it.

    Attributes:
        expected: The outcome of each caller that has one.
    """

    def __init__(self, it: Office, max_queue: int) -> None:
        self.expected: dict[int, Outcome] = {}
        self._it = it
        self._room = it.scribe.max_sequences + max_queue
        self._callers: list[asyncio.Task[Answer[Output]]] = []
        self._unwritten: dict[int, dict[int, str]] = {}
        self._written: dict[int, list[list[str]]] = {}

    async def happen(self, event: Event) -> None:
        if isinstance(event, Arrive):
            self._arrive(event.calls)
        elif isinstance(event, Leave) and self._callers:
            self._leave(event.caller % len(self._callers))
        elif isinstance(event, Write) and self._it.scribe.open:
            names = sorted(self._it.scribe.open)
            self._write(names[event.call % len(names)], event.what)
        await let_everyone_go_on()
        assert len(self._it.scribe.open) == min(self._accepted, self._it.scribe.max_sequences)

    async def outcomes(self) -> dict[int, Outcome]:
        """What came of every caller, in the end."""
        while self._it.scribe.open:
            await self.happen(Write(0, LAST))
        return {number: _outcome(task) for number, task in enumerate(self._callers)}

    @property
    def _accepted(self) -> int:
        return sum(len(calls) for calls in self._unwritten.values())

    def _arrive(self, count: int) -> None:
        number = len(self._callers)
        names = [f"{number} {index}" for index in range(count)]
        if self._accepted + count > self._room:
            self.expected[number] = "refused"
        else:
            self._unwritten[number] = dict(enumerate(names))
            self._written[number] = [[""] for _ in names]
        self._callers.append(self._it.submit(*names))

    def _leave(self, number: int) -> None:
        self._callers[number].cancel()
        if self._unwritten.pop(number, None):
            self.expected[number] = "left"

    def _write(self, name: str, what: Chunk | RuntimeError) -> None:
        self._it.scribe.tell(name, what)
        number, index = map(int, name.split())
        if isinstance(what, RuntimeError):
            del self._unwritten[number]
            self.expected[number] = index, what
            return
        self._written[number][index][0] += what.text
        if what.finish is not None:
            del self._unwritten[number][index]
            if not self._unwritten[number]:
                del self._unwritten[number]
                self.expected[number] = self._written[number]


def _outcome(caller: asyncio.Task[Answer[Output]]) -> Outcome:
    if caller.cancelled():
        return "left"
    error = caller.exception()
    if isinstance(error, OverloadedError):
        return "refused"
    if isinstance(error, CallFailedError):
        assert isinstance(error.__cause__, RuntimeError)
        return error.index, error.__cause__
    return texts(caller.result())


@settings(max_examples=60, deadline=None)
@given(slots=st.integers(1, 3), max_queue=st.integers(1, 5), events=EVENTS)
def test_whatever_happens_every_caller_has_one_outcome_and_no_slot_is_held(
    slots: int, max_queue: int, events: list[Event]
) -> None:
    async def run() -> None:
        async with office(slots, max_queue) as it:
            play = Play(it, max_queue)
            for event in events:
                await play.happen(event)
            outcomes = await play.outcomes()
            assert play.expected == outcomes

    asyncio.run(run())
