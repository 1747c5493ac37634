"""The methods of ImageGenerationService of both clients, on a channel that answers from a table."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from client_fakes import ANSWERS, FakeChannel, fake_client, put_on, refused
from image_generation_answers import IMAGES, PIXELS, PREVIEW, VIDEO, file_of
from PIL import Image
from storyteller import serving

from standpipe import AsyncClient, CallError, Client, Video, contract
from standpipe.image_generation import calls
from standpipe.v1 import image_generation_pb2

LAST = 2**64 - 1
FILM = Video(b"\x1aE\xdf\xa3...", 3, 2, 4, 7.5, LAST, "webm")

# What the table's pictures are: pixels, and what is said of each.
DRAWN = [
    (PIXELS.tolist(), {"seed": LAST - 1, "nsfw_content_detected": False}),
    ((0 * PIXELS).tolist(), {"seed": LAST, "nsfw_content_detected": True}),
]
STEPS = [("progress", 1, 3), ("progress", 2, 3), ("progress", 3, 3)]
TOLD = [*STEPS[:2], ("preview", 1, 2, (255 - PIXELS).tolist()), STEPS[2]]

# For each method: what it is called with, what it makes of the answer in ANSWERS, and what it tells before.
METHODS: dict[str, tuple[tuple[Any, ...], dict[str, Any], Any, list[Any]]] = {
    "generate_image": (("a hose",), {"seed": 7, "preview_steps": 2}, DRAWN, TOLD),
    "transform_image": ((b"i", "a hose"), {"strength": 0.5, "preview_steps": 2}, DRAWN, TOLD),
    "inpaint_image": ((b"i", b"m", "a hose"), {"loras": ["ink"], "preview_steps": 2}, DRAWN, TOLD),
    "generate_video": (("a hose",), {"image": b"i", "fps": 7.5, "format": "webm"}, FILM, STEPS[1:]),
}
DRAWING = ["generate_image", "transform_image", "inpaint_image"]

Run = Callable[..., Awaitable[tuple[Any, FakeChannel]]]


def rpc_of(method: str) -> str:
    return "".join(word.capitalize() for word in method.split("_"))


def plain(value: Any) -> Any:
    """A result with pixels as lists, so that pictures can be compared."""
    if isinstance(value, Image.Image):
        return np.asarray(value).tolist()
    if isinstance(value, list):
        return [(plain(image), dict(image.info)) for image in value]
    return value


def listening(method: str, told: list[Any]) -> dict[str, Any]:
    """Callbacks of a method that note what they are called with."""

    def on_progress(*steps: int) -> None:
        told.append(("progress", *steps))

    def on_preview(index: int, step: int, image: Image.Image) -> None:
        told.append(("preview", index, step, plain(image)))

    return {"on_progress": on_progress} | ({"on_preview": on_preview} if method in DRAWING else {})


async def by_client(method: str, answers: Any, *given: Any, **options: Any) -> tuple[Any, FakeChannel]:
    """What the synchronous client's method returns, and the channel that it called."""
    client, channel = fake_client(answers)
    return getattr(client, method)(*given, **options), channel


async def by_aio(method: str, answers: Any, *given: Any, **options: Any) -> tuple[Any, FakeChannel]:
    """The same of the asynchronous one."""
    channel = FakeChannel(answers, asynchronous=True)
    async with AsyncClient("127.0.0.1:1", timeout=7.0, metadata=[("x-key", "1")]) as client:
        real = client.channel
        put_on(client, channel)
        try:
            return await getattr(client, method)(*given, **options), channel
        finally:
            client.channel = real


both_clients = pytest.mark.parametrize("run", [by_client, by_aio], ids=["client", "aio"])


def test_every_rpc_has_a_method() -> None:
    rpcs = image_generation_pb2.DESCRIPTOR.services_by_name["ImageGenerationService"].methods
    assert [rpc.name for rpc in rpcs] == [rpc_of(method) for method in METHODS]


@both_clients
@pytest.mark.parametrize("method", METHODS)
async def test_a_method_tells_how_far_it_is_and_returns_what_was_asked_for(run: Run, method: str) -> None:
    given, options, expected, steps = METHODS[method]
    told: list[Any] = []
    result, channel = await run(method, ANSWERS, *given, **options, **listening(method, told))
    assert (expected, steps) == (plain(result), told)
    ((path, request, timeout, metadata),) = channel.calls
    rpc = contract.find(path)
    assert (rpc_of(method), rpc.input_type) == (rpc.name, request.DESCRIPTOR)
    assert (7.0, (("x-key", "1"),)) == (timeout, metadata)


