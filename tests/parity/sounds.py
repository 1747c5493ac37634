"""Sounds for requests, as files in the contract's own JSON: glides and noise, always the same.

Not aware of tasks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_seeds import audio_file
from parity.pictures import File, file_of

RATE = 16_000


def waves(seconds: float, seed: int = 0, *, rate: int = RATE, channels: int = 1) -> NDArray[np.float32]:
    """Frames (frames, channels) of a sound that is different everywhere, and in each channel."""
    random = np.random.default_rng(seed)
    count = round(seconds * rate)
    time = np.arange(count)[:, None] / rate
    low, high = np.sort(random.uniform(150, 3000, (2, channels)), axis=0)
    glides = np.sin(2 * np.pi * (low + (high - low) * time / seconds / 2) * time)
    swells = 0.3 + 0.2 * np.sin(2 * np.pi * random.uniform(1, 5, channels) * time)
    frames: NDArray[np.float32] = (glides * swells + random.normal(0, 0.03, glides.shape)).astype(np.float32)
    return frames


def sound(
    seconds: float,
    seed: int = 0,
    container: str = "WAV",
    coding: str = "PCM_16",
    *,
    rate: int = RATE,
    channels: int = 1,
) -> File:
    """A file of it."""
    return file_of(audio_file(waves(seconds, seed, rate=rate, channels=channels), rate, container, coding))
