"""A connection and its calls, on which the methods of every service stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ParamSpec, Self, TypeVar

import grpc
from google.protobuf.message import Message

from standpipe.calls import Rpc, StreamRpc
from standpipe.channel import reached
from standpipe.errors import CallError
from standpipe.sending import Sending
from standpipe.streams import MessageStream, ResultStream, Stream
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


class Connection:
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
            grpc.insecure_channel(goal, options)
            if credentials is None
            else grpc.secure_channel(goal, credentials, options)
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; calls in flight are cancelled."""
        self.channel.close()

    def call(self, method: Callable[..., T], request: Message, *, timeout: float | None = None) -> T:
        """The response of any RPC that has one, with all that the contract has.

        Args:
            method: Of a stub, such as ``client.text.ClassifyText``.
            request: Its request message.
            timeout: Seconds; the client's own where None.

        Raises:
            TypeError: The RPC streams its responses: ``stream`` is for those.
        """
        if isinstance(method, grpc.UnaryStreamMultiCallable | grpc.StreamStreamMultiCallable):
            raise TypeError("the RPC streams its responses: use stream in place of call")
        return self._begun(method, request, timeout)

    def stream(
        self,
        method: Callable[..., Iterator[T]],
        request: Message | Iterable[Message],
        *,
        timeout: float | None = None,
    ) -> MessageStream[T]:
        """The responses of any RPC that streams them, with all that the contract has.

        Args:
            method: Of a stub, such as ``client.generation.StreamChat``.
            request: Its request message; an iterable of them where the RPC takes a stream, which is asked for
                the next one whenever that can be sent, on a thread beside the caller's.
            timeout: Seconds for the whole stream; the client's own where None.

        Raises:
            TypeError: One request where the RPC takes a stream of them, or the other way round.
        """
        many = not isinstance(request, Message)
        if many and isinstance(method, grpc.UnaryStreamMultiCallable):
            raise TypeError("the RPC takes one request: send its message")
        if not many and isinstance(method, grpc.StreamStreamMultiCallable):
            raise TypeError("the RPC takes a stream of requests: send a list of them, or a generator")
        return MessageStream(*self._streaming(method, request, timeout))

    def _streaming(
        self, method: Callable[..., T], request: Message | Iterable[Any], timeout: float | None
    ) -> tuple[T, Sending | None]:
        """A call that streams, and the requests that it takes while it runs."""
        if isinstance(request, Message):
            return self._begun(method, request, timeout), None
        sending = Sending()
        call = self._begun(method, sending.watched(request), timeout)
        sending.begun(call)
        return call, sending

    def _begun(self, method: Callable[..., T], request: Any, timeout: float | None) -> T:
        try:
            return method(request, **self._context(timeout))
        except grpc.RpcError as error:
            raise CallError(error) from error

    def _make(self, rpc: Rpc[P, Any, Any, R], timeout: float | None, *args: P.args, **kwargs: P.kwargs) -> R:
        return rpc.result(self.call(rpc.method(self), rpc.request(*args, **kwargs), timeout=timeout))

    def _make_stream(
        self,
        rpc: StreamRpc[P, Any, DeltaT, R],
        timeout: float | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Stream[DeltaT, R]:
        return Stream(rpc, *self._streaming(rpc.method(self), rpc.request(*args, **kwargs), timeout))

    def _make_result_stream(
        self,
        rpc: StreamRpc[P, Any, DeltaT, R],
        timeout: float | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ResultStream[DeltaT, R]:
        return ResultStream(rpc, *self._streaming(rpc.method(self), rpc.request(*args, **kwargs), timeout))

    def _context(self, timeout: float | None) -> dict[str, Any]:
        return {"timeout": self._timeout if timeout is None else timeout, "metadata": self._metadata}
