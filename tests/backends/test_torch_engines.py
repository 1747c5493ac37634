"""What torch's engines hold, and when they let go of it: steps, blocks, weights."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import generators
from standpipe_server.backends.causal import ThreadGenerator
from standpipe_server.backends.load import load
from standpipe_server.backends.torch.causal import FirstAble, twin
from standpipe_server.backends.torch.continuous import ContinuousEngine
from standpipe_server.errors import InvalidInputError, ModelFailedError
from standpipe_server.interfaces import Call, Chunk, ModelSpec
from standpipe_server.kinds import CAUSAL
from standpipe_server.programs import CausalPrompt, Constraint, Program
from standpipe_server.tasks import program_for
from tiny_models import save_tiny_llama
from tiny_torch import (
    BLOCK_GB,
    GREEDY,
    PROMPTS,
    SPEC,
    Head,
    Tiny,
    Wish,
    call,
    chunks,
    generator_of,
    text,
    texts,
)


@pytest.fixture(scope="module")
def tiny(tiny_llama: Path) -> Iterator[Tiny]:
    with Tiny.of(tiny_llama) as tiny:
        yield tiny


class Slow:
    """A module that counts its passes, each of which takes a while."""

    def __init__(self, model: Any, seconds: float) -> None:
        self.passes = 0
        self._seconds = seconds
        model.register_forward_pre_hook(self._pass)

    def _pass(self, module: Any, inputs: Any) -> None:
        self.passes += 1
        time.sleep(self._seconds)


async def until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110 – another thread's doing
        await asyncio.sleep(0.001)


async def begun(stream: AsyncIterator[Chunk], count: int) -> None:
    for _ in range(count):
        await anext(stream)


@pytest.mark.parametrize(
    ("name", "options"), [("plain", GREEDY), ("plain", {**GREEDY, "num_beams": 3}), ("continuous", GREEDY)]
)
async def test_a_cancelled_text_costs_no_further_step(tiny: Tiny, name: str, options: dict[str, Any]) -> None:
    model = tiny.fresh()
    engine = tiny.plain(model) if name == "plain" else tiny.continuous(model)
    with generator_of(tiny, engine) as generator:
        await text(generator, "water", max_new_tokens=2)
        slow = Slow(model, 0.05)
        waiting = asyncio.create_task(chunks(generator, call("water", **options)))
        await until(lambda: slow.passes >= 3)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        passes = slow.passes
        await asyncio.sleep(0.2)
        assert slow.passes <= passes + 1
        assert tiny.text("1 water", 5) == await text(generator, "1 water", max_new_tokens=5)


async def test_blocks_are_free_a_step_after_a_text_is_cancelled_or_ended(tiny: Tiny) -> None:
    model = tiny.fresh()
    engine = tiny.continuous(model, prefix_cache=False)
    slow = Slow(model, 0.03)
    free = engine.free_blocks()
    with generator_of(tiny, engine) as generator:
        stream: Any = generator.stream(call("water " * 200, max_new_tokens=100))
        async with aclosing(stream) as cancelled:
            await begun(cancelled, 2)
            assert engine.free_blocks() < free
            other = asyncio.create_task(text(generator, "3 water", max_new_tokens=25))
            await until(lambda: slow.passes > 8)
            held = free - engine.free_blocks()
        passes = slow.passes
        await until(lambda: slow.passes >= passes + 2)
        # The other's own, which goes on.
        assert [True, 1] == [held > 4, free - engine.free_blocks()]
        assert tiny.text("3 water", 25) == await other
        assert free == engine.free_blocks()


async def test_more_than_the_cache_holds_at_once_is_written_all_the_same(tiny: Tiny) -> None:
    engine = tiny.continuous(tiny.fresh(), kv_cache_gb=6 * BLOCK_GB, max_batched_tokens=16)
    prompts = [f"{prompt} {'and water ' * (count % 5)}" for count, prompt in enumerate(PROMPTS * 2)]
    with generator_of(tiny, engine) as generator:
        found = await asyncio.gather(*(text(generator, prompt, **GREEDY) for prompt in prompts))
        assert [tiny.text(prompt, 40) for prompt in prompts] == found
        assert 6 == engine.free_blocks()


async def test_what_the_cache_can_never_hold_is_refused(tiny: Tiny) -> None:
    engine = tiny.continuous(tiny.fresh(), kv_cache_gb=2.5 * BLOCK_GB)
    with generator_of(tiny, engine) as generator:
        with pytest.raises(InvalidInputError, match=r"62 new ones are more than the 64 .*kv_cache_gb"):
            await chunks(generator, call("1 water", max_new_tokens=62))
        assert tiny.text("1 water", 58) == await text(generator, "1 water", max_new_tokens=58)


async def test_prompts_that_begin_alike_are_written_alike(tiny: Tiny) -> None:
    engine = tiny.continuous(tiny.fresh(), prefix_cache=True)
    before = "the quick brown fox jumps over the lazy dog " * 8
    with generator_of(tiny, engine) as generator:
        for prompt in (before, before, f"{before}and water", before[:150]):
            assert tiny.text(prompt, 20) == await text(generator, prompt, max_new_tokens=20)
        # The library's own sharing of blocks can't be trusted.
        assert 0 == engine._manager.batch_processor.cache._total_prefix_length


class Poisonable:
    """A module that can't read a word."""

    def __init__(self, model: Any, poison: list[int]) -> None:
        self._forward = model.forward
        self._poison = poison[-1]
        model.forward = self

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        if self._poison in named["input_ids"]:
            raise RuntimeError("poisoned")
        return self._forward(*inputs, **named)

    # What the library asks of a forward.
    def __getattr__(self, name: str) -> Any:
        return getattr(self._forward, name)


