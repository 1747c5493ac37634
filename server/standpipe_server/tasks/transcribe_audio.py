"""TranscribeAudio: what is said in sounds, through the library's own pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from standpipe.v1 import audio_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import SPEECH_RECOGNIZER
from standpipe_server.programs import Floats
from standpipe_server.tasks.audios import audio_calls, audio_cost, audio_warm_up, check_length, hearable
from standpipe_server.tasks.base import InputLimits, Task, known, optional
from standpipe_server.tasks.writing import options

Timestamps = Literal["word", "any"] | bool

TASKS_OF_WHISPER: dict[int, str | None] = {
    audio_pb2.TRANSCRIPTION_TASK_UNSPECIFIED: None,
    audio_pb2.TRANSCRIPTION_TASK_TRANSCRIBE: "transcribe",
    audio_pb2.TRANSCRIPTION_TASK_TRANSLATE: "translate",
}
_TIMESTAMPS: dict[int, Timestamps] = {
    audio_pb2.TIMESTAMP_GRANULARITY_UNSPECIFIED: False,
    audio_pb2.TIMESTAMP_GRANULARITY_SEGMENT: True,
    audio_pb2.TIMESTAMP_GRANULARITY_WORD: "word",
}
# Seconds that models without a way of their own through long sounds read at once.
_WINDOW = 30.0
# Seconds for a short sound, on a slow machine.
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a transcript: its words, and from when to when, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What is said in a sound.

    Attributes:
        text: The words.
        parts: Segments or words, where they were asked for.
        duration: Of the sound, in seconds.
    """

    text: str
    parts: tuple[Part, ...]
    duration: float


@dataclass(frozen=True, slots=True)
class TranscribeParameters:
    """How to write down.

    Attributes:
        timestamps: Whether to say when what was said, as the library calls it; "any" for whatever it has.
        language: That is spoken; None for what the model hears.
        task: As Whisper calls it; None for what the model's files say.
        options: Keyword arguments of ``generate``.
        chunk_length: Seconds of windows; None for the model's own way.
        quick: The likeliest words will do, whatever else there might be; options are for models that have
            them.
        within: Path of the message that has language and task, with a dot behind it.
    """

    timestamps: Timestamps = False
    language: str | None = None
    task: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    chunk_length: float | None = None
    quick: bool = False
    within: str = ""


class TranscribeHead:
    """Asks the pipeline. A call's input has ``samples``, which gives the sound at the model's rate."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._rate: int = pipeline.feature_extractor.sampling_rate
        self._whisper = pipeline.type == "seq2seq_whisper"
        self._writes = pipeline.type.startswith("seq2seq")
        config = pipeline.generation_config if self._writes else None
        self._multilingual = bool(getattr(config, "lang_to_id", None))

    def answer(self, call: Call) -> tuple[Heard, int]:
        asked: TranscribeParameters = call.parameters
        self._check(asked)
        samples: Floats = call.input.samples(self._rate)
        duration = len(samples) / self._rate
        timestamps = self._best_timestamps if asked.timestamps == "any" else asked.timestamps
        long = self._whisper and len(samples) > self._pipeline.feature_extractor.n_samples
        settings: dict[str, Any] = {}
        # Through a long sound Whisper finds its way by times.
        if timestamps or long:
            settings["return_timestamps"] = timestamps or True
        if self._writes and not self._whisper and asked.chunk_length is None:
            check_length(samples, self._rate)
        window = asked.chunk_length or (None if self._writes or duration <= _WINDOW else _WINDOW)
        if window is not None:
            settings |= {"chunk_length_s": window, "ignore_warning": True}
        if self._writes:
            settings["generate_kwargs"] = self._generation(asked, duration)
        with hearable(samples, self._rate), _known_language(asked):
            found = self._pipeline({"raw": samples, "sampling_rate": self._rate}, **settings)
        text = found["text"].strip()
        parts = _parts(found["chunks"], duration) if timestamps else [Part(text, 0.0, duration)]
        return Heard(text, tuple(parts) if asked.timestamps else (), duration), 0

    @property
    def _best_timestamps(self) -> Literal["word"] | bool:
        """The coarsest that the model has; False where it has none."""
        return self._whisper or (not self._writes and "word")

    def _check(self, asked: TranscribeParameters) -> None:
        """Refuse what the model doesn't have, naming the field, which the library wouldn't."""
        if asked.timestamps is True and not self._whisper:
            raise InvalidInputError("the model knows no segments: ask for words, or nothing", "timestamps")
        if asked.timestamps == "word" and self._writes and not self._whisper:
            raise InvalidInputError("the model doesn't say when what was said", "timestamps")
        if asked.options and not self._writes and not asked.quick:
            raise InvalidInputError("the model reads off what it hears, and has no parameters", "parameters")
        if asked.language is not None and not self._multilingual:
            raise InvalidInputError(
                "the model knows one language only: leave it out", f"{asked.within}language"
            )
        if asked.task == "translate" and not self._multilingual:
            raise InvalidInputError(
                "the model knows one language only: it can't translate", f"{asked.within}task"
            )

    def _generation(self, asked: TranscribeParameters, duration: float) -> dict[str, Any]:
        # A model of one language does nothing else, and mustn't be told to.
        named = {"language": asked.language, "task": asked.task if self._multilingual else None}
        given = {name: value for name, value in named.items() if value is not None}
        beams = {"num_beams": 1} if asked.quick else {}
        return (
            beams | dict(asked.options) | given | {"stopping_criteria": [_Patience(_PATIENCE + 2 * duration)]}
        )


@contextmanager
def _known_language(asked: TranscribeParameters) -> Iterator[None]:
    """Take what the library says of a language for the caller's fault, who named it.

    Raises:
        InvalidInputError: The model doesn't know it.
    """
    try:
        yield
    except ValueError as error:
        # It calls those that a model knows its lang_to_id.
        if asked.language is None or "lang" not in str(error):
            raise
        message = f"the model doesn't know {asked.language!r}: {error}"
        raise InvalidInputError(message, f"{asked.within}language") from error


class _Patience:
    """Ends what the library would go on with for ever: a Whisper that finds no later time stays where it is.

    Args:
        seconds: To be patient for.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __call__(self, *_: Any, **__: Any) -> bool:
        if time.monotonic() > self._end:
            raise TimeoutError("the model doesn't come to an end with this sound")
        return False


