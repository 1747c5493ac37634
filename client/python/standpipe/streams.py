"""What a model writes, as it comes: the streams that both clients return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar

import grpc

from standpipe.calls import StreamRpc, stream_end
from standpipe.errors import CallError
from standpipe.results import StreamEnd
from standpipe.v1 import common_pb2

T = TypeVar("T")
DeltaT = TypeVar("DeltaT")
ResultT = TypeVar("ResultT")


class MessageStream(Iterator[T]):
    """The messages of one call, as they come.

    A call that isn't at its end is cancelled when the ``with`` block is left, when ``cancel`` is called, from
    whichever thread, and when nobody holds the stream any longer. The server then writes nothing further, and
    who still reads gets a CallError of status CANCELLED. Every other failure is a CallError too, whichever
    message it comes after.

    Args:
        call: What a stub's method returned.
    """

    def __init__(self, call: Any) -> None:
        self._call = call

    def __next__(self) -> T:
        message: T = self._read()
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        """End the call, if it hasn't ended."""
        self._call.cancel()

    def close(self) -> None:
        """Do as ``cancel``."""
        self.cancel()

    def _read(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise CallError(error) from error


class AsyncMessageStream(AsyncIterator[T]):
    """The messages of one call, as they come; the twin of MessageStream, whose docstring holds here.

    A task that is cancelled while it reads cancels the call.

    Args:
        call: What a stub's method returned.
    """

    def __init__(self, call: Any) -> None:
        self._call = call

    async def __anext__(self) -> T:
        message: T = await self._read()
        return message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

    def __del__(self) -> None:
        # A call of grpc.aio is held by the event loop until it ends; one of grpc cancels itself.
        with suppress(RuntimeError):
            # The loop may be closed: then the call has ended.
            self.cancel()

    def cancel(self) -> None:
        """End the call, if it hasn't ended."""
        self._call.cancel()

    async def close(self) -> None:
        """Do as ``cancel``."""
        self.cancel()

    async def _read(self) -> Any:
        try:
            message = await self._call.read()
        except grpc.RpcError as error:
            raise CallError(error) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Not the reader was cancelled but the call, which grpc.aio tells in the same way.
            nothing = grpc.aio.Metadata()
            cancelled = grpc.aio.AioRpcError(
                grpc.StatusCode.CANCELLED, nothing, nothing, details="the stream was cancelled"
            )
            raise CallError(cancelled) from error
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return message


class _Told(Generic[DeltaT, ResultT]):
    """What a stream has told so far."""

    def __init__(self, rpc: StreamRpc[Any, Any, Any, DeltaT, ResultT]) -> None:
        self._rpc = rpc
        self._deltas: list[DeltaT] = []
        self._last: tuple[StreamEnd, common_pb2.Metadata] | None = None

    @property
    def end(self) -> StreamEnd:
        """How the text ended; RuntimeError before all of it is read."""
        return self._ended()[0]

    @property
    def metadata(self) -> common_pb2.Metadata:
        """What answered, and where the time went; RuntimeError before all is read."""
        return self._ended()[1]

    def _ended(self) -> tuple[StreamEnd, common_pb2.Metadata]:
        if self._last is None:
            raise RuntimeError("the stream isn't at its end: read it first")
        return self._last

    def _take(self, message: Any) -> DeltaT | None:
        """The delta that a message brings, if it brings one."""
        if message.HasField("end"):
            self._last = (stream_end(message.end), message.metadata)
        if not message.HasField("delta"):
            return None
        delta = self._rpc.delta(message.delta)
        self._deltas.append(delta)
        return delta

    def _joined(self) -> ResultT:
        return self._rpc.join(self._deltas, self.end)


class Stream(_Told[DeltaT, ResultT], MessageStream[DeltaT]):
    """A text as a model writes it: an iterator of deltas, then ``end`` and ``metadata``.

    Cancelled and failing as MessageStream says.
    """

    def __init__(self, call: Any, rpc: StreamRpc[Any, Any, Any, DeltaT, ResultT]) -> None:
        _Told.__init__(self, rpc)
        MessageStream.__init__(self, call)

    def __next__(self) -> DeltaT:
        while (delta := self._take(self._read())) is None:
            pass
        return delta

    def result(self) -> ResultT:
        """The whole text, as the call without a stream gives it: what was read before, and what is left."""
        for _ in self:
            pass
        return self._joined()


class AsyncStream(_Told[DeltaT, ResultT], AsyncMessageStream[DeltaT]):
    """A text as a model writes it, from asyncio; the twin of Stream, whose docstrings hold here."""

    def __init__(self, call: Any, rpc: StreamRpc[Any, Any, Any, DeltaT, ResultT]) -> None:
        _Told.__init__(self, rpc)
        AsyncMessageStream.__init__(self, call)

    async def __anext__(self) -> DeltaT:
        while (delta := self._take(await self._read())) is None:
            pass
        return delta

    async def result(self) -> ResultT:
        """The whole text."""
        async for _ in self:
            pass
        return self._joined()
