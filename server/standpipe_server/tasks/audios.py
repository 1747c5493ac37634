"""What the tasks that read or make sound share: messages to files whose beginning was checked, and back."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from standpipe.v1 import audio_pb2, common_pb2
from standpipe_server.errors import InvalidInputError, LimitExceededError
from standpipe_server.interfaces import Call
from standpipe_server.media.audio import (
    AudioFileLimits,
    AudioFormat,
    EncodedAudio,
    encode_audio,
    encoded_audio,
)
from standpipe_server.programs import Floats
from standpipe_server.tasks.base import InputLimits, check_count

MOST_SECONDS = 120
"""That are read in one go: what a model takes for that grows with them, or with their square."""

_SHORT = 0.1
"""Seconds that some models' windows don't fit in."""

FORMATS: dict[int, AudioFormat] = {
    audio_pb2.AUDIO_FORMAT_UNSPECIFIED: "wav",
    audio_pb2.AUDIO_FORMAT_WAV: "wav",
    audio_pb2.AUDIO_FORMAT_FLAC: "flac",
    audio_pb2.AUDIO_FORMAT_OGG: "ogg",
    audio_pb2.AUDIO_FORMAT_PCM16: "pcm16",
}


def audio_calls(audios: Sequence[common_pb2.Audio], parameters: Hashable, limits: InputLimits) -> list[Call]:
    """A call for each sound of the field ``audios``.

    Raises:
        InvalidInputError: There are none, too many, or one that can't be a sound.
    """
    check_count(audios, "audios", limits)
    fields = [f"audios[{index}]" for index in range(len(audios))]
    return [
        Call(encoded_audio(audio.content, f"{field}.content", limits.audio_file), parameters, field)
        for audio, field in zip(audios, fields, strict=True)
    ]


def audio_cost(call: Call) -> int:
    """One: how long a sound is, only decoding tells."""
    return 1


def check_length(samples: Floats, rate: int) -> None:
    """Refuse a sound that a model which reads it in one go couldn't hold.

    Raises:
        LimitExceededError: It is too long, naming the limit.
    """
    if len(samples) > MOST_SECONDS * rate:
        raise LimitExceededError(
            f"{len(samples) / rate:.0f} seconds exceed the {MOST_SECONDS} that the model reads in one go",
            limit="seconds_in_one_go",
            value=str(MOST_SECONDS),
        )


@contextmanager
def hearable(samples: Floats, rate: int) -> Iterator[None]:
    """Take what the library says of a sound's length for the caller's fault.

    Raises:
        InvalidInputError: The model can't read a sound of that length.
    """
    seconds = len(samples) / rate
    try:
        yield
    except (ValueError, RuntimeError) as error:
        # A sound that is shorter than a model's windows fails as whatever else may.
        if isinstance(error, RuntimeError) and seconds > _SHORT:
            raise
        raise InvalidInputError(f"the model can't read {seconds:.3g} seconds: {error}") from error


def to_message(samples: Floats, rate: int, form: AudioFormat) -> audio_pb2.GeneratedAudio:
    """A sound (samples,), or (channels, samples), as the contract has it; not for the event loop."""
    channels = 1 if samples.ndim == 1 else len(samples)
    return audio_pb2.GeneratedAudio(
        content=encode_audio(samples, rate, form),
        sample_rate=rate,
        channels=channels,
        duration=samples.shape[-1] / rate,
    )


def sample_audio(seconds: float = 1.0, rate: int = 16000) -> EncodedAudio:
    """A short sound for a fresh model: a fading tone."""
    time = np.arange(int(seconds * rate), dtype=np.float32) / rate
    tone = (0.3 * np.sin(2 * np.pi * 440 * time) * np.exp(-3 * time)).astype(np.float32)
    return EncodedAudio(encode_audio(tone, rate, "wav"), AudioFileLimits(), "audios[0]")


def audio_warm_up(parameters: Hashable) -> list[list[Call]]:
    """A batch for a fresh model."""
    return [[Call(sample_audio(), parameters, "audios[0]")]]
