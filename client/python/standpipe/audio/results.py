"""What the methods of AudioService return, where it isn't a label. Times are in seconds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from standpipe.audio.options import AudioFormatName
from standpipe.pcm import pcm_of, unpacked, wav


@dataclass(frozen=True, slots=True)
class TranscriptPart:
    """A part of a transcript: a segment, or a word.

    Attributes:
        text: The words.
        start: Where it begins.
        end: Where it ends.
    """

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said in a sound.

    Attributes:
        text: The words.
        parts: Segments or words, as ``timestamps`` says; of a stream its settled segments.
        duration: Length of the sound.
    """

    text: str
    parts: tuple[TranscriptPart, ...]
    duration: float


@dataclass(frozen=True, slots=True)
class TranscriptEvent:
    """What is heard while it is still being said.

    Attributes:
        text: The words.
        start: Where they begin, from the beginning of the stream.
        end: Where they end.
        settled: It is a segment that stays; else what is heard after the last one, for which the next event
            may have other words.
    """

    text: str
    start: float
    end: float
    settled: bool


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound that was made.

    Attributes:
        content: Its samples, or a file, as ``format`` says.
        sample_rate: Samples a second.
        channels: How many it has.
        duration: Its length.
        format: "pcm16" for samples alone, little-endian, signed, of 16 bits; else of which kind the file is.
    """

    content: bytes = field(repr=False)
    sample_rate: int
    channels: int
    duration: float
    format: AudioFormatName

    @property
    def samples(self) -> NDArray[np.float32]:
        """Its samples from -1 to 1: (n,), or (n, channels) where there are several. A new array each time.

        Raises:
            ValueError: It is a file that takes a library to read, such as soundfile: FLAC or Ogg.
        """
        return unpacked(self._packed("read"), self.channels)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a file, samples alone as WAV.

        Raises:
            OSError: It can't be written.
        """
        samples = self.format == "pcm16"
        Path(path).write_bytes(
            wav(self.content, self.sample_rate, self.channels) if samples else self.content
        )

    def _packed(self, what: str) -> bytes:
        """Its samples as bytes; ``what`` is done with them, for errors."""
        if self.format not in _PACKED:
            raise ValueError(f"a sound in {self.format} can't be {what} here: ask for pcm16 or wav")
        return _PACKED[self.format](self.content)


_PACKED: dict[AudioFormatName, Callable[[bytes], bytes]] = {"pcm16": bytes, "wav": pcm_of}


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """A sentence, spoken.

    Attributes:
        text: Its words.
        sound: Its sound.
    """

    text: str
    sound: Sound


def joined(sounds: Sequence[Sound]) -> Sound:
    """Sounds of one format, one after the other, as one.

    Raises:
        ValueError: There is none, or they are files that take a library to read.
    """
    if not sounds:
        raise ValueError("there is no sound: not one sentence was spoken")
    first = sounds[0]
    content = b"".join(sound._packed("joined") for sound in sounds)
    if first.format == "wav":
        content = wav(content, first.sample_rate, first.channels)
    duration = sum(sound.duration for sound in sounds)
    return Sound(content, first.sample_rate, first.channels, duration, first.format)