@pytest.mark.parametrize("name", ["plain", "continuous"])
async def test_a_model_that_raises_fails_what_it_read_and_reads_on(tiny: Tiny, name: str) -> None:
    model = tiny.fresh()
    poison = "Zebra"
    Poisonable(model, tiny.ids(poison))
    engine = tiny.plain(model) if name == "plain" else tiny.continuous(model)
    with generator_of(tiny, engine) as generator:
        for _ in range(2):
            with pytest.raises((RuntimeError, ModelFailedError), match="poisoned"):
                await chunks(generator, call(poison, **GREEDY))
            assert tiny.text("water", 40) == await text(generator, "water", **GREEDY)


async def test_nobody_waits_for_a_manager_that_has_ended(tiny: Tiny) -> None:
    engine = tiny.continuous(tiny.fresh())
    with generator_of(tiny, engine) as generator:
        assert tiny.text("water", 5) == await text(generator, "water", max_new_tokens=5)
        manager = engine._manager

        def add_request(*_: Any, **__: Any) -> None:
            """Its thread ends without a word to anyone."""
            del manager.add_request
            manager.stop(block=True)

        manager.add_request = add_request
        with pytest.raises(ModelFailedError, match="has ended"):
            await chunks(generator, call("water", **GREEDY))
        found = await asyncio.gather(*(text(generator, prompt, **GREEDY) for prompt in PROMPTS[:4]))
        assert [tiny.text(prompt, 40) for prompt in PROMPTS[:4]] == found


