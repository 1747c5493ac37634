"""A server in this process that listens to a stream of sound, and answers as the stream's language says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from audio_answers import METADATA
from google.protobuf.message import Message

from standpipe.v1 import audio_pb2


class Listener(grpc.GenericRpcHandler):
    """Answers StreamTranscribeAudio: with an interim text of its length to each piece, then with the whole.

    - "refuse": INVALID_ARGUMENT to the config
    - "wait": after the first piece nothing, until the call is cancelled
    """

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.cancelled = threading.Event()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        assert "/standpipe.v1.AudioService/StreamTranscribeAudio" == details.method
        return grpc.stream_stream_rpc_method_handler(
            self._listen,
            request_deserializer=audio_pb2.StreamTranscribeAudioRequest.FromString,
            response_serializer=audio_pb2.StreamTranscribeAudioResponse.SerializeToString,
        )

    async def _listen(
        self, requests: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Message]:
        try:
            async for response in self._answers(requests, context):
                yield response
        except (asyncio.CancelledError, GeneratorExit):
            # Which of them depends on where it happens to be: at its own work, or while an answer is sent.
            self.cancelled.set()
            raise

    async def _answers(
        self, requests: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Message]:
        how = ""
        heard = 0
        async for request in requests:
            self.requests.append(request)
            how = how or request.config.language
            if how == "refuse":
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such language")
            if request.HasField("audio"):
                heard += len(request.audio)
                interim = audio_pb2.TranscriptPart(text=str(heard))
                yield audio_pb2.StreamTranscribeAudioResponse(interim=interim)
                if how == "wait":
                    await asyncio.Event().wait()
        result = audio_pb2.Transcript(text=f"{heard} bytes", duration=heard)
        yield audio_pb2.StreamTranscribeAudioResponse(result=result, metadata=METADATA)


@contextmanager
def listener() -> Iterator[tuple[Listener, str]]:
    """One, and the address where it is served, by a loop and a thread of its own."""
    handler = Listener()
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(loop.run_forever)
        server, address = asyncio.run_coroutine_threadsafe(_serve(handler), loop).result()
        try:
            yield handler, address
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(None), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            running.result()
            loop.close()


async def _serve(handler: Listener) -> tuple[grpc.aio.Server, str]:
    server = grpc.aio.server(handlers=[handler])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    return server, address