def _parts(chunks: Sequence[Mapping[str, Any]], duration: float) -> list[Part]:
    parts: list[Part] = []
    for chunk in chunks:
        start, end = chunk["timestamp"]
        begin = (parts[-1].end if parts else 0.0) if start is None else float(start)
        # What is cut off by the end of the sound has no end of its own.
        parts.append(Part(chunk["text"].strip(), begin, duration if end is None else float(end)))
    return parts


def to_part(part: Part) -> audio_pb2.TranscriptPart:
    """As the contract has it."""
    return audio_pb2.TranscriptPart(text=part.text, start=part.start, end=part.end)


def to_transcript(heard: Heard) -> audio_pb2.Transcript:
    """As the contract has it."""
    return audio_pb2.Transcript(text=heard.text, parts=map(to_part, heard.parts), duration=heard.duration)


def _decode(request: audio_pb2.TranscribeAudioRequest, limits: InputLimits) -> list[Call]:
    length = optional(request, "chunk_length", None)
    if length is not None and not 1 <= length <= _WINDOW:
        raise InvalidInputError(f"{length:g} isn't from 1 to {_WINDOW:g} seconds", "chunk_length")
    if request.parameters.HasField("seed"):
        raise InvalidInputError("transcripts aren't drawn by a seed: leave it out", "parameters.seed")
    parameters = TranscribeParameters(
        timestamps=known(_TIMESTAMPS, request.timestamps, "timestamps"),
        language=optional(request, "language", None),
        task=known(TASKS_OF_WHISPER, request.task, "task"),
        options=options(request.parameters, limits),
        chunk_length=length,
    )
    return audio_calls(request.audios, parameters, limits)


def _encode(
    outputs: Sequence[Output], _: audio_pb2.TranscribeAudioRequest
) -> audio_pb2.TranscribeAudioResponse:
    return audio_pb2.TranscribeAudioResponse(results=[to_transcript(output.value) for output in outputs])


TRANSCRIBE_AUDIO = Task(
    name="automatic-speech-recognition",
    rpc="standpipe.v1.AudioService.TranscribeAudio",
    request=audio_pb2.TranscribeAudioRequest,
    response=audio_pb2.TranscribeAudioResponse,
    kind=SPEECH_RECOGNIZER,
    parameters=TranscribeParameters,
    head=TranscribeHead,
    decode=_decode,
    encode=_encode,
    cost=audio_cost,
    default=("facebook/wav2vec2-base-960h", "22aad52"),
    warm_up=audio_warm_up(TranscribeParameters(quick=True, options=(("max_new_tokens", 4),))),
)
