"""A connection and its calls, on which the methods of every service stand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from typing import Any, ParamSpec, Self, TypeVar

import grpc
from google.protobuf.message import Message

from standpipe.calls import Rpc, StreamRpc
from standpipe.channel import reached
from standpipe.errors import CallError
from standpipe.sending import AsyncSending
from standpipe.streams import AsyncMessageStream, AsyncResultStream, AsyncStream
from standpipe.v1 import (
    audio_pb2_grpc,
    generation_pb2_grpc,
    image_generation_pb2_grpc,
    models_pb2_grpc,
    text_pb2_grpc,
    tokenizers_pb2_grpc,
    vision_pb2_grpc,
)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
DeltaT = TypeVar("DeltaT")


class AsyncConnection:
    """A channel to a server, a stub for each service, and how they are called; Client says more."""

    def __init__(
        self,
        address: str | Sequence[str] = "127.0.0.1:50051",
        *,
        timeout: float = 60.0,
        credentials: grpc.ChannelCredentials | None = None,
        retry: bool = True,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        goal, options = reached(address, retry=retry, secured=credentials is not None)
        self.channel = (
            grpc.aio.insecure_channel(goal, options)
            if credentials is None
            else grpc.aio.secure_channel(goal, credentials, options)
        )
        self._timeout = timeout
        self._metadata = tuple(metadata)
        self.text = text_pb2_grpc.TextServiceStub(self.channel)
        self.generation = generation_pb2_grpc.GenerationServiceStub(self.channel)
        self.tokenizers = tokenizers_pb2_grpc.TokenizerServiceStub(self.channel)
        self.vision = vision_pb2_grpc.VisionServiceStub(self.channel)
        self.audio = audio_pb2_grpc.AudioServiceStub(self.channel)
        self.image_generation = image_generation_pb2_grpc.ImageGenerationServiceStub(self.channel)
        self.models = models_pb2_grpc.ModelServiceStub(self.channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection; calls in flight are cancelled."""
        await self.channel.close()

    async def call(
        self, method: Callable[..., Awaitable[T]], request: Message, *, timeout: float | None = None
    ) -> T:
        """The response of any RPC that has one, with all that the contract has."""
        if isinstance(method, grpc.aio.UnaryStreamMultiCallable | grpc.aio.StreamStreamMultiCallable):
            raise TypeError("the RPC streams its responses: use stream in place of call")
        try:
            return await method(request, **self._context(timeout))
        except grpc.RpcError as error:
            raise CallError(error) from error

    def stream(
        self,
        method: Callable[..., AsyncIterable[T]],
        request: Message | Iterable[Message] | AsyncIterable[Message],
        *,
        timeout: float | None = None,
    ) -> AsyncMessageStream[T]:
        """The responses of any RPC that streams them, with all that the contract has."""
        many = not isinstance(request, Message)
        if many and isinstance(method, grpc.aio.UnaryStreamMultiCallable):
            raise TypeError("the RPC takes one request: send its message")
        if not many and isinstance(method, grpc.aio.StreamStreamMultiCallable):
            raise TypeError("the RPC takes a stream of requests: send a list of them, or a generator")
        return AsyncMessageStream(*self._streaming(method, request, timeout))

    def _streaming(
        self,
        method: Callable[..., Any],
        request: Message | Iterable[Any] | AsyncIterable[Any],
        timeout: float | None,
    ) -> tuple[Any, AsyncSending | None]:
        """A call that streams, and the requests that it takes while it runs."""
        if isinstance(request, Message):
            return method(request, **self._context(timeout)), None
        sending = AsyncSending()
        call = method(sending.watched(request), **self._context(timeout))
        sending.begun(call)
        return call, sending

    async def _make(
        self, rpc: Rpc[P, Any, Any, R], timeout: float | None, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        # On a channel of grpc.aio the stub's methods are coroutines, whatever their declared type says.
        method: Any = rpc.method(self)
        return rpc.result(await self.call(method, rpc.request(*args, **kwargs), timeout=timeout))

    async def _make_aside(
        self, rpc: Rpc[P, Any, Any, R], timeout: float | None, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Do as ``_make``, with files read and answers unpacked on a thread beside the event loop."""
        request = await asyncio.to_thread(rpc.request, *args, **kwargs)
        method: Any = rpc.method(self)
        return await asyncio.to_thread(rpc.result, await self.call(method, request, timeout=timeout))

    def _make_stream(
        self,
        rpc: StreamRpc[P, Any, DeltaT, R],
        timeout: float | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AsyncStream[DeltaT, R]:
        return AsyncStream(rpc, *self._streaming(rpc.method(self), rpc.request(*args, **kwargs), timeout))

    def _make_result_stream(
        self,
        rpc: StreamRpc[P, Any, DeltaT, R],
        timeout: float | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AsyncResultStream[DeltaT, R]:
        request = rpc.request(*args, **kwargs)
        return AsyncResultStream(rpc, *self._streaming(rpc.method(self), request, timeout))

    def _context(self, timeout: float | None) -> dict[str, Any]:
        return {"timeout": self._timeout if timeout is None else timeout, "metadata": self._metadata}
