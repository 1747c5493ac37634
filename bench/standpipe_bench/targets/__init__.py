"""What is measured: something that can be called, over and over.

A source is a plain value that can be sent to another process; opened there, it is the target that a driver
calls. Not aware of when calls are due, nor of what is made of their answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from standpipe_bench.load.records import OK


@dataclass(slots=True)
class Answer:
    """What came back of one call.

    Attributes:
        status: gRPC's number of it.
        items: Inputs that the call held.
        first: When the first message of a stream came, on ``time.perf_counter``; NaN where none did, None of
            an answer that comes whole.
        size: Bytes.
        batch: Size of the batch that it ran in; 0 where the server doesn't say.
        read: Tokens that the model read; the same.
        written: Tokens that the model wrote; the same.
        times: When each message of a stream came.
        detail: What was said with an error.
    """

    status: int = OK
    items: int = 1
    first: float | None = None
    size: int = 0
    batch: int = 0
    read: int = 0
    written: int = 0
    times: Sequence[float] = ()
    detail: str = ""


class Target(Protocol):
    """Something that answers calls."""

    async def call(self, index: int) -> Answer:
        """Make one call; never raises for what the other side does, and ends by its own deadline.

        Args:
            index: Of the call in the run: the same gets the same request, whoever makes it.
        """
        ...


class Source(Protocol):
    """Where a target comes from; picklable."""

    @property
    def name(self) -> str:
        """For tables and results."""
        ...

    @property
    def sent(self) -> str:
        """What calls hold, in words; empty where they hold nothing."""
        ...

    @property
    def remote(self) -> bool:
        """Whether another process does the work: then a driver that is always busy is in its way."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds that a call takes at most."""
        ...

    def open(self) -> AbstractAsyncContextManager[Target]:
        """A target, on the event loop that will call it; raises RuntimeError where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Null:
    """Answers at once: what is measured of it is the tool's own overhead."""

    name = "null"
    sent = ""
    remote = False
    timeout = 1.0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Target]:
        yield _NullTarget()


class _NullTarget:
    async def call(self, index: int) -> Answer:
        return Answer()
