"""Samples to bytes and back, as they travel: raw, or as a WAV file.

Not aware of messages, files on disk or the network.
"""

from __future__ import annotations

import wave
from io import BytesIO
from struct import pack
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.int16 | np.float32 | np.float64]
"""Samples (n,) or (n, channels): of a float type from -1 to 1, or int16."""

EncodingName = Literal["pcm16", "float32"]
"""How samples travel that have no header: little-endian, signed, of 16 bits, or float32."""

TYPES: dict[EncodingName, np.dtype[Any]] = {"pcm16": np.dtype("<i2"), "float32": np.dtype("<f4")}
"""What one sample is."""

# float64 is what most readers of files give; more than float32 has of it nobody hears.
_ENCODINGS: dict[str, EncodingName] = {"int16": "pcm16", "float32": "float32", "float64": "float32"}

# What a WAV file calls them.
_TAGS: dict[EncodingName, int] = {"pcm16": 1, "float32": 3}
_HEADER = "<4sI4s4sIHHIIHH4sI"
_HEADER_LEFT = 36  # of which RIFF's length counts what follows it

_LOUDEST = np.float32(32768)


def encoding_of(samples: Samples, place: str) -> EncodingName:
    """How samples travel without loss.

    Args:
        samples: Of any shape.
        place: Where the caller has them, for errors.

    Raises:
        ValueError: They are of a type that doesn't say what is loud.
    """
    encoding = _ENCODINGS.get(samples.dtype.name)
    if encoding is None:
        known = "float32, from -1 to 1, or int16"
        raise ValueError(f"{place} is an array of {samples.dtype}; send one of {known}")
    return encoding


def packed(samples: Samples, encoding: EncodingName) -> bytes:
    """Samples as bytes, those of one moment side by side."""
    return samples.astype(TYPES[encoding], order="C", copy=False).tobytes()


def wav(content: bytes, sample_rate: int, channels: int, encoding: EncodingName = "pcm16") -> bytes:
    """Packed samples as a file; ``wave`` of the standard library writes no floats."""
    size = TYPES[encoding].itemsize
    header = (
        *(b"RIFF", _HEADER_LEFT + len(content), b"WAVE"),
        *(b"fmt ", 16, _TAGS[encoding], channels, sample_rate, sample_rate * channels * size),
        *(channels * size, 8 * size, b"data", len(content)),
    )
    return pack(_HEADER, *header) + content


def pcm_of(content: bytes) -> bytes:
    """The samples of a WAV file of 16 bits, packed.

    Raises:
        ValueError: It is none.
    """
    try:
        with wave.open(BytesIO(content)) as file:
            size, samples = file.getsampwidth(), bytes(file.readframes(file.getnframes()))
    except (wave.Error, EOFError) as error:
        raise ValueError(f"the sound can't be read as WAV: {str(error) or 'it ends early'}") from error
    if size != TYPES["pcm16"].itemsize:
        raise ValueError(f"the sound has samples of {8 * size} bits; what can be read here has 16")
    return samples


def unpacked(content: bytes, channels: int) -> NDArray[np.float32]:
    """Packed samples of 16 bits as float32 from -1 to 1: (n,), or (n, channels) where there are several."""
    samples = np.frombuffer(content, TYPES["pcm16"]).astype(np.float32) / _LOUDEST
    return samples.reshape(-1, channels) if channels > 1 else samples
