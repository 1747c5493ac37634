"""Images, videos and sounds as callers have them, to messages of the contract.

Needs Pillow for images that aren't files yet, and imports it only then. Not aware of any RPC; whether a file
is an image, or a sound, is for the server to say.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from standpipe.pcm import Samples, encoding_of, packed, wav
from standpipe.v1 import common_pb2, vision_pb2


@runtime_checkable
class PilImage(Protocol):
    """An image of Pillow, known by what it can do, so that Pillow needn't be there to look."""

    @property
    def mode(self) -> str:
        """How its pixels are laid out, such as "RGB"."""

    def convert(self, mode: str) -> Any:
        """The image in another mode."""

    def getexif(self) -> Any:
        """What its file said beside the pixels."""

    def save(self, fp: IO[bytes], format: str | None = None, **params: Any) -> None:  # noqa: A002 - Pillow's
        """Write it as a file."""


FileSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview
"""A path, an http or https address (as text), or the bytes of a file."""

ImageSource: TypeAlias = FileSource | PilImage | NDArray[np.uint8] | common_pb2.Image
"""An image: a file, an image of Pillow, or an array (height, width), (height, width, 3) or (…, 4)."""

Images: TypeAlias = Sequence[ImageSource] | NDArray[np.uint8]
"""Several images, maybe in one array (n, height, width, 3) or (…, 4)."""

VideoSource: TypeAlias = FileSource | vision_pb2.Video
"""A video file."""

AudioSource: TypeAlias = FileSource | tuple[Samples, int] | common_pb2.Audio
"""A sound: a file, or samples (n,) or (n, channels) and how many there are a second."""

# What isinstance may be asked.
_File = str | os.PathLike | bytes | bytearray | memoryview  # type: ignore[type-arg] # which isinstance refuses

_SCHEMES = ("http://", "https://")
_FILES = "a path, an http(s) address, the bytes of a file"

# What PNG has, for every pixel the same. The server makes RGB of everything, as this does of the rest.
_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"}
# Higher levels take much longer and save little: photographs don't shrink, and the way is short.
_PNG_LEVEL = 1

_CHANNELS = (3, 4)

# What the header of a WAV file can hold.
_MAX_RATE = (1 << 32) - 1


def image_messages(name: str, images: Images) -> list[common_pb2.Image]:
    """Images as messages.

    Args:
        name: Of the argument, for errors.
        images: Several.

    Raises:
        TypeError: It is one image, or one of them is nothing that an image may be.
        ValueError: An array is of the wrong type or shape, or Pillow can't write an image.
        OSError: A file can't be read.
        ImportError: Pillow is needed, and isn't installed.
    """
    if isinstance(images, np.ndarray):
        if images.ndim < 4:
            shape = f"one array of shape {images.shape}"
            raise TypeError(f"{name} is {shape}; send a list: [image], or an array (n, height, width, 3)")
    elif isinstance(images, _File | PilImage | common_pb2.Image):
        raise TypeError(f"{name} is one image; send a list: [image]")
    return [image_message(image, f"{name}[{index}]") for index, image in enumerate(images)]


def image_message(image: ImageSource, place: str) -> common_pb2.Image:
    """An image as a message; errors as for ``image_messages``.

    Args:
        image: The image.
        place: Where the caller has it, for errors.
    """
    if isinstance(image, common_pb2.Image):
        return image
    if isinstance(image, np.ndarray):
        return common_pb2.Image(content=_array_as_png(image, place))
    if isinstance(image, PilImage):
        return common_pb2.Image(content=_as_png(image, place))
    return common_pb2.Image(**_file(image, place, f"{_FILES}, an image of Pillow, an array, or an Image"))


def video_messages(name: str, videos: Sequence[VideoSource]) -> list[vision_pb2.Video]:
    """Videos as messages.

    Args:
        name: Of the argument, for errors.
        videos: Several.

    Raises:
        TypeError: It is one video, or one of them is nothing that a video may be.
        OSError: A file can't be read.
    """
    if isinstance(videos, _File | vision_pb2.Video):
        raise TypeError(f"{name} is one video; send a list: [video]")
    return [_video_message(video, f"{name}[{index}]") for index, video in enumerate(videos)]


def _video_message(video: VideoSource, place: str) -> vision_pb2.Video:
    if isinstance(video, vision_pb2.Video):
        return video
    return vision_pb2.Video(**_file(video, place, f"{_FILES}, or a Video"))


