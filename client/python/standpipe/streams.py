"""What a model makes, as it comes: the streams that both clients return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar

import grpc

from standpipe.calls import StreamRpc, stream_end
from standpipe.errors import CallError
from standpipe.results import StreamEnd
from standpipe.sending import AsyncSending, Sending
from standpipe.v1 import common_pb2

T = TypeVar("T")
DeltaT = TypeVar("DeltaT")
ResultT = TypeVar("ResultT")


class _Reading:
    """Who reads a call, and what is raised where it fails.

    Args:
        call: What a stub's method returned.
        sending: The requests that it takes while it runs; None where it has one.
    """

    def __init__(self, call: Any, sending: Sending | AsyncSending | None = None) -> None:
        self._call = call
        self._sending = sending

    def cancel(self) -> None:
        """End the call, if it hasn't ended."""
        self._call.cancel()

    def _failed(self, error: grpc.RpcError) -> CallError:
        """What a failure is told as.

        Raises:
            Exception: The call was cancelled because its requests couldn't be made; this is why.
        """
        failure = CallError(self._sending.reason(error) if self._sending else error)
        if failure.code is grpc.StatusCode.CANCELLED and self._sending and self._sending.error:
            raise self._sending.error
        return failure


class MessageStream(_Reading, Iterator[T]):
    """The messages of one call, as they come.

    A call that isn't at its end is cancelled when the ``with`` block is left, when ``cancel`` is called, from
    whichever thread, and when nobody holds the stream any longer. The server then writes nothing further, and
    who still reads gets a CallError of status CANCELLED. Every other failure is a CallError too, whichever
    message it comes after. Where the requests of a call come from, what is raised
    cancels it too, and is raised here again.

    Args:
        call: What a stub's method returned.
        sending: The requests that it takes while it runs; None where it has one.
    """

    def __next__(self) -> T:
        message: T = self._read()
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def close(self) -> None:
        """Do as ``cancel``."""
        self.cancel()

    def _read(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise self._failed(error) from error


class AsyncMessageStream(_Reading, AsyncIterator[T]):
    """The messages of one call, as they come; the twin of MessageStream, whose docstring holds here.

    A task that is cancelled while it reads cancels the call.

    Args:
        call: What a stub's method returned.
        sending: The requests that it takes while it runs; None where it has one.
    """

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

    async def close(self) -> None:
        """Do as ``cancel``."""
        self.cancel()

    async def _read(self) -> Any:
        try:
            message = await self._call.read()
        except grpc.RpcError as error:
            raise self._failed(error) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Not the reader was cancelled but the call, which grpc.aio tells in the same way.
            nothing = grpc.aio.Metadata()
            cancelled = grpc.aio.AioRpcError(
                grpc.StatusCode.CANCELLED, nothing, nothing, details="the stream was cancelled"
            )
            raise self._failed(cancelled) from error
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return message


class _Told(Generic[DeltaT, ResultT]):
    """What a stream has told so far."""

    def __init__(self, rpc: StreamRpc[Any, Any, DeltaT, ResultT]) -> None:
        self._rpc = rpc
        self._deltas: list[DeltaT] = []
        self._last: Any = None

    @property
    def metadata(self) -> common_pb2.Metadata:
        """What answered, and where the time went; RuntimeError before all is read."""
        metadata: common_pb2.Metadata = self._ended().metadata
        return metadata

    def _ended(self) -> Any:
        """The last message."""
        if self._last is None:
            raise RuntimeError("the stream isn't at its end: read it first")
        return self._last

    def _take(self, message: Any) -> DeltaT | None:
        """What a message gives, if it gives something."""
        event = message.WhichOneof("event")
        if event == self._rpc.end:
            self._last = message
        if event not in self._rpc.deltas:
            return None
        delta = self._rpc.deltas[event](getattr(message, event))
        self._deltas.append(delta)
        return delta

    def _joined(self) -> ResultT:
        return self._rpc.join(self._deltas, getattr(self._ended(), self._rpc.end))


class ResultStream(_Told[DeltaT, ResultT], MessageStream[DeltaT]):
    """An answer as a model makes it: an iterator of its parts, then ``metadata``.

    Cancelled and failing as MessageStream says.
    """

    def __init__(
        self,
        rpc: StreamRpc[Any, Any, DeltaT, ResultT],
        call: Any,
        sending: Sending | AsyncSending | None = None,
    ) -> None:
        _Told.__init__(self, rpc)
        MessageStream.__init__(self, call, sending)

    def __next__(self) -> DeltaT:
        while (delta := self._take(self._read())) is None:
            pass
        return delta

    def result(self) -> ResultT:
        """The whole answer, as the call without a stream gives it: what was read before, and what is left."""
        for _ in self:
            pass
        return self._joined()


class AsyncResultStream(_Told[DeltaT, ResultT], AsyncMessageStream[DeltaT]):
    """An answer as a model makes it, from asyncio; the twin of ResultStream, whose docstrings hold here."""

    def __init__(
        self,
        rpc: StreamRpc[Any, Any, DeltaT, ResultT],
        call: Any,
        sending: Sending | AsyncSending | None = None,
    ) -> None:
        _Told.__init__(self, rpc)
        AsyncMessageStream.__init__(self, call, sending)

    async def __anext__(self) -> DeltaT:
        while (delta := self._take(await self._read())) is None:
            pass
        return delta

    async def result(self) -> ResultT:
        """The whole answer."""
        async for _ in self:
            pass
        return self._joined()


class Stream(ResultStream[DeltaT, ResultT]):
    """A text as a model writes it: an iterator of deltas, then ``end`` and ``metadata``."""

    @property
    def end(self) -> StreamEnd:
        """How the text ended; RuntimeError before all of it is read."""
        return stream_end(self._ended().end)


class AsyncStream(AsyncResultStream[DeltaT, ResultT]):
    """A text as a model writes it, from asyncio; the twin of Stream."""

    @property
    def end(self) -> StreamEnd:
        """How the text ended; RuntimeError before all of it is read."""
        return stream_end(self._ended().end)
