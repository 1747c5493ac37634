"""Frames to film files.

All but GIF needs the package av, which is imported where a film is written. Not aware of messages, models
or tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from io import BytesIO
from itertools import pairwise
from typing import Any, Literal

from PIL import Image

from standpipe_server.errors import InvalidInputError

FilmForm = Literal["mp4", "webm", "gif"]

LONGEST_FILM_SIDES: Mapping[str, int] = {"mp4": 16_384, "webm": 65_535, "gif": 65_535}
"""In pixels."""

# The model took far longer to draw the film; and as many everywhere, for the bytes depend on them.
_THREADS = 2
# The usual ones are written exactly, such as 24000/1001; what a float of 32 bits adds to them is not.
_MAX_DIVISOR = 1001
# BT.709, of limited range, in the numbers of the codecs' standard: players differ in what they take a film
# for that doesn't say.
_BT709, _LIMITED = 1, 1
# Bytes that an MP4's index takes at most. It stands before the frames: a player needn't wait for their end.
_INDEX, _INDEX_OF_FRAME = 4096, 64
# Browsers take a GIF's frame of less than two hundredths of a second for one of ten.
_LEAST = 2


@dataclass(frozen=True, slots=True)
class _Coding:
    """How films of a form are written.

    Attributes:
        container: As FFmpeg calls it.
        codec: Likewise.
        options: Of the codec: as good as the eye can tell, in a fraction of the time that drawing took.
        multiple: What both sides of a frame must be multiples of.
        indexed: It has an index, for which room is left at its beginning.
    """

    container: str
    codec: str
    options: Mapping[str, str]
    multiple: int = 1
    indexed: bool = False


_CODINGS: Mapping[FilmForm, _Coding] = {
    "mp4": _Coding("mp4", "libx264", {"crf": "18"}, multiple=2, indexed=True),
    "webm": _Coding("webm", "libvpx-vp9", {"crf": "24", "cpu-used": "4", "row-mt": "1"}),
}


def check_form(form: FilmForm, field: str) -> None:
    """Refuse a form that can't be written here, before anything is drawn for it.

    Raises:
        InvalidInputError: It needs what isn't installed, naming the field.
    """
    if form in _CODINGS and find_spec("av") is None:
        raise InvalidInputError(
            f"writing {form} needs the package av, which this server lacks: ask for gif, or let it be "
            "installed there (pip install 'standpipe[video]')",
            field,
        )


def film(frames: Sequence[Image.Image], fps: float, form: FilmForm) -> bytes:
    """A film file; the same bytes for the same frames.

    Args:
        frames: At least one; RGB, of one size. Where the form takes even sides only (mp4), an odd one gets
            its last row or column twice.
        fps: Frames a second. A GIF counts in hundredths of a second and shows 50 at most: beyond that it
            takes longer. Frames that are equal become one there, which stays as long.
        form: What is written: H.264 in MP4, VP9 in WebM, or GIF.

    Raises:
        InvalidInputError: The form needs what isn't installed.
    """
    check_form(form, "")
    coding = _CODINGS.get(form)
    return _gif(frames, fps) if coding is None else _encoded(frames, fps, coding)


def _gif(frames: Sequence[Image.Image], fps: float) -> bytes:
    ends = [round(100 * place / fps) for place in range(len(frames) + 1)]
    durations = [10 * max(_LEAST, end - start) for start, end in pairwise(ends)]
    file = BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return file.getvalue()


def _encoded(frames: Sequence[Image.Image], fps: float, coding: _Coding) -> bytes:
    import av

    # Else the names of versions are in the file, and numbers drawn at random.
    options = {"fflags": "+bitexact"}
    if coding.indexed:
        options["moov_size"] = str(_INDEX + _INDEX_OF_FRAME * len(frames))
    file = BytesIO()
    with av.open(file, "w", format=coding.container, options=options) as container:
        stream = container.add_stream(
            coding.codec,
            rate=Fraction(fps).limit_denominator(_MAX_DIVISOR),
            options={**coding.options, "flags": "+bitexact"},
        )
        _describe(stream, _padded(frames[0], coding.multiple).size)
        for frame in frames:
            image = av.VideoFrame.from_image(_padded(frame, coding.multiple))
            container.mux(
                stream.encode(
                    image.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED)
                )
            )
        container.mux(stream.encode())
    return file.getvalue()


def _describe(stream: Any, size: tuple[int, int]) -> None:
    """Say what the frames of a stream are."""
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    # As many as the quality takes.
    stream.bit_rate = 0
    coder = stream.codec_context
    coder.thread_count = _THREADS
    coder.colorspace = coder.color_primaries = coder.color_trc = _BT709
    coder.color_range = _LIMITED


def _padded(image: Image.Image, multiple: int) -> Image.Image:
    """An image whose sides are multiples of that, its last row and column repeated where need be."""
    width, height = (-(-side // multiple) * multiple for side in image.size)
    if (width, height) == image.size:
        return image
    padded = image.crop((0, 0, width, height))
    padded.paste(padded.crop((image.width - 1, 0, image.width, height)), (image.width, 0))
    padded.paste(padded.crop((0, image.height - 1, width, image.height)), (0, image.height))
    return padded
