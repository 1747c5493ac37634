"""Requests that a call takes while it runs, and what goes wrong where they come from.

Not aware of what they are.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable, Iterator
from typing import Any, TypeVar
from weakref import ref

import grpc

T = TypeVar("T")


class Sending:
    """The requests of one call, as gRPC asks for them: on a thread of its own.

    Where they can't be made, the call is cancelled, and whoever reads it finds out why. They aren't held
    here: a generator ends when gRPC lets go of it.

    Attributes:
        error: What was raised where they come from; None where nothing was.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._begun = threading.Event()
        self._call: ref[Any] | None = None

    def watched(self, requests: Iterable[T]) -> Iterator[T]:
        """The requests, with which the call is begun."""
        try:
            # Without "yield from", which would close what the caller may want to go on with.
            for request in requests:  # noqa: UP028
                yield request
        except Exception as error:
            # Told here and not raised: gRPC would write it to the log, and name no reason to the reader.
            self.error = error
            self._begun.wait()
            call = self._call() if self._call else None
            if call is not None:
                call.cancel()

    def begun(self, call: Any) -> None:
        """Learn which call takes them; held loosely, so that a call is cancelled that nobody reads."""
        self._call = ref(call)
        self._begun.set()

    def reason(self, error: grpc.RpcError) -> grpc.RpcError:
        """Why the call failed, where this is what gRPC says."""
        return error


class AsyncSending:
    """The requests of one call, as grpc.aio asks for them: in a task of its own.

    Where they can't be made, grpc.aio cancels the call. When the call has ended, so does the task, which
    grpc.aio would leave where it waits for the next request.

    Attributes:
        error: As for Sending.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._task: asyncio.Task[Any] | None = None
        self._status: grpc.aio.AioRpcError | None = None

    async def watched(self, requests: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
        """The requests, with which the call is begun."""
        self._task = asyncio.current_task()
        try:
            async for request in one_by_one(requests):
                yield request
        except Exception as error:
            self.error = error
            raise

    def begun(self, call: Any) -> None:
        """Learn which call takes them."""
        call.add_done_callback(self._ended)

    def reason(self, error: grpc.RpcError) -> grpc.RpcError:
        """Why the call failed, where this is what grpc.aio says."""
        # A request that came too late to be sent makes it forget the server's own status (grpc/grpc#36066).
        late = isinstance(error, grpc.aio.AioRpcError) and error.details() == _TOO_LATE
        return self._status if late and self._status else error

    def _ended(self, call: Any) -> None:
        code, details = _at_once(call.code()), _at_once(call.details())
        heads, tails = _at_once(call.initial_metadata()), _at_once(call.trailing_metadata())
        self._status = grpc.aio.AioRpcError(code, heads, tails, details=details)
        if self._task is not None:
            self._task.cancel()


def _at_once(said: Coroutine[Any, Any, T]) -> T:
    """What a call that has ended says of itself: it needn't wait for that, and a task would come too late."""
    try:
        said.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    said.close()
    raise RuntimeError("the call hasn't ended")


_TOO_LATE = "Internal error from Core"
_END: Any = object()


async def one_by_one(values: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """Values of either kind of iterable; one that may block is asked on a thread beside the event loop."""
    if isinstance(values, AsyncIterable):
        async for value in values:
            yield value
        return
    iterator = iter(values)
    while (value := await asyncio.to_thread(next, iterator, _END)) is not _END:
        yield value
