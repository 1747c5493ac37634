"""StreamTranscribeAudio: what is said while it is said, by asking TranscribeAudio's model time and again.

What isn't settled yet is read anew whenever a second of sound has come; what a model reads at once, thirty
seconds, settles all segments but the last, which begins the next window: so does Whisper go through a long
file. Not aware of gRPC, of time, or of who asks the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from standpipe.v1 import audio_pb2
from standpipe_server.errors import InvalidInputError, LimitExceededError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.media.audio import RawEncoding, raw_samples
from standpipe_server.media.resampling import StreamResampler
from standpipe_server.programs import Floats
from standpipe_server.tasks.base import InputLimits, LiveTask, known, optional
from standpipe_server.tasks.transcribe_audio import (
    TASKS_OF_WHISPER,
    TRANSCRIBE_AUDIO,
    Heard,
    Part,
    TranscribeParameters,
    to_part,
    to_transcript,
)

_RATE = 16000
_WINDOW = 30 * _RATE
# Samples that must have come since the last look, so that looking again is worth while.
_STEP = _RATE
# Unread sound from which on no more is taken in: the caller is faster than the model.
_BACKLOG = 2 * _WINDOW

_PIECE = 1 << 20
"""Bytes of one message, seconds to a minute of sound: bringing it to the model's rate mustn't take long."""

_ENCODINGS: dict[int, RawEncoding] = {
    audio_pb2.AUDIO_ENCODING_UNSPECIFIED: "pcm16",
    audio_pb2.AUDIO_ENCODING_PCM16: "pcm16",
    audio_pb2.AUDIO_ENCODING_FLOAT32: "float32",
}


@dataclass(frozen=True, slots=True)
class Samples:
    """Sound that was decoded before."""

    values: Floats

    def samples(self, rate: int) -> Floats:
        """It, at the rate that it has.

        Raises:
            InvalidInputError: The model reads another one.
        """
        if rate != _RATE:
            raise InvalidInputError(
                f"the model reads {rate} samples a second, and streams have {_RATE}", "model"
            )
        return self.values


class TranscriptionSession:
    """One stream of sound; see ``base.Session``.

    Args:
        request: The first message, which has the config.
        limits: How long it may be.
    """

    def __init__(self, request: audio_pb2.StreamTranscribeAudioRequest, limits: InputLimits) -> None:
        if request.WhichOneof("content") != "config":
            raise InvalidInputError("the first message has no config", "config")
        config = request.config
        rate = optional(config, "sample_rate", _RATE)
        if not 8000 <= rate <= limits.max_sample_rate:
            raise InvalidInputError(
                f"{rate} isn't from 8000 to max_sample_rate = {limits.max_sample_rate}", "config.sample_rate"
            )
        self._channels = optional(config, "channels", 1)
        if not 1 <= self._channels <= limits.max_channels:
            raise InvalidInputError(
                f"{self._channels} isn't from 1 to max_channels = {limits.max_channels}", "config.channels"
            )
        self._encoding = known(_ENCODINGS, config.encoding, "config.encoding")
        self._interim = optional(config, "interim_results", True)
        self._parameters = TranscribeParameters(
            timestamps="any",
            language=optional(config, "language", None),
            task=known(TASKS_OF_WHISPER, config.task, "config.task"),
            within="config.",
        )
        self._quick = replace(self._parameters, timestamps=False, quick=True)
        self._resampler = StreamResampler(rate, _RATE)
        self._max_seconds = limits.max_seconds
        self._pieces: list[Floats] = []
        self._waiting = 0
        self._begin = 0
        self._looked = 0
        self._ended = False
        self._asked: Literal["interim", "window", "rest"] = "interim"
        self._settled: list[Part] = []
        self.done = False

    @property
    def full(self) -> bool:
        return self._waiting >= _BACKLOG

    def add(self, request: audio_pb2.StreamTranscribeAudioRequest) -> None:
        if request.WhichOneof("content") != "audio":
            raise InvalidInputError("only the first message may have something else than audio", "audio")
        if not request.audio:
            raise InvalidInputError("the piece is empty", "audio")
        check_limit(len(request.audio), "audio", "piece_bytes", _PIECE, "bytes of one piece")
        self._take_in(
            self._resampler.feed(raw_samples(request.audio, self._encoding, self._channels, "audio"))
        )

    def end(self) -> None:
        self._take_in(self._resampler.finish())
        if not self._begin + self._waiting:
            raise InvalidInputError("the stream has no sound in it", "audio")
        self._ended = True

    def next(self) -> Call | None:
        # Something is left for the end to say, so that it isn't asked about nothing.
        if self._waiting >= _WINDOW + _STEP:
            return self._call("window", _WINDOW)
        if self._ended:
            return self._call("rest", self._waiting)
        if self._interim and self._waiting - self._looked >= _STEP:
            self._looked = self._waiting
            return self._call("interim", self._waiting)
        return None

    def take(self, output: Output) -> list[audio_pb2.StreamTranscribeAudioResponse]:
        heard: Heard = output.value
        start = self._begin / _RATE
        parts = [Part(part.text, part.start + start, part.end + start) for part in heard.parts if part.text]
        if self._asked == "interim":
            part = Part(heard.text, start, start + heard.duration)
            return [audio_pb2.StreamTranscribeAudioResponse(interim=to_part(part))] if heard.text else []
        self.done = self._asked == "rest"
        # Where a window ends, its last segment may be cut short: it is read again with what follows.
        kept, read = (parts, self._waiting) if self.done else self._window(parts)
        self._settle(kept, read)
        messages = [audio_pb2.StreamTranscribeAudioResponse(segment=to_part(part)) for part in kept]
        return [*messages, self._result()] if self.done else messages

    def _window(self, parts: list[Part]) -> tuple[list[Part], int]:
        """What a window settles, and how many samples that takes off.

        Its last segment may be cut short, and is read again with what follows; where the times don't say from
        where on, all of it is settled.
        """
        read = round(parts[-2].end * _RATE) - self._begin if len(parts) > 1 else 0
        return (parts[:-1], read) if _STEP <= read <= _WINDOW else (parts, _WINDOW)

    def _take_in(self, samples: Floats) -> None:
        self._pieces.append(samples)
        self._waiting += len(samples)
        seconds = (self._begin + self._waiting) / _RATE
        if seconds > self._max_seconds:
            raise LimitExceededError(
                f"more than {self._max_seconds:g} seconds of sound exceed the limit max_seconds",
                "audio",
                limit="max_seconds",
                value=f"{self._max_seconds:g}",
            )

    def _call(self, asked: Literal["interim", "window", "rest"], count: int) -> Call:
        self._asked = asked
        whole = np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.float32)
        self._pieces = [whole]
        # What is only shown needn't be the best of five.
        parameters = self._quick if asked == "interim" else self._parameters
        return Call(Samples(whole[:count]), parameters, "audio")

    def _settle(self, parts: Sequence[Part], read: int) -> None:
        self._settled += parts
        # More may have come meanwhile.
        self._pieces = [np.concatenate(self._pieces)[read:]]
        read = min(read, self._waiting)
        self._waiting -= read
        self._begin += read
        self._looked = 0

    def _result(self) -> audio_pb2.StreamTranscribeAudioResponse:
        text = " ".join(part.text for part in self._settled)
        heard = Heard(text, tuple(self._settled), self._begin / _RATE)
        return audio_pb2.StreamTranscribeAudioResponse(result=to_transcript(heard))


STREAM_TRANSCRIBE_AUDIO = LiveTask(
    task=TRANSCRIBE_AUDIO,
    rpc="standpipe.v1.AudioService.StreamTranscribeAudio",
    request=audio_pb2.StreamTranscribeAudioRequest,
    response=audio_pb2.StreamTranscribeAudioResponse,
    session=TranscriptionSession,
)
