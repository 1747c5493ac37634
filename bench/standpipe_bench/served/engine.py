"""The engine of causal models without a server: openvino-genai, stepped in a loop of its own.

Text in, tokens out, each taken as it comes: what a program does that has the engine for itself. Of the text
only the first token and the whole are made from tokens; a program that shows every token has more to do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from standpipe_bench.served.streams import Measured, Prompt, StreamLoad, Written


class Engine(Protocol):
    """Writes texts side by side."""

    def encode(self, text: str) -> list[int]:
        """Tokens of a prompt."""
        ...

    def decode(self, ids: list[int]) -> str:
        """Text of tokens."""
        ...

    def begin(self, ids: list[int], tokens: int) -> Any:
        """Take a prompt on, to write exactly so many tokens; returns its handle."""
        ...

    def step(self) -> None:
        """Write a token of each text."""
        ...

    def read(self, handle: Any) -> list[int]:
        """The tokens that a step gave.

        Raises:
            RuntimeError: The engine has given up on it.
        """
        ...


@dataclass(slots=True)
class _Text:
    """A text under way."""

    prompt: Prompt
    began: float
    read: int
    handle: Any
    ids: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def take(self, engine: Engine) -> None:
        new = engine.read(self.handle)
        if not new:
            return
        if not self.ids:
            engine.decode(new)
        self.ids += new
        self.times.append(time.perf_counter())
        if self.ended():
            engine.decode(self.ids)

    def ended(self) -> bool:
        return len(self.ids) >= self.prompt.tokens

    def written(self) -> Written:
        return Written(self.prompt.number, self.began, tuple(self.times), self.read, len(self.ids))


def write(engine: Engine, load: StreamLoad) -> Measured:
    """Let the engine work as a load says.

    Raises:
        RuntimeError: It gave up on a text.
    """
    prompts = load.prompts()
    begin = time.perf_counter() + load.warm_up
    end = begin + load.duration
    done: list[Written] = []
    active = [_begin(engine, prompts) for _ in range(load.streams)]
    while active:
        engine.step()
        for text in active:
            text.take(engine)
        done += [text.written() for text in active if text.ended()]
        active = [text for text in active if not text.ended()]
        while len(active) < load.streams and time.perf_counter() < end:
            active.append(_begin(engine, prompts))
    return Measured(done, begin, end)


def _begin(engine: Engine, prompts: Iterator[Prompt]) -> _Text:
    prompt = next(prompts)
    began = time.perf_counter()
    ids = engine.encode(prompt.text)
    return _Text(prompt, began, len(ids), engine.begin(ids, prompt.tokens))