@pytest.mark.parametrize("method", METHODS)
async def test_both_clients_send_the_same(method: str) -> None:
    given, options, _, _ = METHODS[method]
    heard = listening(method, [])
    _, one = await by_client(method, ANSWERS, *given, **options, **heard, timeout=2.0)
    _, other = await by_aio(method, ANSWERS, *given, **options, **heard, timeout=2.0)
    assert one.calls == other.calls


@both_clients
@pytest.mark.parametrize("method", METHODS)
async def test_who_does_not_listen_gets_the_result_all_the_same(run: Run, method: str) -> None:
    given, options, expected, _ = METHODS[method]
    quiet = {name: value for name, value in options.items() if name != "preview_steps"}
    result, channel = await run(method, ANSWERS, *given, **quiet)
    assert expected == plain(result)
    ((_, request, _, _),) = channel.calls
    assert 0 == getattr(request, "preview_steps", 0)


async def test_callbacks_of_the_async_client_may_be_coroutine_functions() -> None:
    told: list[Any] = []

    async def on_progress(*steps: int) -> None:
        told.append(steps)

    async def on_preview(*shown: Any) -> None:
        told.append(shown[:2])

    await by_aio("generate_image", ANSWERS, "a hose", on_progress=on_progress, on_preview=on_preview)
    assert [(1, 3), (2, 3), (1, 2), (3, 3)] == told


@both_clients
@pytest.mark.parametrize("method", DRAWING)
@pytest.mark.parametrize(("said", "asked"), [(None, 5), (1, 1), (0, 0)])
async def test_who_wants_previews_gets_them_now_and_then(
    run: Run, method: str, said: int | None, asked: int
) -> None:
    given, _, _, _ = METHODS[method]
    _, channel = await run(method, ANSWERS, *given, preview_steps=said, on_preview=lambda *_: None)
    assert [asked] == [request.preview_steps for _, request, _, _ in channel.calls]


@both_clients
@pytest.mark.parametrize("method", DRAWING)
async def test_previews_that_nobody_takes_are_refused(run: Run, method: str) -> None:
    given, _, _, _ = METHODS[method]
    with pytest.raises(ValueError, match=r"^preview_steps is 3, .*: give on_preview too$"):
        await run(method, ANSWERS, *given, preview_steps=3)


