"""What both clients make of streams that go both ways, on a real socket."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from audio_answers import METADATA
from listener import Listener, listener

from standpipe import AsyncClient, CallError, Client, Transcript, contract
from standpipe.v1 import audio_pb2, generation_pb2

PIECE = b"\1\2\3\4"
WHOLE = Transcript("12 bytes", (), 12.0)
REQUESTS = [
    audio_pb2.StreamTranscribeAudioRequest(config=audio_pb2.StreamTranscriptionConfig(sample_rate=8000)),
    audio_pb2.StreamTranscribeAudioRequest(audio=PIECE),
]


class Microphone:
    """Gives a piece of sound whenever it was asked to go on, and tells when nobody listens any longer."""

    def __init__(self) -> None:
        self.given = 0
        self.left = threading.Event()
        self._more = threading.Semaphore(1)

    def go_on(self) -> None:
        self._more.release()

    def pieces(self) -> Iterator[bytes]:
        try:
            while self._more.acquire(timeout=20):
                self.given += 1
                yield PIECE
        finally:
            self.left.set()


def unplugged(heard: threading.Event) -> Iterator[bytes]:
    """One piece, and when that was heard no more."""
    yield PIECE
    heard.wait(20)
    raise OSError("the microphone was unplugged")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Listener, str]]:
    with listener() as both:
        yield both


@pytest.fixture
def server(served: tuple[Listener, str]) -> Listener:
    served[0].requests.clear()
    served[0].cancelled.clear()
    return served[0]


@pytest.fixture
def client(served: tuple[Listener, str]) -> Iterator[Client]:
    with Client(served[1]) as client:
        yield client


@pytest.fixture
async def aio(served: tuple[Listener, str]) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(served[1]) as client:
        yield client


def test_what_is_heard_comes_while_it_is_still_being_said(server: Listener, client: Client) -> None:
    microphone = Microphone()
    stream = client.stream_transcribe_audio(microphone.pieces(), sample_rate=8000)
    for heard in ("4", "8", "12"):
        assert (heard, False) == ((event := next(stream)).text, event.settled)
        assert int(heard) == len(PIECE) * microphone.given
        microphone.go_on()
    assert 8000 == server.requests[0].config.sample_rate
    stream.cancel()


def test_the_result_is_the_whole(server: Listener, client: Client) -> None:
    stream = client.stream_transcribe_audio([PIECE] * 3)
    with pytest.raises(RuntimeError, match="isn't at its end"):
        stream.metadata  # noqa: B018
    assert WHOLE == stream.result() == stream.result()
    assert METADATA == stream.metadata


@pytest.mark.parametrize("how", ["cancel", "close", "with"])
def test_a_stream_that_is_left_is_cancelled_and_asks_for_no_more(
    server: Listener, client: Client, how: str
) -> None:
    microphone = Microphone()
    stream = client.stream_transcribe_audio(microphone.pieces(), language="wait")
    next(stream)
    if how == "with":
        with stream:
            pass
    else:
        getattr(stream, how)()
    with pytest.raises(CallError, match="CANCELLED"):
        next(stream)
    assert server.cancelled.wait(20)
    # Who waits for a piece can't be waked: with the next one the generator is left.
    microphone.go_on()
    assert microphone.left.wait(20)
    assert microphone.given <= 2


def test_a_stream_that_is_forgotten_is_cancelled(server: Listener, client: Client) -> None:
    microphone = Microphone()
    for event in client.stream_transcribe_audio(microphone.pieces(), language="wait"):
        assert "4" == event.text
        break
    assert server.cancelled.wait(20)
    microphone.go_on()
    assert microphone.left.wait(20)


def test_what_is_raised_where_pieces_come_from_is_raised_by_the_stream(
    server: Listener, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    heard = threading.Event()
    stream = client.stream_transcribe_audio(unplugged(heard), language="wait")
    next(stream)
    heard.set()
    for _ in range(2):
        with pytest.raises(OSError, match="the microphone was unplugged"):
            stream.result()
    assert server.cancelled.wait(20)
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_piece_that_can_not_be_sent_is_told_by_the_stream(server: Listener, client: Client) -> None:
    with pytest.raises(ValueError, match=r"^chunks\[1\] has 3 bytes"):
        client.stream_transcribe_audio([PIECE, PIECE[:3]], language="wait").result()


def test_pieces_that_only_asyncio_can_take_are_refused(client: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield PIECE

    wrong: Any = pieces()
    with pytest.raises(TypeError, match="by async for only, which AsyncClient does"):
        client.stream_transcribe_audio(wrong).result()


def test_a_refusal_is_told_however_much_there_would_be_to_send(server: Listener, client: Client) -> None:
    microphone = Microphone()
    with pytest.raises(CallError, match="INVALID_ARGUMENT: no such language"):
        next(client.stream_transcribe_audio(microphone.pieces(), language="refuse"))
    microphone.go_on()
    assert microphone.left.wait(20)


def test_the_messages_themselves_can_be_sent_and_had(server: Listener, client: Client) -> None:
    interim, end = client.stream(client.audio.StreamTranscribeAudio, iter(REQUESTS))
    assert ("4", METADATA) == (interim.interim.text, end.metadata)
    assert REQUESTS == server.requests


def test_the_contract_s_callable_sends_a_stream(server: Listener, client: Client) -> None:
    method = contract.callable_on(client.channel, contract.find("StreamTranscribeAudio"))
    assert ["interim", "result"] == [one.WhichOneof("event") for one in client.stream(method, REQUESTS)]


def test_one_request_and_several_are_told_apart(client: Client) -> None:
    with pytest.raises(TypeError, match="takes a stream of requests: send a list of them"):
        client.stream(client.audio.StreamTranscribeAudio, REQUESTS[0])
    with pytest.raises(TypeError, match="takes one request: send its message"):
        client.stream(client.generation.StreamChat, [generation_pb2.StreamChatRequest()])
    with pytest.raises(TypeError, match="use stream"):
        client.call(client.audio.StreamTranscribeAudio, REQUESTS[0])


async def from_asyncio(microphone: Microphone) -> AsyncIterator[bytes]:
    """The same pieces, and the loop isn't held up between them."""
    pieces = microphone.pieces()
    try:
        while True:
            yield await asyncio.to_thread(next, pieces)
    finally:
        microphone.left.set()


