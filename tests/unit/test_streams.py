"""What both clients make of streams, on a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import pytest
from client_fakes import METADATA
from storyteller import Storyteller, request, storyteller

from standpipe import AsyncClient, CallError, ChatAnswer, Client, StreamEnd, Usage

ANSWER = ChatAnswer("One two.", (), "length", "", Usage(5, 3, 0), ())


def said(how: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": how}]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Storyteller, str]]:
    with storyteller() as both:
        yield both


@pytest.fixture
def server(served: tuple[Storyteller, str]) -> Storyteller:
    served[0].requests.clear()
    served[0].cancelled.clear()
    return served[0]


@pytest.fixture
def client(served: tuple[Storyteller, str]) -> Iterator[Client]:
    with Client(served[1]) as client:
        yield client


@pytest.fixture
async def aio(served: tuple[Storyteller, str]) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(served[1]) as client:
        yield client


def test_deltas_come_in_order_then_the_end(server: Storyteller, client: Client) -> None:
    stream = client.stream_chat(said("tell"), max_new_tokens=3)
    assert "One " == next(stream).content
    for attribute in ("end", "metadata"):
        with pytest.raises(RuntimeError, match="isn't at its end"):
            getattr(stream, attribute)
    assert ["two."] == [delta.content for delta in stream]
    assert StreamEnd("length", "", Usage(5, 3, 0)) == stream.end
    assert METADATA == stream.metadata
    assert 3 == server.requests[0].parameters.max_new_tokens


@pytest.mark.parametrize("read", [0, 1, 2])
def test_the_result_is_whole_however_much_was_read(server: Storyteller, client: Client, read: int) -> None:
    stream = client.stream_chat(said("tell"))
    for _ in range(read):
        next(stream)
    assert ANSWER == stream.result() == stream.result()
    assert [] == list(stream)


def leave(stream: Any) -> None:
    with stream:
        pass


@pytest.mark.parametrize(
    "leave",
    [lambda stream: stream.cancel(), lambda stream: stream.close(), leave],
    ids=["cancel", "close", "with"],
)
def test_a_stream_that_is_left_is_cancelled(
    server: Storyteller, client: Client, leave: Callable[[Any], None]
) -> None:
    stream = client.stream_chat(said("wait"))
    next(stream)
    leave(stream)
    assert server.cancelled.wait(20)
    for _ in range(2):
        with pytest.raises(CallError) as caught:
            next(stream)
        assert grpc.StatusCode.CANCELLED is caught.value.code
    with pytest.raises(CallError):
        stream.result()


def test_a_stream_that_is_forgotten_is_cancelled(server: Storyteller, client: Client) -> None:
    for delta in client.stream_chat(said("wait")):
        assert "One " == delta.content
        break
    assert server.cancelled.wait(20)


def test_another_thread_can_cancel_and_the_reader_is_told(server: Storyteller, client: Client) -> None:
    stream = client.stream_chat(said("wait"))
    next(stream)
    threading.Timer(0.05, stream.cancel).start()
    with pytest.raises(CallError, match="CANCELLED"):
        next(stream)
    assert server.cancelled.wait(20)


def test_a_stream_that_was_read_whole_can_be_left(server: Storyteller, client: Client) -> None:
    with client.stream_chat(said("tell")) as stream:
        stream.result()
    stream.cancel()
    assert ANSWER == stream.result()


@pytest.mark.parametrize(("how", "code"), [("break", "INTERNAL"), ("leave", "UNAVAILABLE")])
def test_an_error_in_the_middle_is_told_after_what_came_before(
    server: Storyteller, client: Client, how: str, code: str
) -> None:
    stream = client.stream_chat(said(how))
    assert "One " == next(stream).content
    for read in (next, lambda stream: stream.result()):
        with pytest.raises(CallError, match=f"^{code}: "):
            read(stream)
    # What has begun to come isn't begun again.
    assert 1 == len(server.requests)


def test_a_stream_that_ends_without_its_end_has_no_result(server: Storyteller, client: Client) -> None:
    with pytest.raises(RuntimeError, match="isn't at its end"):
        client.stream_chat(said("cut")).result()


def test_a_refusal_is_told_by_the_first_message(server: Storyteller, client: Client) -> None:
    stream = client.stream_chat(said("refuse"))
    with pytest.raises(CallError, match="INVALID_ARGUMENT: no such role"):
        next(stream)


def test_what_is_busy_before_the_first_message_is_asked_again(server: Storyteller, client: Client) -> None:
    assert ANSWER == client.stream_chat(said("busy")).result()
    assert 2 == len(server.requests)


def test_the_deadline_holds_for_the_whole_stream(server: Storyteller, client: Client) -> None:
    stream = client.stream_chat(said("wait"), timeout=2.0)
    assert "One " == next(stream).content
    with pytest.raises(CallError, match="DEADLINE_EXCEEDED"):
        next(stream)
    assert server.cancelled.wait(20)


def test_the_messages_themselves_can_be_had(server: Storyteller, client: Client) -> None:
    with client.stream(client.generation.StreamChat, request("tell")) as stream:
        first, second, end = stream
    assert ("One ", "two.") == (first.delta.content, second.delta.content)
    assert METADATA == end.metadata
    with pytest.raises(CallError, match="INTERNAL: the model failed"):
        list(client.stream(client.generation.StreamChat, request("break")))


def test_a_stream_is_no_call(client: Client) -> None:
    with pytest.raises(TypeError, match="use stream"):
        client.call(client.generation.StreamChat, request("tell"))


async def test_the_async_stream_is_the_same(server: Storyteller, aio: AsyncClient) -> None:
    async with aio.stream_chat(said("tell")) as stream:
        with pytest.raises(RuntimeError, match="isn't at its end"):
            stream.end  # noqa: B018
        assert ["One ", "two."] == [delta.content async for delta in stream]
        assert StreamEnd("length", "", Usage(5, 3, 0)) == stream.end
        assert METADATA == stream.metadata
    assert ANSWER == await stream.result()
    half = aio.stream_chat(said("tell"))
    await anext(half)
    assert ANSWER == await half.result()


async def later(leave: Any) -> None:
    if asyncio.iscoroutine(leave):
        await leave


async def aleave(stream: Any) -> None:
    async with stream:
        pass


@pytest.mark.parametrize(
    "leave",
    [lambda stream: stream.cancel(), lambda stream: stream.close(), aleave],
    ids=["cancel", "close", "with"],
)
async def test_an_async_stream_that_is_left_is_cancelled(
    server: Storyteller, aio: AsyncClient, leave: Callable[[Any], Any]
) -> None:
    stream = aio.stream_chat(said("wait"))
    await anext(stream)
    await later(leave(stream))
    for _ in range(2):
        with pytest.raises(CallError) as caught:
            await anext(stream)
        assert grpc.StatusCode.CANCELLED is caught.value.code
    assert await asyncio.to_thread(server.cancelled.wait, 20)


async def test_an_async_stream_that_is_forgotten_is_cancelled(server: Storyteller, aio: AsyncClient) -> None:
    async for delta in aio.stream_chat(said("wait")):
        assert "One " == delta.content
        break
    assert await asyncio.to_thread(server.cancelled.wait, 20)


async def test_another_task_can_cancel_and_the_reader_is_told(server: Storyteller, aio: AsyncClient) -> None:
    stream = aio.stream_chat(said("wait"))
    await anext(stream)
    asyncio.get_running_loop().call_later(0.05, stream.cancel)
    with pytest.raises(CallError, match="CANCELLED: the stream was cancelled"):
        await anext(stream)


async def test_a_reader_that_is_cancelled_cancels_the_call_and_is_not_told_otherwise(
    server: Storyteller, aio: AsyncClient
) -> None:
    stream = aio.stream_chat(said("wait"))
    await anext(stream)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await stream.result()
    assert await asyncio.to_thread(server.cancelled.wait, 20)


async def test_an_async_error_in_the_middle_is_told_after_what_came_before(
    server: Storyteller, aio: AsyncClient
) -> None:
    stream = aio.stream_chat(said("break"))
    assert "One " == (await anext(stream)).content
    for _ in range(2):
        with pytest.raises(CallError, match="INTERNAL: the model failed"):
            await stream.result()


async def test_the_deadline_holds_for_the_whole_async_stream(server: Storyteller, aio: AsyncClient) -> None:
    stream = aio.stream_chat(said("wait"), timeout=2.0)
    assert "One " == (await anext(stream)).content
    with pytest.raises(CallError, match="DEADLINE_EXCEEDED"):
        await anext(stream)


async def test_the_async_messages_themselves_can_be_had(server: Storyteller, aio: AsyncClient) -> None:
    method: Any = aio.generation.StreamChat
    messages = [message async for message in aio.stream(method, request("tell"))]
    assert ["One ", "two.", ""] == [message.delta.content for message in messages]
    with pytest.raises(TypeError, match="use stream"):
        await aio.call(method, request("tell"))
