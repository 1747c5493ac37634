"""A generator that writes what a test tells it to, and its callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standpipe_server.engine.batcher import Answer
from standpipe_server.engine.streams import Streams
from standpipe_server.interfaces import Call, Chunk, Finish, FinishName, Output


def call(name: str, texts: int = 1) -> Call:
    """A call that wants so many texts."""
    return Call(name, texts, name)


def finish(tokens: int = 3, reason: FinishName = "stop", cached: int | None = None) -> Finish:
    """Of a prompt of 7 tokens."""
    return Finish(reason, 7, tokens, cached_tokens=cached)


LAST = Chunk("!", finish=finish())


async def let_everyone_go_on() -> None:
    """Give every task the turns it needs to come to its next wait."""
    for _ in range(40):
        await asyncio.sleep(0)


class Scribe:
    """Writes what it is told to.

    Attributes:
        begun: The calls that it began with, in order.
        ended: Those whose iterators were closed, whether written to the end or not.
        closed: It was closed.
    """

    def __init__(self, max_sequences: int) -> None:
        self.max_sequences = max_sequences
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.closed = False
        self._told: dict[str, asyncio.Queue[Chunk | Exception]] = {}

    @property
    def open(self) -> set[str]:
        """The calls under way."""
        return set(self.begun) - set(self.ended)

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        self.begun.append(call.input)
        unfinished: int = call.parameters
        try:
            while unfinished:
                told = await self._of(call.input).get()
                if isinstance(told, Exception):
                    raise told
                unfinished -= told.finish is not None
                yield told
        finally:
            self.ended.append(call.input)

    def tell(self, name: str, *chunks: Chunk | Exception) -> None:
        """What to write for a call, now or as soon as it begins."""
        for chunk in chunks:
            self._of(name).put_nowait(chunk)

    def close(self) -> None:
        self.closed = True

    def _of(self, name: str) -> asyncio.Queue[Chunk | Exception]:
        return self._told.setdefault(name, asyncio.Queue())


class ClumsyScribe(Scribe):
    """Stumbles when it is interrupted."""

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        try:
            async for chunk in super().stream(call):
                yield chunk
        except asyncio.CancelledError as error:
            raise RuntimeError("stumbled") from error


@dataclass
class Clock:
    """Time that stands still until a test moves it."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Office:
    """A scribe and those who wait for it.

    Attributes:
        tasks: The callers.
    """

    scribe: Scribe
    streams: Streams
    clock: Clock = field(default_factory=Clock)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    draining: bool = False

    def read(self, name: str, timeout: float | None = None) -> asyncio.Task[list[Chunk]]:
        """A caller who reads a call to its end."""
        task = asyncio.create_task(self._read(name, timeout))
        self.tasks.append(task)
        return task

    def submit(
        self, *names: str, timeout: float | None = None, texts: int = 1
    ) -> asyncio.Task[Answer[Output]]:
        """A caller who waits for several calls, each of so many texts."""
        calls = [call(name, texts) for name in names]
        task = asyncio.create_task(self.streams.submit(calls, key=None, costs=[], timeout=timeout))
        self.tasks.append(task)
        return task

    def drain(self) -> asyncio.Task[None]:
        """Take nothing new; done when nothing is left."""
        self.draining = True
        self.tasks.append(task := asyncio.create_task(self.streams.drain()))
        return task

    async def _read(self, name: str, timeout: float | None) -> list[Chunk]:
        async with self.streams.open(call(name), timeout) as stream:
            return [chunk async for chunk in stream]

    async def check_that_nothing_is_left(self) -> None:
        """Everyone has an outcome, every iterator is closed, every slot is free, nothing runs or waits."""
        await let_everyone_go_on()
        assert [] == [task for task in self.tasks if not task.done()]
        assert {asyncio.current_task()} == asyncio.all_tasks()
        assert (sorted(self.scribe.begun), 0) == (sorted(self.scribe.ended), self.streams.waiting)
        if not self.draining:
            await self._check_that_slots_are_free()
        await asyncio.wait_for(self.streams.drain(), 5)

    async def _check_that_slots_are_free(self) -> None:
        names = [f"free {slot}" for slot in range(self.scribe.max_sequences)]
        readers = [self.read(name) for name in names]
        await let_everyone_go_on()
        assert set(names) == self.scribe.open
        for name in names:
            self.scribe.tell(name, LAST)
        await asyncio.gather(*readers)


@asynccontextmanager
async def office(slots: int = 1, max_queue: int = 8, kind: type[Scribe] = Scribe) -> AsyncIterator[Office]:
    """One that must be left as it was found."""
    scribe, clock = kind(slots), Clock()
    opened = Office(scribe, Streams(scribe, max_queue, clock), clock)
    yield opened
    await opened.check_that_nothing_is_left()
