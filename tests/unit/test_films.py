"""Frames to film files: what is written shows what was drawn."""

from __future__ import annotations

import sys
from io import BytesIO
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from media_files import picture
from standpipe_server.errors import InvalidInputError
from standpipe_server.media import films
from standpipe_server.media.films import FilmForm, film
from standpipe_server.media.videos import VideoFileLimits, encoded_video

FORMS: list[FilmForm] = ["mp4", "webm", "gif"]
CODED: list[FilmForm] = ["mp4", "webm"]
# Colours are kept for each four pixels together: areas blur at their edges, not where their middle is.
NEAR, MIDDLES = 6, np.ix_([12, 36], [16, 48])


def moving(count: int, size: tuple[int, int] = (64, 48)) -> list[Image.Image]:
    """Frames that are unlike: four areas of colour, turned and darkened a little more each time."""
    whole = picture(*size)
    turned = [whole, whole.transpose(Image.Transpose.ROTATE_180)]
    return [turned[place % 2].point(lambda value, dark=10 * place: value - dark) for place in range(count)]


def read(content: bytes, count: int) -> list[Image.Image]:
    """The first frames of a film, as the server reads them."""
    return encoded_video(content, "videos[0].content", VideoFileLimits()).frames(count, 1)


def about(content: bytes) -> Any:
    """What a film's header says, and how many frames there are."""
    with av.open(BytesIO(content)) as container:
        stream = container.streams.video[0]
        return (
            stream.codec_context.codec.canonical_name,
            stream.average_rate,
            sum(1 for _ in container.decode(stream)),
        )


def durations(content: bytes) -> list[int]:
    """Milliseconds that each frame of a GIF stays."""
    with Image.open(BytesIO(content)) as image:
        return [frame.info["duration"] for frame in ImageSequence.Iterator(image)]


def boxes(content: bytes) -> list[bytes]:
    """The names of an MP4's outermost boxes."""
    names, place = [], 0
    while place < len(content):
        names.append(content[place + 4 : place + 8])
        place += int.from_bytes(content[place : place + 4])
    return names


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 5])
def test_what_is_written_is_read_back_in_its_size_number_and_colours(form: FilmForm, count: int) -> None:
    drawn = moving(count)
    found = read(film(drawn, 8, form), count)
    assert [image.size for image in drawn] == [image.size for image in found]
    for wanted, got in zip(drawn, found, strict=True):
        colours = [np.asarray(image, np.int16)[MIDDLES] for image in (wanted, got)]
        assert np.abs(colours[0] - colours[1]).max() <= NEAR


@pytest.mark.parametrize(("form", "codec"), [("mp4", "h264"), ("webm", "vp9")])
@pytest.mark.parametrize(("fps", "rate"), [(8.0, "8"), (29.97, "2997/100"), (24000 / 1001, "24000/1001")])
def test_a_film_is_of_its_codec_and_has_all_frames_at_their_rate(
    form: FilmForm, codec: str, fps: float, rate: str
) -> None:
    name, found, count = about(film(moving(9), float(np.float32(fps)), form))
    assert (codec, 9) == (name, count)
    # WebM counts in milliseconds.
    assert rate == str(found) or (form == "webm" and abs(fps - found) < 0.1)


@pytest.mark.parametrize("form", FORMS)
def test_equal_frames_give_equal_bytes(form: FilmForm) -> None:
    assert film(moving(6), 8, form) == film(moving(6), 8, form)


@pytest.mark.parametrize(
    ("form", "size"), [("mp4", (64, 48)), ("webm", (63, 47)), ("gif", (63, 47))], ids=FORMS
)
def test_odd_sides_are_filled_up_where_the_form_needs_even_ones(
    form: FilmForm, size: tuple[int, int]
) -> None:
    drawn = [image.crop((0, 0, 63, 47)) for image in moving(2)]
    (found,) = read(film(drawn, 8, form), 1)
    assert size == found.size
    corners = [(0, 0), (62, 0), (0, 46), (62, 46)]
    last = [(min(x + 1, size[0] - 1), min(y + 1, size[1] - 1)) for x, y in corners]
    for corner, place in zip(corners, last, strict=True):
        wanted, got = (np.array(value, int) for value in (drawn[0].getpixel(corner), found.getpixel(place)))
        assert np.abs(wanted - got).max() <= NEAR


@pytest.mark.parametrize("count", [1, 100, 1000])
def test_an_mp4_has_its_index_before_its_frames_however_many_they_are(count: int) -> None:
    names = boxes(film([picture(16, 16)] * count, 120, "mp4"))
    assert names.index(b"moov") < names.index(b"mdat")


@pytest.mark.parametrize("fps", [8, 12.5, 24, 29.97, 50])
def test_a_gif_keeps_time_though_its_frames_are_rounded(fps: float) -> None:
    found = durations(film(moving(12), fps, "gif"))
    assert 12 == len(found)
    assert abs(sum(found) - 12_000 / fps) <= 5
    assert {0, 10} >= {abs(one - other) for one, other in pairwise(found)}


def test_a_gif_is_never_so_fast_that_browsers_take_it_for_slow() -> None:
    assert [20] * 6 == durations(film(moving(6), 120, "gif"))


@pytest.mark.parametrize("form", CODED)
def test_without_av_a_film_is_refused_in_words_that_help_and_a_gif_is_written(
    form: FilmForm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(films, "find_spec", lambda name: None)
    with pytest.raises(
        InvalidInputError, match=rf"writing {form} needs the package av.*standpipe\[video\]"
    ) as caught:
        films.check_form(form, "format")
    assert "format" == caught.value.field
    with pytest.raises(InvalidInputError, match="needs the package av"):
        film(moving(2), 8, form)
    assert 2 == len(durations(film(moving(2), 8, "gif")))
