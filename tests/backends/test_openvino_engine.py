"""How texts on openvino-genai end when their readers leave, a step breaks, or nobody waits any longer."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from generators import BLOCK, PROMPTS, SCHEMA, WILD, call, loaded, side_by_side, text, texts
from standpipe_server.interfaces import Call
from standpipe_server.programs import Constraint

SHAPELESS = Constraint("regex", "(((")


@pytest.fixture
def own(tiny_llama: Path) -> Iterator[Any]:
    """One for a single test, which may break it."""
    generator = loaded(tiny_llama, here=True)
    yield generator
    generator.close()


class Gate:
    """A pipeline that steps when it is let.

    Args:
        inner: The pipeline.
        allowed: Steps that it may do at once.
        breaks: The step, counted from 1, from which on it raises; 0 for none.
    """

    def __init__(self, inner: Any, allowed: int = 1_000_000, breaks: int = 0) -> None:
        self.inner = inner
        self.allowed = threading.Semaphore(allowed)
        self.steps = 0
        self._breaks = breaks

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def step(self) -> None:
        assert self.allowed.acquire(timeout=60)
        self.steps += 1
        if self._breaks and self.steps >= self._breaks:
            raise RuntimeError("the step broke")
        self.inner.step()


async def until(settled: Any) -> None:
    async with asyncio.timeout(60):
        while not settled():  # noqa: ASYNC110 - another thread settles it
            await asyncio.sleep(0.001)


async def begun(generator: Any, asked: Sequence[Call]) -> asyncio.Future[list[Any]]:
    """What comes of calls that the engine is given before it steps; its gate must be shut."""
    reading = asyncio.ensure_future(side_by_side(generator, asked))
    await until(lambda: len(generator._open) == len(asked))
    return reading


async def test_what_nobody_reads_any_more_costs_two_steps_at_most_and_frees_its_cache(own: Any) -> None:
    gate = own._engine._pipeline = Gate(own._engine._pipeline, allowed=0)
    writing = {"logprobs": True}
    reading = [own.stream(call(prompt, max_new_tokens=400, writing=writing)) for prompt in PROMPTS[:8]]
    first = asyncio.gather(*map(anext, reading))
    await until(lambda: len(own._open) == len(reading))
    gate.allowed.release(4)
    await first
    await until(lambda: gate.steps == 4)
    assert own._engine.usage() > 0.0
    for chunks in reading:
        await chunks.aclose()
    gate.allowed.release(100)
    await until(lambda: not own._engine._texts)
    # The engine waits for the next call: the pipeline is free for a step without texts.
    gate.inner.step()
    assert (True, 0.0) == (gate.steps <= 6, own._engine.usage())


async def test_a_reader_that_leaves_does_not_disturb_the_others(generator: Any) -> None:
    asked = [call(prompt, max_new_tokens=100) for prompt in PROMPTS[:8]]
    alone = await side_by_side(generator, asked)

    async def leave() -> None:
        async with aclosing(generator.stream(call("leaving", max_new_tokens=400))) as chunks:
            await anext(chunks)

    staying, *_ = await asyncio.gather(side_by_side(generator, asked), *(leave() for _ in range(16)))
    assert alone == staying
    assert not generator._open


async def test_after_a_step_that_breaks_texts_go_on_and_come_out_the_same(generator: Any, own: Any) -> None:
    asked = [call(prompt, max_new_tokens=100) for prompt in PROMPTS[:8]]
    asked.append(call("beams", max_new_tokens=30, num_beams=3))
    asked.append(call("short", max_new_tokens=4))
    gate = own._engine._pipeline = Gate(own._engine._pipeline, allowed=0, breaks=20)
    constrained = call("form", writing={"constraint": Constraint("regex", "[a-c]{200}")}, max_new_tokens=220)
    reading = await begun(own, [*asked, constrained])
    gate.allowed.release(20)
    *written, failed = await reading
    assert await side_by_side(generator, asked) == written
    assert "the step broke" == str(failed)
    assert not isinstance(own._engine._pipeline, Gate)


async def test_a_constraint_that_breaks_the_pipeline_fails_alone(
    generator: Any, own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were one to get past the check: from then on every step of that pipeline raises."""
    monkeypatch.setattr(own, "_check", lambda job: None)
    asked = [call(prompt, max_new_tokens=100) for prompt in PROMPTS[:8]]
    for _ in range(2):
        shapeless = call("form", writing={"constraint": SHAPELESS}, max_new_tokens=20)
        *written, failed = await side_by_side(own, [*asked, shapeless])
        assert isinstance(failed, RuntimeError)
        assert await side_by_side(generator, asked) == written