class Painter(grpc.GenericRpcHandler):
    """Never gets further than its first messages; notes that it needn't."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def service(self, _: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_stream_rpc_method_handler(self._paint)

    async def _paint(self, _: bytes, __: Any) -> AsyncIterator[bytes]:
        try:
            for message in ANSWERS["GenerateImage"][:3]:
                yield message.SerializeToString()
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


@pytest.fixture
def painted() -> Iterator[tuple[Painter, str]]:
    painter = Painter()
    with serving(painter) as address:
        yield painter, address


async def fail(*_: Any) -> None:
    raise KeyError("enough")


def fail_at_once(*_: Any) -> Any:
    raise KeyError("enough")


@pytest.mark.parametrize("callback", ["on_progress", "on_preview"])
def test_what_a_callback_raises_ends_the_call_and_reaches_the_caller(
    painted: tuple[Painter, str], callback: str
) -> None:
    heard: dict[str, Any] = {callback: fail_at_once}
    painter, address = painted
    with Client(address) as client:
        with pytest.raises(KeyError, match="enough"):
            client.generate_image("a hose", **heard)
        assert painter.cancelled.wait(5)


@pytest.mark.parametrize("callback", ["on_progress", "on_preview"])
@pytest.mark.parametrize("failing", [fail, fail_at_once])
async def test_what_a_callback_raises_ends_an_async_call_and_reaches_the_caller(
    painted: tuple[Painter, str], callback: str, failing: Any
) -> None:
    painter, address = painted
    async with AsyncClient(address) as client:
        with pytest.raises(KeyError, match="enough"):
            await client.generate_image("a hose", **{callback: failing})
        assert await asyncio.to_thread(painter.cancelled.wait, 5)


async def test_who_no_longer_waits_ends_the_call(painted: tuple[Painter, str]) -> None:
    painter, address = painted
    begun = asyncio.Event()
    async with AsyncClient(address) as client:
        drawing = asyncio.create_task(client.generate_image("a hose", on_progress=lambda *_: begun.set()))
        await begun.wait()
        drawing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drawing
        assert await asyncio.to_thread(painter.cancelled.wait, 5)


@both_clients
@pytest.mark.parametrize("method", METHODS)
async def test_a_failure_after_some_steps_is_a_call_error(run: Run, method: str) -> None:
    given, options, _, steps = METHODS[method]
    told: list[Any] = []
    broken = [ANSWERS[rpc_of(method)][0], refused(grpc.StatusCode.INTERNAL, "no ink")]
    with pytest.raises(CallError, match="no ink") as caught:
        await run(method, {rpc_of(method): broken}, *given, **options, **listening(method, told))
    assert (grpc.StatusCode.INTERNAL, steps[:1]) == (caught.value.code, told)


@both_clients
@pytest.mark.parametrize("method", METHODS)
async def test_a_call_that_ends_without_a_result_is_told(run: Run, method: str) -> None:
    given, options, _, _ = METHODS[method]
    cut = {rpc_of(method): ANSWERS[rpc_of(method)][:-1]}
    with pytest.raises(RuntimeError, match=r"^the call ended without a result$"):
        await run(method, cut, *given, **options, **listening(method, []))


@both_clients
@pytest.mark.parametrize("method", DRAWING)
async def test_without_pillow_nothing_is_drawn(
    run: Run, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, _, _, _ = METHODS[method]
    for name in ("PIL", "PIL.Image", "PIL.ImageOps"):
        monkeypatch.setitem(sys.modules, name, None)
    problem = r"^to read what is drawn, the client needs Pillow: pip install 'standpipe\[images\]'$"
    with pytest.raises(ImportError, match=problem):
        # With no answer to give, a call would fail otherwise.
        await run(method, {}, *given)


@both_clients
async def test_a_film_needs_no_pillow(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    given, options, expected, _ = METHODS["generate_video"]
    result, _ = await run("generate_video", ANSWERS, *given, **options)
    assert expected == result


async def test_the_event_loop_waits_for_no_file_and_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    workers: list[threading.Thread] = []

    def read(_: Path) -> bytes:
        workers.append(threading.current_thread())
        return b"i"

    def opened(content: bytes) -> Image.Image:
        workers.append(threading.current_thread())
        return Image.open(BytesIO(content))

    monkeypatch.setattr(Path, "read_bytes", read)
    monkeypatch.setattr(calls, "_opened", opened)
    await by_aio("transform_image", ANSWERS, "a.png", "a hose", on_preview=lambda *_: None)
    # The file, the preview, and two pictures.
    assert 4 == len(workers)
    assert threading.current_thread() not in workers


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
async def test_a_picture_is_decoded_whatever_its_form(form: str) -> None:
    pixels = np.full((4, 6, 3), 128, np.uint8)
    drawn = image_generation_pb2.GeneratedImage(content=file_of(pixels, form), seed=3)
    answer = image_generation_pb2.GenerateImageResponse(
        result=image_generation_pb2.GeneratedImages(images=[drawn])
    )
    ((image,), _) = await by_client("generate_image", {"GenerateImage": [answer]}, "a hose")
    assert (Image.Image, "RGB", (6, 4)) == (type(image), image.mode, image.size)
    assert (3, False) == (image.info["seed"], image.info["nsfw_content_detected"])
    np.testing.assert_allclose(pixels, np.asarray(image), atol=2)


async def test_no_decoder_but_those_is_tried() -> None:
    drawn = image_generation_pb2.GeneratedImage(content=file_of(PIXELS, "BMP"))
    answer = image_generation_pb2.GenerateImageResponse(
        result=image_generation_pb2.GeneratedImages(images=[drawn])
    )
    with pytest.raises(OSError, match="cannot identify image file"):
        await by_client("generate_image", {"GenerateImage": [answer]}, "a hose")


@pytest.mark.parametrize("form", [None, "mp4", "webm", "gif"])
async def test_a_film_knows_its_format_and_is_saved_as_it_is(form: Any, tmp_path: Path) -> None:
    film, channel = await by_client("generate_video", ANSWERS, "a hose", format=form)
    film.save(tmp_path / "film")
    assert (form or "mp4", VIDEO.content) == (film.format, (tmp_path / "film").read_bytes())
    ((_, request, _, _),) = channel.calls
    known = image_generation_pb2.VideoFormat.Value
    assert request.format == (known(f"VIDEO_FORMAT_{form}".upper()) if form else 0)


def test_a_film_has_every_field_of_its_message() -> None:
    names = [field.name for field in image_generation_pb2.GeneratedVideo.DESCRIPTOR.fields]
    assert [*names, "format"] == [field.name for field in fields(Video)]


def test_a_picture_has_every_field_of_its_message() -> None:
    """Its sides and its pixels are its own."""
    names = {field.name for field in IMAGES.images[0].DESCRIPTOR.fields} - {"content", "width", "height"}
    image = calls.GENERATE_IMAGE.join((), IMAGES)[0]
    assert names == set(image.info)
    assert {"index", "step", "content"} == {field.name for field in PREVIEW.DESCRIPTOR.fields}
