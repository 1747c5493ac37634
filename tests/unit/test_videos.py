"""Video files to frames: which are taken, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from media_files import film, films, pictures, saved, sound
from standpipe_server.errors import InvalidInputError, LimitExceededError
from standpipe_server.media.videos import EncodedVideo, VideoFileLimits, encoded_video

FIELD = "videos[1].content"
LIMITS = VideoFileLimits()


def frames(content: bytes, count: int, rate: int = 1, limits: VideoFileLimits = LIMITS) -> list[Image.Image]:
    return encoded_video(content, FIELD, limits).frames(count, rate)


def greys(found: list[Image.Image]) -> list[int]:
    """The places of frames, by how bright they are."""
    return [round(float(np.asarray(frame).mean()) / 20) for frame in found]


def refusal(
    content: bytes, count: int = 4, rate: int = 1, limits: VideoFileLimits = LIMITS
) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        frames(content, count, rate, limits)
    assert FIELD == caught.value.field
    return caught.value


def exceeded(content: bytes, limits: VideoFileLimits, count: int = 4, rate: int = 1) -> tuple[str, str]:
    error = refusal(content, count, rate, limits)
    assert isinstance(error, LimitExceededError)
    assert f"{error.details['limit']} = {error.details['value']}" in str(error)
    return error.details["limit"], error.details["value"]


@pytest.mark.parametrize("name", [name for name in films() if name != "gif"])
def test_every_format_becomes_frames_of_its_colours(name: str) -> None:
    found = frames(films()[name], 4, 3)
    assert [("RGB", (64, 48))] * 4 == [(frame.mode, frame.size) for frame in found]
    assert [0, 3, 7, 11] == greys(found)


def test_an_animated_gif_is_a_film() -> None:
    assert 4 == len(frames(films()["gif"], 4, 3))


@given(count=st.integers(1, 12), rate=st.integers(1, 12))
def test_frames_are_taken_as_the_library_takes_them(count: int, rate: int) -> None:
    if count * rate > 12:
        rate = 12 // count
    wanted = np.linspace(0, count * rate - 1, count, dtype=np.int64).tolist()
    assert wanted == greys(frames(films()["mp4"], count, rate))


@pytest.mark.parametrize(("count", "rate", "last"), [(13, 1, 13), (2, 7, 14), (4, 4, 16)])
def test_a_film_that_ends_too_early_is_refused(count: int, rate: int, last: int) -> None:
    assert f"the video ends before its frame {last}" == str(refusal(films()["mp4"], count, rate))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the video is empty: send a file"),
        (b"no film at all", "the video can't be read: Invalid"),
        (films()["mp4"][:500], "the video can't be read: "),
        (saved(Image.new("RGB", (9, 9)), "PNG"), "the video can't be read: Invalid"),
        (sound(), "the file has no video in it"),
        (film("mpegts", "mpeg2video"), "the video can't be read: Invalid"),
        (films()["avi"].replace(b"FMP4", b"????"), "the video is encoded in a way that isn't known here"),
    ],
)
def test_what_is_no_film_is_refused_with_the_reason(content: bytes, words: str) -> None:
    assert str(refusal(content)).startswith(words)


def test_a_list_of_files_opens_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.mp4").write_bytes(films()["mp4"])
    assert "can't be read" in str(refusal(b"ffconcat version 1.0\nfile 'secret.mp4'\n"))


def test_words_that_are_not_utf_8_harm_nobody() -> None:
    titled = film("mp4", "mpeg4", title="a film")
    assert [0] == greys(frames(titled.replace(b"a film", b"\xff\xfe film"), 1))


def test_a_file_may_have_so_many_bytes_and_no_more() -> None:
    content = films()["mp4"]
    size = len(content)
    assert [0] == greys(frames(content, 1, limits=VideoFileLimits(max_bytes=size)))
    assert ("max_media_bytes", str(size - 1)) == exceeded(content, VideoFileLimits(max_bytes=size - 1))


def test_so_many_frames_are_read_and_no_more() -> None:
    content = films()["mp4"]
    assert 4 == len(frames(content, 4, 3, VideoFileLimits(max_frames=12)))
    assert ("max_frames", "11") == exceeded(content, VideoFileLimits(max_frames=11), 4, 3)


@pytest.mark.parametrize("name", films())
@pytest.mark.parametrize("pixels", [64 * 48 - 1, 64 * 48 // 3, 4])
def test_a_frame_may_have_so_many_pixels_and_no_more(name: str, pixels: int) -> None:
    content = films()[name]
    assert 4 == len(frames(content, 4, limits=VideoFileLimits(max_pixels=64 * 48)))
    assert ("max_pixels", str(pixels)) == exceeded(content, VideoFileLimits(max_pixels=pixels))


def test_frames_together_may_have_the_pixels_of_some_pictures() -> None:
    limits = VideoFileLimits(max_pixels=64 * 48)
    assert ("max_pixels", str(64 * 48)) == exceeded(films()["mp4"], limits, count=5)


def test_a_frame_that_shows_nothing_is_refused() -> None:
    narrow = film("matroska", "mjpeg", pixels="yuvj420p", size=(2048, 8))
    assert "max_ratio" == refusal(narrow).details["limit"]


def test_frames_that_claim_more_than_their_file_said_are_refused_by_the_decoder() -> None:
    content = films()["mkv"]
    frame = content.index(b"\xff\xc0") + 5
    lying = content[:frame] + b"\x27\x10\x27\x10" + content[frame + 4 :]
    assert "can't be read" in str(refusal(lying, limits=VideoFileLimits(max_pixels=100_000)))


def test_nothing_is_read_before_frames_are_asked_for() -> None:
    assert isinstance(encoded_video(b"no film at all", FIELD, LIMITS), EncodedVideo)


def test_a_picture_in_one_format_is_no_film_in_another() -> None:
    assert "can't be read" in str(refusal(pictures()["jpeg"]))