async def test_where_every_step_breaks_readers_are_told(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make = own._engine._make
    monkeypatch.setattr(own._engine, "_make", lambda: Gate(make(), breaks=1))
    own._engine._pipeline = Gate(own._engine._pipeline, breaks=5)
    failed = await side_by_side(own, [call(prompt, max_new_tokens=100) for prompt in PROMPTS[:4]])
    assert ["the step broke"] * 4 == list(map(str, failed))
    monkeypatch.undo()
    assert "length" == (await text(own, call("hello", max_new_tokens=4))).reason


async def test_where_no_pipeline_can_be_made_readers_are_told_and_a_later_call_tries_again(
    own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise MemoryError("no memory")

    monkeypatch.setattr(own._engine, "_make", broken)
    own._engine._pipeline = Gate(own._engine._pipeline, breaks=5)
    failed = await side_by_side(own, [call(prompt, max_new_tokens=100) for prompt in PROMPTS[:4]])
    assert ["no memory"] * 4 == list(map(str, failed))
    monkeypatch.undo()
    assert "length" == (await text(own, call("hello", max_new_tokens=4))).reason


async def test_closing_ends_what_is_written_with_what_there_is(generator: Any, own: Any) -> None:
    asked = [call(prompt, max_new_tokens=100) for prompt in PROMPTS[:4]]
    gate = own._engine._pipeline = Gate(own._engine._pipeline, allowed=0)
    reading = await begun(own, asked)
    gate.allowed.release(20)
    await until(lambda: gate.steps == 20)
    own.close()
    gate.allowed.release(100)
    for ended, whole in zip(await reading, await side_by_side(generator, asked), strict=True):
        assert "cancelled" == ended.reason
        assert 15 < ended.finish.generated_tokens < 25
        assert whole.text.startswith(ended.text.rstrip("\ufffd"))
    with pytest.raises(Exception, match="being closed"):
        await text(own, asked[0])


async def test_when_the_engine_dies_nobody_waits_for_it(
    own: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def die(_: object) -> Any:
        raise ZeroDivisionError("the engine died")

    gate = own._engine._pipeline = Gate(own._engine._pipeline, allowed=0)
    asked = [call(prompt, max_new_tokens=100) for prompt in PROMPTS[:4]]
    reading = await begun(own, asked)
    gate.allowed.release(5)
    await until(lambda: gate.steps == 5)
    monkeypatch.setattr(own._engine, "_read", die)
    gate.allowed.release(100)
    assert ["the engine died"] * 4 == list(map(str, await reading))
    # It may have died before it took the last one.
    left = own._inbox.qsize()
    for _ in range(3):
        with pytest.raises(RuntimeError, match="the engine has ended") as refused:
            await text(own, asked[0])
    assert isinstance(refused.value.__cause__, ZeroDivisionError)
    # Nobody would ever take them out.
    assert left == own._inbox.qsize()
    assert "the engine of a causal model has ended" in caplog.text


async def test_texts_that_begin_alike_come_out_right_where_the_cache_is_too_small_for_them(
    tiny_llama: Path, generator: Any
) -> None:
    """A prompt that openvino-genai gives up halfway leaves what was never computed in its prefix cache."""
    chance = random.Random(0)
    lengths = [chance.randint(8, 200) for _ in range(200)]
    asked = [
        call(f"{number % 8} {'water stands ready ' * 6}", max_new_tokens=length, min_new_tokens=length)
        for number, length in enumerate(lengths)
    ]
    small = loaded(tiny_llama, here=True, kv_cache_gb=60.5 * BLOCK / 1e9, max_batched_tokens=48)
    assert await side_by_side(generator, asked) == await side_by_side(small, asked)
    assert not small._engine._waiting
    small.close()


async def test_whatever_is_asked_at_whatever_time_every_call_ends(tiny_llama: Path) -> None:
    chance = random.Random(0)
    small = loaded(
        tiny_llama, here=True, kv_cache_gb=40.5 * BLOCK / 1e9, max_sequences=8, max_batched_tokens=16
    )
    schema = Constraint("json_schema", json.dumps(SCHEMA))

    def some_call(number: int) -> Call:
        options: dict[str, Any] = {"max_new_tokens": chance.randint(1, 100)}
        options |= chance.choice(
            [{}, WILD, {"num_beams": 4}, {"repetition_penalty": 1.3}, {"min_new_tokens": 1}]
        )
        drawn = "num_beams" in options or options.get("do_sample")
        writing: dict[str, Any] = {"sequences": chance.choice([1, 3]) if drawn else 1}
        writing["stop_strings"] = chance.choice([(), ("e",), ("qu", "\ufffd")])
        writing["constraint"] = chance.choice([None, None, schema])
        prompt = f"{number} {'water stands ' * chance.randint(0, 40)}"
        return call(prompt, number, {**writing, "logprobs": chance.random() < 0.5}, **options)

    async def one(number: int) -> int:
        await asyncio.sleep(chance.random())
        asked = some_call(number)
        written = await texts(small, asked)
        assert asked.parameters.writing.sequences == len(written)
        assert all(text.finish is not None for text in written)
        return len(written)

    async with asyncio.timeout(100):
        counts = await asyncio.gather(*(one(number) for number in range(300)))
    assert sum(counts) > 300
    await until(lambda: not small._engine._texts)
    small.close()
