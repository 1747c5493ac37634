"""The tiny Llama on torch: its engines, calls of them, and what the library makes of the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
import transformers

from standpipe_server.backends.causal import CausalReader, ThreadGenerator
from standpipe_server.backends.constraints import Constraints
from standpipe_server.backends.sources import Source
from standpipe_server.backends.torch.causal import CheckingEngine
from standpipe_server.backends.torch.continuous import ContinuousEngine
from standpipe_server.backends.torch.generate import PlainEngine
from standpipe_server.interfaces import Call, Chunk, Finish, ModelSpec
from standpipe_server.programs import CausalPrompt, Generation, Writing

PROMPTS = [f"{count} {word}" for word in ("water", "the quick", "é日", "house of") for count in range(5)]
# One block of the tiny model's cache, in 10⁹ bytes.
BLOCK_GB = 2 * 2 * 32 * 2 * 8 * 4 / 1e9
SPEC = ModelSpec(
    "tiny",
    "",
    ("text-generation",),
    device="cpu",
    max_sequences=64,
    max_batched_tokens=256,
    kv_cache_gb=200 * BLOCK_GB,
)


@dataclass(frozen=True)
class Wish:
    writing: Writing


class Head:
    def __init__(self, model: Any) -> None:
        self.model = model

    def prompt(self, call: Call) -> CausalPrompt:
        return CausalPrompt(call.input)

    def writing(self, call: Call) -> Writing:
        writing: Writing = call.parameters.writing
        return writing


@dataclass
class Tiny:
    """The tiny model, for tests to ask what the library makes of it."""

    folder: Path
    model: Any
    tokenizer: Any

    @classmethod
    @contextmanager
    def of(cls, folder: Path) -> Iterator[Self]:
        """The model on one thread: several wait for each other more than they compute."""
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        yield cls(folder, model, transformers.AutoTokenizer.from_pretrained(folder))
        torch.set_num_threads(before)

    def reader(self) -> CausalReader:
        return CausalReader(Source(self.folder, ""), self.model.config, self.model.generation_config)

    def ids(self, prompt: str) -> list[int]:
        ids: list[int] = self.tokenizer(prompt)["input_ids"]
        return ids

    def generate(self, prompt: str, **options: Any) -> list[list[int]]:
        ids = self.ids(prompt)
        with torch.inference_mode():
            written = self.model.generate(torch.tensor([ids]), **options)
        rows: list[list[int]] = written[:, len(ids) :].tolist()
        return rows

    def text(self, prompt: str, tokens: int) -> str:
        return self.decode(self.generate(prompt, max_new_tokens=tokens, do_sample=False)[0])

    def decode(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def constraints(self) -> Constraints:
        return Constraints(self.tokenizer, len(self.tokenizer), [2])

    def fresh(self) -> Any:
        """A model of its own, for a test to damage."""
        return transformers.AutoModelForCausalLM.from_pretrained(self.folder).eval()

    def plain(self, model: Any) -> PlainEngine:
        return PlainEngine(model, self.reader(), self.constraints())

    def continuous(self, model: Any, **spec: Any) -> ContinuousEngine:
        return ContinuousEngine(model, self.reader(), replace(SPEC, **spec))


@contextmanager
def generator_of(tiny: Tiny, engine: CheckingEngine) -> Iterator[ThreadGenerator]:
    generator = ThreadGenerator("tiny", tiny.reader(), {Wish: Head(None)}, engine, engine.check, 64)
    try:
        yield generator
    finally:
        generator.close()
        generator._thread.join(10)
        assert not generator._thread.is_alive()


def call(
    prompt: str, *, seed: int | None = None, stops: tuple[str, ...] = (), sequences: int = 1, **options: Any
) -> Call:
    constraint, logprobs = options.pop("constraint", None), options.pop("logprobs", False)
    generation = Generation(tuple(options.items()), seed)
    return Call(prompt, Wish(Writing(generation, stops, constraint, logprobs, sequences)))


async def chunks(generator: ThreadGenerator, call: Call) -> list[Chunk]:
    return [chunk async for chunk in generator.stream(call)]


async def texts(generator: ThreadGenerator, call: Call) -> list[tuple[str, Finish]]:
    """The texts of a call, and why they end."""
    joined: dict[int, str] = {}
    finishes: dict[int, Finish] = {}
    async for chunk in generator.stream(call):
        assert chunk.sequence not in finishes
        joined[chunk.sequence] = joined.get(chunk.sequence, "") + chunk.text
        if chunk.finish is not None:
            finishes[chunk.sequence] = chunk.finish
    return [(joined[index], finishes[index]) for index in sorted(joined)]


async def text(generator: ThreadGenerator, prompt: str, **wish: Any) -> str:
    return (await texts(generator, call(prompt, **wish)))[0][0]


GREEDY: dict[str, Any] = {"max_new_tokens": 40, "do_sample": False}
WILD: dict[str, Any] = {"max_new_tokens": 20, "do_sample": True, "temperature": 2.0, "top_k": 0}