@pytest.mark.parametrize("kind", ["async", "blocking"])
async def test_the_async_stream_takes_pieces_of_either_kind_and_gives_the_same(
    server: Listener, aio: AsyncClient, kind: str
) -> None:
    microphone = Microphone()
    kinds: dict[str, Any] = {"async": from_asyncio, "blocking": Microphone.pieces}
    stream = aio.stream_transcribe_audio(kinds[kind](microphone))
    for heard in ("4", "8", "12"):
        assert heard == (await anext(stream)).text
        assert int(heard) == len(PIECE) * microphone.given
        microphone.go_on()
    stream.cancel()
    microphone.go_on()
    assert await asyncio.to_thread(microphone.left.wait, 20)


async def test_the_async_result_is_the_whole(server: Listener, aio: AsyncClient) -> None:
    async with aio.stream_transcribe_audio([PIECE] * 3) as stream:
        assert WHOLE == await stream.result()
    assert METADATA == stream.metadata


async def test_an_async_stream_that_is_forgotten_is_cancelled(server: Listener, aio: AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield PIECE
        await asyncio.Event().wait()

    async for event in aio.stream_transcribe_audio(pieces(), language="wait"):
        assert "4" == event.text
        break
    assert await asyncio.to_thread(server.cancelled.wait, 20)


async def test_what_is_raised_where_pieces_come_from_is_raised_by_the_async_stream(
    server: Listener, aio: AsyncClient
) -> None:
    heard = threading.Event()
    stream = aio.stream_transcribe_audio(unplugged(heard), language="wait")
    await anext(stream)
    heard.set()
    for _ in range(2):
        with pytest.raises(OSError, match="the microphone was unplugged"):
            await stream.result()
    assert await asyncio.to_thread(server.cancelled.wait, 20)


async def test_an_async_refusal_is_told_however_much_there_would_be_to_send(
    server: Listener, aio: AsyncClient
) -> None:
    left = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield PIECE
            await asyncio.Event().wait()
        finally:
            left.set()

    # Many times: what is sent may come before the refusal, or too late.
    for _ in range(30):
        left.clear()
        stream = aio.stream_transcribe_audio(pieces(), language="refuse")
        with pytest.raises(CallError, match="INVALID_ARGUMENT: no such language"):
            await anext(stream)
        async with asyncio.timeout(20):
            await left.wait()


async def test_the_async_messages_themselves_can_be_sent_and_had(server: Listener, aio: AsyncClient) -> None:
    method: Any = aio.audio.StreamTranscribeAudio
    interim, end = [message async for message in aio.stream(method, REQUESTS)]
    assert ("4", METADATA) == (interim.interim.text, end.metadata)
    assert REQUESTS == server.requests
    with pytest.raises(TypeError, match="takes a stream of requests"):
        aio.stream(method, REQUESTS[0])
    with pytest.raises(TypeError, match="use stream"):
        await aio.call(method, REQUESTS[0])
    one: Any = aio.generation.StreamChat
    with pytest.raises(TypeError, match="takes one request"):
        aio.stream(one, [generation_pb2.StreamChatRequest()])