def audio_messages(name: str, audios: Sequence[AudioSource]) -> list[common_pb2.Audio]:
    """Sounds as messages; samples are sent as WAV, without loss.

    Args:
        name: Of the argument, for errors.
        audios: Several.

    Raises:
        TypeError: It is one sound, or one of them is nothing that a sound may be.
        ValueError: An array is of the wrong type or shape, or its sample rate can't be one.
        OSError: A file can't be read.
    """
    one = isinstance(audios, tuple) and len(audios) == 2 and isinstance(audios[0], np.ndarray)
    if one or isinstance(audios, _File | np.ndarray | common_pb2.Audio):
        raise TypeError(f"{name} is one sound; send a list: [audio], or [(samples, sample_rate)]")
    return [_audio_message(audio, f"{name}[{index}]") for index, audio in enumerate(audios)]


def _audio_message(audio: AudioSource, place: str) -> common_pb2.Audio:
    if isinstance(audio, common_pb2.Audio):
        return audio
    if isinstance(audio, np.ndarray):
        raise TypeError(f"{place} is an array without its sample rate; send (samples, sample_rate)")
    if isinstance(audio, tuple):
        return common_pb2.Audio(content=_samples_as_wav(audio, place))
    return common_pb2.Audio(**_file(audio, place, f"{_FILES}, (samples, sample_rate), or an Audio"))


def _samples_as_wav(audio: tuple[Any, ...], place: str) -> bytes:
    if len(audio) != 2 or not isinstance(audio[0], np.ndarray):
        kinds = ", ".join(type(part).__name__ for part in audio)
        raise TypeError(f"{place} is a tuple of ({kinds}); it may be: (samples, sample_rate), with an array")
    samples, rate = audio
    if not hasattr(rate, "__index__"):
        raise TypeError(f"{place} has the sample rate {rate!r}; send a whole number")
    if not 1 <= rate <= _MAX_RATE:
        raise ValueError(f"{place} has the sample rate {rate}; send how many samples there are a second")
    encoding = encoding_of(samples, place)
    # More channels than samples: they came the other way round.
    if samples.ndim not in {1, 2} or not samples.size or samples[0].size > len(samples):
        known = "(n,) or (n, channels)"
        raise ValueError(f"{place} is an array of shape {samples.shape}; send one of shape {known}")
    return wav(packed(samples, encoding), int(rate), samples[0].size, encoding)


def _file(source: FileSource, place: str, known: str) -> dict[str, Any]:
    """The field of a message that holds a file, and what it holds."""
    if isinstance(source, str) and source[: len("https://")].lower().startswith(_SCHEMES):
        return {"uri": source}
    if isinstance(source, str | os.PathLike):
        return {"content": _read(source, place)}
    if isinstance(source, bytes | bytearray | memoryview):
        return {"content": bytes(source)}
    raise TypeError(f"{place} is of type {type(source).__name__!r}; it may be: {known}")


def _read(path: str | os.PathLike[str], place: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        # Of the same class: OSError looks at the number.
        raise OSError(error.errno, f"{place}: {error.strerror}", os.fspath(path)) from error


def _array_as_png(array: NDArray[Any], place: str) -> bytes:
    if array.dtype != np.uint8:
        raise ValueError(f"{place} is an array of {array.dtype}; send one of uint8, from 0 to 255")
    colours = array.ndim == 3 and array.shape[2] in _CHANNELS
    if not (array.ndim == 2 or colours) or not array.size:
        known = "(height, width), (height, width, 3) or (height, width, 4)"
        raise ValueError(f"{place} is an array of shape {array.shape}; send one of shape {known}")
    return _png(pillow(f"{place} is an array, which").Image.fromarray(array))


def _as_png(image: PilImage, place: str) -> bytes:
    """The image as the file that it came from would be seen: turned as EXIF says."""
    library = pillow(f"{place} is an image of Pillow, which")
    try:
        upright = library.ImageOps.exif_transpose(image)
        return _png(upright if upright.mode in _PNG_MODES else upright.convert("RGB"))
    # Pillow reads a file late, and decoders stumble in many ways.
    except Exception as error:
        raise ValueError(f"{place} can't be written as a PNG: {error}") from error


def _png(image: PilImage) -> bytes:
    file = BytesIO()
    # A colour profile isn't looked at, and may be larger than the pixels.
    image.save(file, "PNG", compress_level=_PNG_LEVEL, icc_profile=None)
    return file.getvalue()


def pillow(what: str) -> ModuleType:
    """The library.

    Args:
        what: What needs it, for errors.

    Raises:
        ImportError: It isn't installed.
    """
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        raise ImportError(f"{what} needs Pillow: pip install 'standpipe[images]'") from error
    return PIL
