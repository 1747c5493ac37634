"""What ``standpipe call`` makes of a response for who reads it: files, numbers of bytes, a bar of steps."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass
from image_generation_answers import IMAGES
from rich.console import Console

from standpipe import contract
from standpipe.v1 import image_generation_pb2
from standpipe_server import call
from standpipe_server.call_steps import StepsBar


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89PNG\r\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "wav"),
        (b"GIF89a", "gif"),
        (b"\x1aE\xdf\xa3", "webm"),
        (b"\x00\x00\x00\x20ftypisom", "mp4"),
    ],
)
def test_a_file_is_saved_as_what_it_is(content: bytes, kind: str, tmp_path: Path) -> None:
    answer = image_generation_pb2.GenerateVideoResponse(
        result=image_generation_pb2.GeneratedVideo(content=content)
    )
    shown = json.loads(call.shown(contract.find("GenerateVideo"), answer, tmp_path, 9))
    # Not after the ninth message of the stream: it is the whole answer.
    assert str(tmp_path / f"GenerateVideo-1.{kind}") == shown["result"]["content"]
    assert content == Path(shown["result"]["content"]).read_bytes()


def test_bytes_that_are_many_are_left_out_where_a_person_reads() -> None:
    def told(content: bytes) -> str:
        answer = image_generation_pb2.GenerateImageResponse(
            preview=image_generation_pb2.ImagePreview(content=content)
        )
        shown = call.shown(contract.find("GenerateImage"), answer, None, 1, read=True)
        said: str = json.loads(shown)["preview"]["content"]
        return said

    assert "2,048 bytes; --save FOLDER keeps them" == told(bytes(2048))
    assert "AAAA" == told(bytes(3))


def screen() -> tuple[Console, StringIO]:
    seen = StringIO()
    return Console(file=seen, force_terminal=True, force_interactive=True, width=80, color_system=None), seen


def drawing(**event: Any) -> image_generation_pb2.GenerateImageResponse:
    return image_generation_pb2.GenerateImageResponse(**event)


def test_steps_are_a_bar_that_makes_way_for_the_rest() -> None:
    console, seen = screen()
    progress = image_generation_pb2.DiffusionProgress
    with StepsBar("GenerateImage", console) as bar:
        assert bar.take(drawing(progress=progress(step=2, num_steps=30)))
        first = seen.getvalue()
        assert not bar.take(drawing(result=IMAGES))
        gone = seen.getvalue()
        assert bar.take(drawing(progress=progress(step=11, num_steps=30)))
    assert "GenerateImage" in first
    assert " 2/30 steps" in first
    # The line is erased.
    assert gone.endswith("\x1b[2K")
    assert "11/30 steps" in seen.getvalue()
    assert seen.getvalue().endswith("\x1b[2K")


def test_where_nobody_looks_there_is_no_bar() -> None:
    seen = StringIO()
    progress = image_generation_pb2.DiffusionProgress(step=2, num_steps=30)
    with StepsBar("GenerateImage", Console(file=seen)) as bar:
        assert not bar.take(drawing(progress=progress))
    assert "" == seen.getvalue()


@pytest.mark.parametrize("name", ["ClassifyText", "StreamChat", "GenerateImage"])
def test_what_tells_no_steps_moves_no_bar(name: str) -> None:
    console, seen = screen()
    with StepsBar(name, console) as bar:
        assert not bar.take(GetMessageClass(contract.find(name).output_type)())
    assert "" == seen.getvalue()
