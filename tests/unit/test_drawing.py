"""What the demo has drawn, and how it shows it; no model here."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from client_fakes import FakeChannel, fake_client, refused
from image_generation_answers import file_of
from PIL import Image
from rich.console import Console

from standpipe import CallError
from standpipe.v1 import image_generation_pb2 as messages
from standpipe_bench.drawing import blocks, draw, lower_half
from standpipe_bench.served.tables import drawings_table

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    # Typer asks Click for what Click is about to drop.
    from standpipe_bench.cli import served

WHITE, DARK = np.full((32, 32, 3), 255, np.uint8), np.zeros((32, 32, 3), np.uint8)
STRIPED = WHITE.copy()
STRIPED[:, :4] = 0
RESPONSES = {
    "GenerateImage": (messages.GenerateImageResponse, STRIPED),
    "TransformImage": (messages.TransformImageResponse, DARK),
    "InpaintImage": (messages.InpaintImageResponse, WHITE),
}


def drawn(response: Callable[..., Any], pixels: Any) -> list[Any]:
    """What an RPC answers: two steps, then a picture."""
    steps = [response(progress=messages.DiffusionProgress(step=step, num_steps=2)) for step in (1, 2)]
    image = messages.GeneratedImage(content=file_of(pixels), width=32, height=32, seed=7)
    return [*steps, response(result=messages.GeneratedImages(images=[image]))]


ANSWERS: dict[str, Any] = {rpc: drawn(*answer) for rpc, answer in RESPONSES.items()}


def pixels_of(image: Image.Image) -> list[Any]:
    found: list[Any] = np.asarray(image).tolist()
    return found


def sent(channel: FakeChannel) -> dict[str, Any]:
    return {path.rpartition("/")[2]: request for path, request, *_ in channel.calls}


def test_each_picture_is_drawn_of_the_first_and_told_of_step_by_step(tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int]]] = {}

    def begin(said: str) -> Callable[[int, int], None]:
        told[said] = []
        return lambda *step: told[said].append(step)

    client, channel = fake_client(ANSWERS)
    drawings = draw(client, tmp_path, begin)
    assert ["a handwritten seven", "the same, made a handwritten nine"] == list(told)[:2]
    assert [[(1, 2), (2, 2)]] * 3 == list(told.values())
    assert list(told) == [drawing.said for drawing in drawings]
    requests = sent(channel)
    for rpc in ("TransformImage", "InpaintImage"):
        assert STRIPED.tolist() == pixels_of(Image.open(io.BytesIO(requests[rpc].image.content)))
    assert {(20, 3.0, 7)} == {
        (one.parameters.num_inference_steps, one.parameters.guidance_scale, one.parameters.seed)
        for one in requests.values()
    }


def test_what_was_drawn_is_saved_as_it_came(tmp_path: Path) -> None:
    drawings = draw(fake_client(ANSWERS)[0], tmp_path, lambda _: lambda *_: None)
    names = ["standpipe-drawn.png", "standpipe-drawn-anew.png", "standpipe-drawn-in-part.png"]
    assert [tmp_path / name for name in names] == [drawing.file for drawing in drawings]
    saved = [pixels_of(Image.open(drawing.file)) for drawing in drawings]
    assert [STRIPED.tolist(), DARK.tolist(), WHITE.tolist()] == saved


def test_a_mask_is_white_in_the_lower_half_alone() -> None:
    mask = lower_half(Image.new("RGB", (3, 5), "red"))
    assert [[0] * 3] * 2 + [[255] * 3] * 3 == pixels_of(mask)
    assert "L" == mask.mode


def test_dark_parts_of_a_picture_become_blocks_of_half_a_row() -> None:
    pixels = WHITE[:4].copy()
    pixels[0, 0] = pixels[1, 1] = pixels[2:, 31] = 127
    pixels[0, 5] = 128
    assert f"▀▄{' ' * 30}\n{' ' * 31}█" == blocks(Image.fromarray(pixels))


@pytest.mark.parametrize(("size", "rows"), [((32, 32), 16), ((512, 512), 16), ((640, 320), 8), ((900, 9), 1)])
def test_a_picture_of_any_size_is_as_many_columns_wide_and_keeps_its_shape(
    size: tuple[int, int], rows: int
) -> None:
    assert ["█" * 32] * rows == blocks(Image.new("L", size)).split("\n")


def test_pictures_are_shown_beside_each_other_where_there_are_no_colours_either(tmp_path: Path) -> None:
    console = Console(width=120, file=io.StringIO(), color_system=None)
    console.print(drawings_table(draw(fake_client(ANSWERS)[0], tmp_path, lambda _: lambda *_: None)))
    title, *rows = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert title.startswith("a handwritten seven")
    assert [f"████{' ' * 31}{'█' * 32}"] * 16 == [row.rstrip() for row in rows]


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL])
def test_where_nothing_that_draws_is_served_the_demo_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: grpc.StatusCode
) -> None:
    console = Console(width=120, file=io.StringIO(), color_system=None)
    monkeypatch.setattr(served, "console", console)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    client, _ = fake_client({**ANSWERS, "InpaintImage": refused(code, "no model [serves] it")})
    if code is not grpc.StatusCode.NOT_FOUND:
        with pytest.raises(CallError, match="serves"):
            served._drawing(client)
        return
    served._drawing(client)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "not drawn: no model [serves] it" in said
    assert "█" not in said


def test_the_demo_draws_and_says_where_the_pictures_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    console = Console(width=200, file=io.StringIO(), color_system=None)
    monkeypatch.setattr(served, "console", console)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    served._drawing(fake_client(ANSWERS)[0])
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert 3 == said.count("2/2 steps")
    assert all(str(file) in said for file in tmp_path.iterdir())
    assert 3 == len(list(tmp_path.iterdir()))
