"""Calls that are read while they are written, and that nothing of them is left."""

from __future__ import annotations

import asyncio

import pytest
from generator_fakes import LAST, Office, call, finish, let_everyone_go_on, office

from standpipe_server.engine.batcher import Answer, CallFailedError
from standpipe_server.errors import DeadlinePassedError, DrainingError, InvalidInputError, OverloadedError
from standpipe_server.interfaces import Chunk, Output, TokenLogprob

SOON = 0.03
NEVER = 30.0


async def test_chunks_come_as_they_are_written_and_in_order() -> None:
    chunks = [Chunk("a"), Chunk(logprobs=(TokenLogprob(3, "b", -0.5),)), Chunk("c"), LAST]
    async with office() as it:
        reader = it.read("x")
        it.scribe.tell("x", *chunks)
        assert chunks == await reader


async def test_a_chunk_is_there_before_the_next_is_written() -> None:
    async with office() as it, it.streams.open(call("x"), None) as stream:
        it.scribe.tell("x", Chunk("a"))
        assert Chunk("a") == await anext(stream)
        it.scribe.tell("x", LAST)
        assert LAST == await anext(stream)


async def test_only_so_many_run_at_once_and_who_came_first_goes_first() -> None:
    async with office(slots=2) as it:
        readers = [it.read(name) for name in "abcde"]
        await let_everyone_go_on()
        for ends, begun, waiting in [("", "ab", 3), ("b", "abc", 2), ("a", "abcd", 1), ("c", "abcde", 0)]:
            if ends:
                it.scribe.tell(ends, LAST)
            await let_everyone_go_on()
            assert (list(begun), waiting) == (it.scribe.begun, it.streams.waiting)
        it.scribe.tell("d", LAST)
        it.scribe.tell("e", LAST)
        assert [[LAST]] * 5 == await asyncio.gather(*readers)


async def test_a_call_that_the_queue_can_not_hold_is_refused_and_the_others_are_not_lost() -> None:
    async with office(slots=1, max_queue=2) as it:
        readers = [it.read(name) for name in "abc"]
        await let_everyone_go_on()
        with pytest.raises(
            OverloadedError, match=r"1 calls are being answered, 2 wait .* holds 2"
        ) as refused:
            await it.read("d")
        assert refused.value.retry_after > 0
        for name in "abc":
            it.scribe.tell(name, LAST)
        assert [[LAST]] * 3 == await asyncio.gather(*readers)
        assert ["a", "b", "c"] == it.scribe.begun


async def test_the_longer_calls_take_the_later_a_refused_one_may_come_again() -> None:
    async def refusal(seconds: float) -> float:
        async with office(slots=2, max_queue=1) as it:
            for name in "ab":
                reader = it.read(name)
                await let_everyone_go_on()
                it.clock.now += seconds
                it.scribe.tell(name, LAST)
                await reader
            full = [it.read(name) for name in "cde"]
            await let_everyone_go_on()
            with pytest.raises(OverloadedError) as refused:
                await it.read("f")
            for name in "cde":
                it.scribe.tell(name, LAST)
            await asyncio.gather(*full)
            return refused.value.retry_after

    assert 0 < await refusal(0.0) < await refusal(100.0) < await refusal(1000.0)


async def test_who_leaves_the_queue_makes_room_in_it() -> None:
    async with office(slots=1, max_queue=1) as it:
        first, second = it.read("a"), it.read("b")
        await let_everyone_go_on()
        second.cancel()
        await let_everyone_go_on()
        third = it.read("c")
        it.scribe.tell("a", LAST)
        it.scribe.tell("c", LAST)
        assert ([LAST], [LAST]) == (await first, await third)
        assert ["a", "c"] == it.scribe.begun


async def test_a_deadline_may_pass_in_the_queue() -> None:
    async with office() as it:
        first = it.read("a")
        with pytest.raises(DeadlinePassedError, match="before the text was written"):
            await it.read("b", SOON)
        it.scribe.tell("a", LAST)
        await first
        assert ["a"] == it.scribe.begun


@pytest.mark.parametrize("chunks", [[], [Chunk("a")]])
async def test_a_deadline_may_pass_while_the_generator_thinks(chunks: list[Chunk]) -> None:
    async with office() as it:
        it.scribe.tell("x", *chunks)
        with pytest.raises(DeadlinePassedError):
            await it.read("x", SOON)
        assert ["x"] == it.scribe.ended


async def test_a_deadline_may_pass_while_the_reader_is_slow() -> None:
    async def read_slowly(it: Office) -> None:
        async with it.streams.open(call("x"), SOON) as stream:
            await anext(stream)
            await asyncio.sleep(NEVER)

    async with office() as it:
        it.scribe.tell("x", Chunk("a"), LAST)
        with pytest.raises(DeadlinePassedError):
            await read_slowly(it)
        assert ["x"] == it.scribe.ended


@pytest.mark.parametrize("timeout", [0.0, -1.0])
async def test_a_call_whose_deadline_has_passed_begins_nothing(timeout: float) -> None:
    async with office() as it:
        with pytest.raises(DeadlinePassedError, match="had passed when the call arrived"):
            await it.read("x", timeout)
        with pytest.raises(DeadlinePassedError, match="had passed when the call arrived"):
            await it.submit("x", "y", timeout=timeout)
        assert [] == it.scribe.begun


