"""What all handlers of tasks share: the models, limits, and the first steps of every call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from standpipe_server.engine.batcher import Answer, Batcher, CallFailedError
from standpipe_server.engine.registry import Registry
from standpipe_server.errors import DeadlinePassedError, InvalidInputError, check_limit
from standpipe_server.interfaces import Call, ModelInfo, Output
from standpipe_server.rpc.media import Fetcher, fetch_media
from standpipe_server.rpc.metadata import fill
from standpipe_server.rpc.status import Context, failure
from standpipe_server.tasks import InputLimits, Task

T = TypeVar("T")

_FELT = 256 << 10
"""Bytes that take about a millisecond to parse and to copy."""


@dataclass(frozen=True, slots=True)
class Handling:
    """What all handlers share.

    Attributes:
        registry: Where the models are.
        limits: What one call may hold.
        default_timeout: Seconds for a call whose client set no deadline: nobody waits for ever.
        fetcher: Gets what requests name by address.
        readers: Threads for requests that the event loop would feel.
    """

    registry: Registry
    limits: InputLimits
    default_timeout: float
    fetcher: Fetcher
    readers: ThreadPoolExecutor

    def left(self, context: Context) -> float:
        """Seconds for one of a caller's calls."""
        remaining = context.time_remaining()
        return self.default_timeout if remaining is None else min(self.default_timeout, remaining)

    async def soon(self, awaited: Awaitable[T], what: str) -> T:
        """What is awaited of a caller, if it comes in time: nobody waits for ever for one who does nothing.

        Raises:
            DeadlinePassedError: It doesn't.
        """
        try:
            async with asyncio.timeout(self.default_timeout):
                return await awaited
        except TimeoutError:
            raise DeadlinePassedError(f"nothing {what} for {self.default_timeout:g} seconds") from None

    async def ask(
        self, task: Task, call: Call, queue: Batcher[Call, Output], context: Context
    ) -> Answer[Output]:
        """What becomes of one of several calls of a caller who was accepted.

        Raises:
            ServingError: It fails, naming its field.
        """
        try:
            return await queue.submit(
                [call],
                key=task.key(call),
                costs=[task.cost(call)],
                timeout=self.left(context),
                accepted=True,
            )
        except CallFailedError as error:
            raise failure(error, call.field) from error

    async def parsed(self, kind: type[Message], data: bytes) -> Any:
        """Bytes to a message; a large one on another thread.

        Raises:
            InvalidInputError: They aren't one.
        """
        return await self.aside(len(data), parse, kind, data)

    async def decoded(self, decode: Callable[[Any, InputLimits], T], request: Message) -> T:
        """What a request comes to; of a large one, whose files are copied, on another thread.

        Raises:
            InvalidInputError: It is at fault.
        """
        return await self.aside(request.ByteSize(), decode, request, self.limits)

    async def encoded(
        self, task: Task, request: Message, answer: Answer[Output], name: str, info: ModelInfo
    ) -> bytes:
        """A task's response; a large one on another thread.

        Args:
            task: What was done.
            request: What was asked.
            answer: What became of its calls.
            name: The model's.
            info: What the model is.

        Raises:
            LimitExceededError: It is more than a message may hold.
        """
        values = [output.value for output in answer.outputs]
        # What the model's thread made ready to send may be large: masks, depth, sounds, pictures.
        size = sum(value.ByteSize() for value in values if isinstance(value, Message))

        def work() -> bytes:
            response: Any = task.encode(answer.outputs, request)
            tokens = sum(output.tokens for output in answer.outputs)
            fill(response.metadata, name, info, answer, tokens)
            whole: bytes = response.SerializeToString()
            return whole

        encoded = await self.aside(size, work)
        # gRPC would refuse to send it, in words that say nothing.
        most = self.limits.max_message_bytes
        check_limit(len(encoded), "", "max_message_bytes", most, "bytes of one answer")
        return encoded

    async def aside(self, size: int, work: Callable[..., T], *arguments: Any) -> T:
        """The result of work on so many bytes; on another thread where the event loop would feel them.

        Three megabytes take ten milliseconds: a burst of photographs would stop everybody else for a second.
        """
        if size <= _FELT:
            return work(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self.readers, work, *arguments)

    async def complete(self, request: Message, remaining: float | None) -> float:
        """Fetch what a request names by address.

        Args:
            request: Gets the files in place of the addresses.
            remaining: Seconds that the caller waits; None where it didn't say.

        Returns:
            The seconds that are left for the answer.

        Raises:
            ServingError: A file can't be had, or may not.
        """
        timeout = self.default_timeout if remaining is None else remaining
        loop = asyncio.get_running_loop()
        started = loop.time()
        await fetch_media(request, self.fetcher, timeout, self.limits)
        return timeout - (loop.time() - started)


def parse(kind: type[Message], data: bytes) -> Any:
    """Bytes to a message.

    Raises:
        InvalidInputError: They aren't one.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise InvalidInputError(f"the request isn't a {kind.DESCRIPTOR.full_name}: {error}") from error