async def test_nobody_waits_for_one_engine_of_several_that_has_ended(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny.fresh()
    dying = tiny.continuous(twin(model))

    def turn() -> None:
        raise SystemError("gone")

    monkeypatch.setattr(dying, "_turn", turn)
    monkeypatch.setattr(dying, "_fail", lambda error: turn())
    with generator_of(tiny, FirstAble([dying, tiny.plain(model)])) as generator:
        for _ in range(2):
            with pytest.raises(SystemError, match="gone"):
                await asyncio.wait_for(text(generator, "water"), 10)
        assert await text(generator, "water", do_sample=True, max_new_tokens=5)
    assert "an engine of a causal model has ended" in caplog.text


@pytest.mark.parametrize("name", ["plain", "continuous"])
async def test_closing_ends_what_is_written_with_what_there_is(tiny: Tiny, name: str) -> None:
    model = tiny.fresh()
    Slow(model, 0.01)
    engine = tiny.plain(model) if name == "plain" else tiny.continuous(model, max_sequences=2)
    with generator_of(tiny, engine) as generator:
        writing = [asyncio.create_task(texts(generator, call("water", max_new_tokens=300))) for _ in range(3)]
        await asyncio.sleep(0.3)
        generator.close()
        found = [result[0] for result in await asyncio.gather(*writing)]
    assert ["cancelled"] * 3 == [finish.reason for _, finish in found]
    assert 0 < found[0][1].generated_tokens < 300
    assert tiny.text("water", 300).startswith(found[0][0].rstrip("\ufffd"))


def test_two_modules_of_a_model_have_the_same_weights(tiny: Tiny) -> None:
    model = tiny.fresh()
    model.forward = None
    other = twin(model)
    mine, others = dict(model.named_parameters()), dict(other.named_parameters())
    assert {name: tensor.data_ptr() for name, tensor in mine.items()} == {
        name: tensor.data_ptr() for name, tensor in others.items()
    }
    other.set_attn_implementation("eager")
    assert "sdpa" == model.config._attn_implementation
    assert callable(other.forward)


def obstacle(tiny: Tiny, engine: ContinuousEngine, call: Call) -> str:
    return engine.obstacle(tiny.reader().job(CausalPrompt(call.input), call.parameters.writing))


def test_continuous_batching_takes_greedy_texts_only(tiny: Tiny) -> None:
    engine = tiny.continuous(tiny.fresh())
    neutral: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "num_beams": 1,
        "repetition_penalty": 1.0,
        "min_new_tokens": 0,
    }
    assert "" == obstacle(tiny, engine, call("a", **GREEDY, **neutral))
    assert "" == obstacle(tiny, engine, call("a", stops=("b",)))
    for name, value in (
        ("do_sample", True),
        ("num_beams", 2),
        ("repetition_penalty", 1.1),
        ("min_new_tokens", 1),
    ):
        wish: dict[str, Any] = {name: value}
        assert f"continuous batching has no {name}" == obstacle(tiny, engine, call("a", **wish))
    for wish in ({"logprobs": True}, {"sequences": 2}, {"constraint": Constraint("regex", "a")}):
        assert "" != obstacle(tiny, engine, call("a", **wish))


def test_what_a_models_own_files_ask_for_counts_too(tiny: Tiny) -> None:
    model = tiny.fresh()
    model.generation_config.update(do_sample=True, temperature=0.6, suppress_tokens=[9])
    engine = tiny.continuous(model)
    assert "continuous batching has no do_sample, suppress_tokens" == obstacle(tiny, engine, call("a"))
    assert "suppress_tokens" in obstacle(tiny, engine, call("a", do_sample=False))


async def test_a_loaded_model_writes(tiny: Tiny) -> None:
    spec = replace(SPEC, source=str(tiny.folder), backend="torch", dtype="fp32", compile=False)
    loaded = load(spec, Program(CAUSAL, {Wish: Head}), lambda _: None)
    assert [("torch", 512), []] == [(loaded.info.backend, loaded.info.max_tokens), loaded.runners]
    assert isinstance(loaded.generator, ThreadGenerator)
    assert SPEC.max_sequences == loaded.generator.max_sequences
    assert tiny.text("water", 40) == await text(loaded.generator, "water", **GREEDY)
    loaded.generator.close()
    loaded.generator._thread.join(10)


async def test_texts_that_begin_alike_come_out_alike(tmp_path: Path) -> None:
    """Of transformers' shared blocks, which we do without, half came out wrong."""
    folder = save_tiny_llama(tmp_path / "llama", max_tokens=256)
    program = program_for(("text-generation",))
    spec = ModelSpec("tiny", str(folder), ("text-generation",), backend="torch", dtype="fp32")
    generator: Any = load(spec, program, lambda _: None).generator
    prompt = "the quick brown fox jumps over the lazy dog " * 3
    (alone,) = await generators.side_by_side(generator, [generators.call(prompt, max_new_tokens=12)])
    for _ in range(4):
        together = [generators.call(prompt, max_new_tokens=12)] * 24
        assert [alone] * 24 == await generators.side_by_side(generator, together)
    generator.close()
