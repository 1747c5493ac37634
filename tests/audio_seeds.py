"""Small audio files of every kind that is read: for hostile ones to be made of."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import soundfile
from numpy.typing import NDArray

SECONDS = 0.25
RATE = 16_000

_KINDS = (
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
)


def audio_seeds() -> dict[str, bytes]:
    """Files by a name of their own, with one channel and with two."""
    return {
        f"{container.lower()}-{coding.lower()}-{channels}": audio_file(
            tone(440.0, RATE, SECONDS, channels), RATE, container, coding
        )
        for container, coding in _KINDS
        for channels in (1, 2)
    }


def tone(frequency: float, rate: int, seconds: float, channels: int = 1) -> NDArray[np.float32]:
    """A sine of half the full scale: (frames, channels), the same in each."""
    places = np.arange(round(rate * seconds)) / rate
    wave = 0.5 * np.sin(2 * np.pi * frequency * places)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def audio_file(frames: NDArray[np.float32], rate: int, container: str, coding: str) -> bytes:
    """A file of frames (frames, channels)."""
    content = BytesIO()
    with soundfile.SoundFile(content, "w", rate, frames.shape[1], coding, format=container) as file:
        for place in range(0, len(frames), 4096):  # libvorbis can't take much at once
            file.write(frames[place : place + 4096])
    return content.getvalue()
