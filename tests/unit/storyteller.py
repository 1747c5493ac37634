"""A server in this process that streams, fails and waits as the conversation tells it to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from client_fakes import METADATA, USAGE
from google.protobuf.message import Message

from standpipe import contract
from standpipe.v1 import generation_pb2


class Storyteller(grpc.GenericRpcHandler):
    """Answers StreamChat with "One ", "two." and the end, unless the last message says something else.

    - "refuse": nothing but INVALID_ARGUMENT
    - "busy": UNAVAILABLE to the first attempt
    - "break", "leave": after the first delta INTERNAL, or UNAVAILABLE
    - "wait": after the first delta nothing, until the call is cancelled
    - "cut": after the first delta the call is over, without an end
    """

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.cancelled = threading.Event()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        assert "/standpipe.v1.GenerationService/StreamChat" == details.method
        return grpc.unary_stream_rpc_method_handler(
            self._tell,
            request_deserializer=generation_pb2.StreamChatRequest.FromString,
            response_serializer=generation_pb2.StreamChatResponse.SerializeToString,
        )

    async def _tell(
        self, request: generation_pb2.StreamChatRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Message]:
        self.requests.append(request)
        how = request.messages[-1].content
        if how == "refuse":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such role")
        if how == "busy" and len(self.requests) == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "loading")
        yield _delta("One ")
        if how == "break":
            await context.abort(grpc.StatusCode.INTERNAL, "the model failed")
        if how == "leave":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        if how == "wait":
            await self._cancelled()
        if how != "cut":
            yield _delta("two.")
            yield _end()

    async def _cancelled(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


@contextmanager
def storyteller() -> Iterator[tuple[Storyteller, str]]:
    """One, and the address where it is served."""
    handler = Storyteller()
    with serving(handler) as address:
        yield handler, address


@contextmanager
def serving(handler: grpc.GenericRpcHandler) -> Iterator[str]:
    """The address where a handler is served, by a loop and a thread of its own.

    An asynchronous server, as the real one is: a synchronous one of grpc misses some cancellations.
    """
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(loop.run_forever)
        server, address = asyncio.run_coroutine_threadsafe(_serve(handler), loop).result()
        try:
            yield address
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(None), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            running.result()
            loop.close()


async def _serve(handler: grpc.GenericRpcHandler) -> tuple[grpc.aio.Server, str]:
    server = grpc.aio.server(handlers=[handler])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    return server, address


def request(how: str) -> generation_pb2.StreamChatRequest:
    """A request that tells the server how to answer."""
    example = contract.example(contract.find("StreamChat"))
    assert isinstance(example, generation_pb2.StreamChatRequest)
    example.messages[-1].content = how
    return example


def _delta(content: str) -> generation_pb2.StreamChatResponse:
    return generation_pb2.StreamChatResponse(delta=generation_pb2.ChatDelta(content=content))


def _end() -> generation_pb2.StreamChatResponse:
    finish = generation_pb2.FINISH_REASON_LENGTH
    end = generation_pb2.StreamEnd(finish_reason=finish, usage=USAGE)
    return generation_pb2.StreamChatResponse(end=end, metadata=METADATA)
