"""Media that requests name by address: found in any message, fetched together, within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.message import Message

from standpipe.v1 import common_pb2, generation_pb2, text_pb2, tokenizers_pb2, vision_pb2
from standpipe_server.engine.registry import Registry
from standpipe_server.errors import InvalidInputError, LimitExceededError, MediaUnavailableError
from standpipe_server.rpc.handling import Handling
from standpipe_server.rpc.media import fetch_media, holds_media
from standpipe_server.tasks import InputLimits

LIMITS = InputLimits()
Image = common_pb2.Image


@dataclass
class Library:
    """A fetcher of files by address: an exception is raised, an event is waited for.

    Attributes:
        files: By address; of others the address itself.
        asked: Address, field and seconds of each fetch.
        given_up: What was waited for and not had.
        began: A fetch of something to wait for.
    """

    files: Mapping[str, bytes | Exception | asyncio.Event] = field(default_factory=dict)
    asked: list[tuple[str, str, float]] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(self, uri: str, field: str, timeout: float) -> bytes:
        self.asked.append((uri, field, timeout))
        file = self.files.get(uri, uri.encode())
        if isinstance(file, asyncio.Event):
            self.began.set()
            try:
                await file.wait()
            except asyncio.CancelledError:
                self.given_up.append(uri)
                raise
            return b"at last"
        # As any fetch would.
        await asyncio.sleep(0)
        if isinstance(file, Exception):
            raise file
        return file


async def filled(request: Any, library: Library | None = None, limits: InputLimits = LIMITS) -> Any:
    await fetch_media(request, library or Library(), 9.0, limits)
    return request


async def test_files_stand_in_place_of_their_addresses() -> None:
    request = vision_pb2.ClassifyImageRequest(images=[Image(uri="a"), Image(content=b"own"), Image(uri="b")])
    library = Library()
    await filled(request, library)
    assert [b"a", b"own", b"b"] == [image.content for image in request.images]
    assert [("a", "images[0].uri", 9.0), ("b", "images[2].uri", 9.0)] == library.asked


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (
            vision_pb2.MatchKeypointsRequest(
                pairs=[
                    vision_pb2.ImagePair(first=Image(content=b"x"), second=Image(content=b"y")),
                    vision_pb2.ImagePair(first=Image(content=b"x"), second=Image(uri="a")),
                ]
            ),
            ["pairs[1].second.uri"],
        ),
        (
            vision_pb2.AnswerImageQuestionRequest(
                inputs=[vision_pb2.ImageQuestion(image=Image(uri="a"), question="?")]
            ),
            ["inputs[0].image.uri"],
        ),
        (
            vision_pb2.ClassifyVideoRequest(videos=[vision_pb2.Video(uri="a"), vision_pb2.Video(uri="")]),
            ["videos[0].uri", "videos[1].uri"],
        ),
        # Neither file nor address: whoever decodes it says so.
        (vision_pb2.ClassifyImageRequest(images=[Image()]), []),
    ],
)
async def test_nested_media_are_found_and_named(request_: Message, fields: list[str]) -> None:
    library = Library()
    await filled(request_, library)
    assert fields == [field for _, field, _ in library.asked]


@pytest.mark.parametrize(
    ("kind", "holds"),
    [
        (vision_pb2.ClassifyImageRequest, True),
        (vision_pb2.MatchKeypointsRequest, True),
        (vision_pb2.ClassifyVideoRequest, True),
        (text_pb2.EmbedTextRequest, False),
        (tokenizers_pb2.TokenizeRequest, False),
        # It holds a Struct, which holds itself.
        (generation_pb2.ChatRequest, True),
        (struct_pb2.Struct, False),
    ],
)
def test_messages_that_may_hold_media_are_told_by_their_fields(kind: type[Message], holds: bool) -> None:
    assert holds == holds_media(kind.DESCRIPTOR)


async def test_a_message_without_media_is_not_gone_through() -> None:
    class Closed:
        DESCRIPTOR = text_pb2.EmbedTextRequest.DESCRIPTOR

    closed: Any = Closed()  # it has no fields to list
    assert closed is await filled(closed)


async def test_files_are_fetched_side_by_side() -> None:
    files = {name: asyncio.Event() for name in "abc"}
    library = Library(files)
    request = vision_pb2.ClassifyImageRequest(images=[Image(uri=name) for name in files])
    fetching = asyncio.ensure_future(filled(request, library))
    await library.began.wait()
    await asyncio.sleep(0)
    assert ["a", "b", "c"] == [uri for uri, _, _ in library.asked]
    for file in files.values():
        file.set()
    await fetching
    assert [b"at last"] * 3 == [image.content for image in request.images]


@pytest.mark.parametrize(
    "error", [InvalidInputError("no such file", "images[1].uri"), MediaUnavailableError("not now", 1.0)]
)
async def test_the_first_failure_is_the_requests_and_ends_the_others(error: Exception) -> None:
    library = Library({"slow": asyncio.Event(), "bad": error})
    request = vision_pb2.ClassifyImageRequest(images=[Image(uri="slow"), Image(uri="bad"), Image(uri="slow")])
    with pytest.raises(type(error)) as caught:
        await filled(request, library)
    assert error is caught.value
    assert ["slow", "slow"] == library.given_up


async def test_a_caller_that_leaves_ends_the_fetching() -> None:
    library = Library({"slow": asyncio.Event()})
    request = vision_pb2.ClassifyImageRequest(images=[Image(uri="slow")])
    fetching = asyncio.ensure_future(filled(request, library))
    await library.began.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert ["slow"] == library.given_up


async def test_more_addresses_than_a_call_may_hold_are_not_asked_for() -> None:
    library = Library()
    request = vision_pb2.ClassifyImageRequest(images=[Image(uri="a")] * 4)
    with pytest.raises(LimitExceededError, match=r"4 images in one call .* max_items = 3") as caught:
        await filled(request, library, InputLimits(max_items=3))
    assert ("images", []) == (caught.value.field, library.asked)


async def test_files_of_one_call_hold_so_much_together_and_no_more() -> None:
    limits = InputLimits(max_media_bytes=10)
    files = {"large": bytes(10)}
    eight = vision_pb2.ClassifyImageRequest(images=[Image(uri="large")] * 8)
    assert [10] * 8 == [len(image.content) for image in (await filled(eight, Library(files), limits)).images]
    nine = vision_pb2.ClassifyImageRequest(images=[Image(uri="large")] * 9)
    with pytest.raises(LimitExceededError, match="limit max_media_bytes = 10") as caught:
        await filled(nine, Library(files), limits)
    assert "images[8].uri" == caught.value.field


class Slow:
    """A fetcher that lets time pass."""

    def __init__(self) -> None:
        self.timeouts: list[float] = []

    async def fetch(self, uri: str, field: str, timeout: float) -> bytes:
        self.timeouts.append(timeout)
        await asyncio.sleep(0.05)
        return b"file"


@pytest.mark.parametrize(("remaining", "timeout"), [(3.0, 3.0), (None, 7.0)])
async def test_the_time_of_fetching_is_taken_off_the_callers(remaining: float | None, timeout: float) -> None:
    slow = Slow()
    handling = Handling(Registry([]), LIMITS, 7.0, slow, ThreadPoolExecutor(1))
    left = await handling.complete(vision_pb2.ClassifyImageRequest(images=[Image(uri="a")]), remaining)
    assert [timeout] == slow.timeouts
    assert 0 < left <= timeout - 0.049


async def test_addresses_are_counted_over_the_whole_request() -> None:
    library = Library()
    parts = [common_pb2.ContentPart(image=Image(uri="a"))] * 3
    messages = [common_pb2.ChatMessage(role="user", parts=parts)] * 3
    with pytest.raises(LimitExceededError, match="addresses in one call exceed the limit max_items = 8"):
        await filled(generation_pb2.ChatRequest(messages=messages), library, InputLimits(max_items=8))
    assert [] == library.asked


async def test_one_request_fetches_a_few_at_a_time() -> None:
    stuck = asyncio.Event()
    library = Library({str(index): stuck for index in range(9)})
    images = [Image(uri=str(index)) for index in range(9)]
    filling = asyncio.create_task(filled(vision_pb2.ClassifyImageRequest(images=images), library))
    await library.began.wait()
    await asyncio.sleep(0)
    assert ["0", "1", "2", "3"] == [uri for uri, _, _ in library.asked]
    stuck.set()
    assert 9 == len((await filling).images)
