"""Calls of a causal model in this process, and what comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from standpipe_server.backends.load import load
from standpipe_server.backends.openvino import backend
from standpipe_server.interfaces import Call, Chunk, Finish, LoadedModel, ModelSpec, TokenLogprob
from standpipe_server.programs import Generation, Writing
from standpipe_server.tasks import program_for
from standpipe_server.tasks.generate_text import GenerateParameters

TASKS = ("text-generation",)
WORDS = ["hello world", "the quick brown fox", "water", "Ada", "one two three four", "über 水 🙂"]
PROMPTS = [f"{number} {WORDS[number % len(WORDS)]}" for number in range(20)]
# Bytes of a block of the tiny model's cache: 32 tokens, keys and values, 4 bytes, 2 layers, 2 heads of 8.
BLOCK = 32 * 2 * 4 * 2 * 2 * 8
WILD: dict[str, Any] = {"do_sample": True, "temperature": 1.5, "top_k": 0}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}, "b": {"enum": ["x", "yes"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


def loaded_model(llama: Path, *, here: bool = False, **options: Any) -> LoadedModel:
    """A model on OpenVINO, named "tiny"; it is exported beside its folder, once.

    Args:
        llama: Its folder.
        here: Its engine runs in this process, where it can be looked at.
        options: Of its spec.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STANDPIPE_CACHE", str(llama.parent / "cache"))
        if here:
            patch.setattr(backend, "ProcessEngine", lambda make: make())
        return load(tiny_spec(llama, **options), program_for(TASKS), lambda _: None)


def tiny_spec(llama: Path, **options: Any) -> ModelSpec:
    return ModelSpec("tiny", str(llama), TASKS, backend="openvino", dtype="fp32", **options)


def loaded(llama: Path, *, here: bool = False, **options: Any) -> Any:
    """Such a model's generator."""
    return loaded_model(llama, here=here, **options).generator


def call(prompt: str, seed: int | None = None, writing: dict[str, Any] | None = None, **options: Any) -> Call:
    generation = Generation(tuple(options.items()), seed=seed)
    return Call(prompt, GenerateParameters(Writing(generation, **writing or {})))


@dataclass
class Text:
    """What was written of one text."""

    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: Finish | None = None

    def add(self, chunk: Chunk) -> None:
        assert self.finish is None
        self.text += chunk.text
        self.logprobs += chunk.logprobs
        self.finish = chunk.finish

    @property
    def ids(self) -> list[int]:
        return [one.id for one in self.logprobs]

    @property
    def reason(self) -> str:
        return self.finish.reason if self.finish else ""


async def texts(generator: Any, asked: Call) -> list[Text]:
    """All texts of a call."""
    written: dict[int, Text] = {}
    async for chunk in generator.stream(asked):
        written.setdefault(chunk.sequence, Text()).add(chunk)
    return [written[sequence] for sequence in sorted(written)]


async def text(generator: Any, asked: Call) -> Text:
    (one,) = await asyncio.wait_for(texts(generator, asked), 60)
    return one


async def side_by_side(generator: Any, asked: Sequence[Call]) -> list[Any]:
    """Each call's text, or its error."""
    writing = (text(generator, one) for one in asked)
    return await asyncio.gather(*writing, return_exceptions=True)