async def test_leaving_early_ends_the_writing_at_once() -> None:
    async with office() as it:
        it.scribe.tell("x", Chunk("a"), Chunk("b"))
        second = it.read("y")
        async with it.streams.open(call("z"), None) as stream:
            it.scribe.tell("z", Chunk("a"))
            await anext(stream)
        assert "z" in it.scribe.ended
        it.scribe.tell("y", LAST)
        assert [LAST] == await second


async def test_what_the_reader_raises_comes_through_and_ends_the_writing() -> None:
    async def stumble(it: Office) -> None:
        async with it.streams.open(call("x"), NEVER) as stream:
            await anext(stream)
            raise KeyError("mine")

    async with office() as it:
        it.scribe.tell("x", Chunk("a"))
        with pytest.raises(KeyError, match="mine"):
            await stumble(it)
        assert ["x"] == it.scribe.ended


@pytest.mark.parametrize("chunks", [[], [Chunk("a")]])
async def test_a_reader_that_is_cancelled_ends_the_writing(chunks: list[Chunk]) -> None:
    async with office() as it:
        reader, second = it.read("x", NEVER), it.read("y")
        it.scribe.tell("x", *chunks)
        await let_everyone_go_on()
        assert {"x"} == it.scribe.open
        reader.cancel()
        await let_everyone_go_on()
        assert (True, {"y"}) == (reader.cancelled(), it.scribe.open)
        it.scribe.tell("y", LAST)
        await second


@pytest.mark.parametrize("timeout", [None, NEVER])
@pytest.mark.parametrize(
    "error", [InvalidInputError("too long", "prompt"), RuntimeError("broken"), TimeoutError("my own")]
)
async def test_what_the_generator_raises_comes_through_as_it_is(
    error: Exception, timeout: float | None
) -> None:
    async with office() as it:
        it.scribe.tell("x", Chunk("a"), error)
        with pytest.raises(type(error)) as caught:
            await it.read("x", timeout)
        assert error is caught.value


async def test_a_text_that_ends_without_a_token_is_a_failure_unless_nobody_waits() -> None:
    async with office() as it:
        it.scribe.tell("x", Chunk(finish=finish(tokens=0)))
        with pytest.raises(RuntimeError, match="without a token"):
            await it.read("x")
        it.scribe.tell("y", Chunk(finish=finish(tokens=0)))
        with pytest.raises(CallFailedError):
            await it.submit("y")
        cancelled = Chunk(finish=finish(tokens=0, reason="cancelled"))
        it.scribe.tell("z", cancelled)
        assert [cancelled] == await it.read("z")


async def test_draining_waits_for_what_was_accepted_and_refuses_more() -> None:
    async with office() as it:
        readers = [it.read("a"), it.read("b")]
        await let_everyone_go_on()
        drained = it.drain()
        await let_everyone_go_on()
        for late in (it.read("c"), it.submit("d", "e")):
            with pytest.raises(DrainingError) as refused:
                await late
            assert refused.value.retry_after > 0
        for name in "ab":
            assert not drained.done()
            it.scribe.tell(name, LAST)
            await let_everyone_go_on()
        assert drained.done()
        assert [[LAST]] * 2 == await asyncio.gather(*readers)


async def test_where_nothing_was_accepted_draining_waits_for_nothing() -> None:
    async with office() as it:
        await asyncio.wait_for(it.drain(), 5)


async def test_closing_closes_the_generator() -> None:
    async with office() as it:
        assert not it.scribe.closed
        it.streams.close()
        assert it.scribe.closed


async def test_an_answer_tells_what_a_stream_took() -> None:
    async with office(slots=1) as it:
        first = it.read("a")
        reader = asyncio.create_task(measured(it, "b"))
        await let_everyone_go_on()
        it.clock.now += 5
        it.scribe.tell("a", LAST)
        await first
        for seconds, chunk in [(0.5, Chunk("x")), (1, Chunk("y")), (0.5, Chunk(finish=finish(8, cached=4)))]:
            await let_everyone_go_on()
            it.clock.now += seconds
            it.scribe.tell("b", chunk)
        assert (
            Answer(
                [],
                batch_size=1,
                queue_seconds=5,
                compute_seconds=2,
                first_seconds=0.5,
                written=8,
                tokens_per_second=4,
                cached_tokens=4,
            )
            == await reader
        )


async def measured(it: Office, name: str) -> Answer[Output]:
    async with it.streams.open(call(name), None) as stream:
        async for _ in stream:
            pass
        return stream.answer


async def test_each_knows_the_most_that_ran_beside_it() -> None:
    async with office(slots=3) as it:
        sizes = {name: asyncio.create_task(measured(it, name)) for name in "abc"}
        await let_everyone_go_on()
        it.scribe.tell("a", LAST)
        it.scribe.tell("b", LAST)
        await let_everyone_go_on()
        sizes["d"] = asyncio.create_task(measured(it, "d"))
        it.scribe.tell("d", LAST)
        await sizes["d"]
        it.scribe.tell("c", LAST)
        found = {name: (await task).batch_size for name, task in sizes.items()}
        assert {"a": 3, "b": 3, "c": 3, "d": 2} == found
