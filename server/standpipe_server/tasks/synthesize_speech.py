"""SynthesizeSpeech and StreamSynthesizeSpeech: texts, spoken."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from standpipe.v1 import audio_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import SPEAKER
from standpipe_server.media.audio import AudioFormat
from standpipe_server.media.phonemes import Phonemizer
from standpipe_server.media_programs import SoundModel
from standpipe_server.tasks.audios import FORMATS, to_message
from standpipe_server.tasks.base import (
    InputLimits,
    PieceTask,
    Task,
    check_text,
    check_texts,
    known,
    optional,
    text_cost,
)

_RATES = (0.25, 4.0)
# Where a sentence ends: after its mark, and what closes a quotation, before a space; or at a line's end.
_SENTENCE = re.compile(r"(?<=[.!?…。！？])[\"'”’»)\]]*\s+|(?<=[。！？])|\n+")
MOST_TOKENS = 4000
"""Of a text that is spoken in one go: what a model takes for that grows with their square."""

_PAUSE = 0.2
"""Seconds between sentences that are spoken one by one."""


@dataclass(frozen=True, slots=True)
class SpeechParameters:
    """How to speak; ``None`` means as the model's own files say."""

    format: AudioFormat = "wav"
    speaker: int | None = None
    rate: float | None = None
    seed: int | None = None


class SpeechHead:
    """Lets the model speak, in phonemes where it reads those."""

    def __init__(self, model: SoundModel) -> None:
        self._model = model
        self._read = _reader(model.folder / "phonemes.json")

    def answer(self, call: Call) -> Output:
        asked: SpeechParameters = call.parameters
        texts = self._read(call.input)
        tokens = sum(map(self._model.tokens, texts))
        if not tokens:
            raise InvalidInputError("there is nothing in the text that the model could speak")
        check_limit(tokens, call.field, "speech_tokens", MOST_TOKENS, "tokens of one text that is spoken")
        spoken = [self._spoken(text, asked) for text in texts]
        pause = np.zeros(round(_PAUSE * self._model.rate), np.float32)
        joined = [part for one in spoken for part in (one, pause)][:-1]
        return Output(to_message(np.concatenate(joined), self._model.rate, asked.format), tokens)

    def _spoken(self, text: str, asked: SpeechParameters) -> Any:
        return self._model.sound(
            text, seed=asked.seed, options=self._options(asked), attributes=self._attributes(asked)
        )

    def _options(self, asked: SpeechParameters) -> dict[str, Any]:
        voices = getattr(self._model.config, "num_speakers", 1)
        if asked.speaker is None:
            return {}
        if asked.speaker >= voices:
            raise InvalidInputError(
                f"the model has no voice {asked.speaker}; it has {voices}, from 0", "parameters.speaker_id"
            )
        return {"speaker_id": asked.speaker} if voices > 1 else {}

    def _attributes(self, asked: SpeechParameters) -> dict[str, Any]:
        if asked.rate is None:
            return {}
        if not hasattr(self._model.config, "speaking_rate"):
            raise InvalidInputError("the model has one pace only", "parameters.speaking_rate")
        return {"speaking_rate": asked.rate}


def _reader(file: Path) -> Callable[[str], list[str]]:
    """What makes of a text what the model reads: a string for each part that is spoken by itself.

    Args:
        file: Of a model that reads phonemes: which, and what stands round them.
    """
    if not file.is_file():
        return lambda text: [text]
    signs: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    phonemizer = Phonemizer(signs["voice"])
    return lambda text: [f"{signs['begin']}{said}{signs['end']}" for said in phonemizer.phonemes(text)]


def sentences(text: str) -> list[str]:
    """The sentences of a text that have something to say: a letter, or a digit."""
    return [part.strip() for part in _SENTENCE.split(text) if part and any(map(str.isalnum, part))]


def _parameters(message: audio_pb2.SpeechParameters) -> SpeechParameters:
    rate = optional(message, "speaking_rate", None)
    low, high = _RATES
    if rate is not None and not low <= rate <= high:
        raise InvalidInputError(f"{rate:g} isn't from {low:g} to {high:g}", "parameters.speaking_rate")
    return SpeechParameters(
        format=known(FORMATS, message.format, "parameters.format"),
        speaker=optional(message, "speaker_id", None),
        rate=rate,
        seed=optional(message, "seed", None),
    )


def _check_spoken(text: str, field: str) -> None:
    if not text.strip():
        raise InvalidInputError("the text is empty", field)


def _decode(request: audio_pb2.SynthesizeSpeechRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.texts, "texts", limits)
    parameters = _parameters(request.parameters)
    for index, text in enumerate(request.texts):
        _check_spoken(text, f"texts[{index}]")
    return [Call(text, parameters, f"texts[{index}]") for index, text in enumerate(request.texts)]


def _encode(
    outputs: Sequence[Output], _: audio_pb2.SynthesizeSpeechRequest
) -> audio_pb2.SynthesizeSpeechResponse:
    return audio_pb2.SynthesizeSpeechResponse(results=[output.value for output in outputs])


def _decode_stream(request: audio_pb2.StreamSynthesizeSpeechRequest, limits: InputLimits) -> list[Call]:
    check_text(request.text, "text", limits)
    _check_spoken(request.text, "text")
    parameters = _parameters(request.parameters)
    spoken = sentences(request.text)
    if not spoken:
        raise InvalidInputError("there is no letter and no digit in the text", "text")
    return [Call(sentence, parameters, "text") for sentence in spoken]


def _piece(call: Call, output: Output) -> audio_pb2.StreamSynthesizeSpeechResponse:
    spoken = audio_pb2.SpokenSentence(text=call.input, audio=output.value)
    # What was sent needn't be kept until the end.
    output.value.ClearField("content")
    return audio_pb2.StreamSynthesizeSpeechResponse(sentence=spoken)


def _end(outputs: Sequence[Output]) -> audio_pb2.StreamSynthesizeSpeechResponse:
    seconds = sum(output.value.duration for output in outputs)
    end = audio_pb2.SpeechEnd(sentences=len(outputs), duration=seconds)
    return audio_pb2.StreamSynthesizeSpeechResponse(end=end)


SYNTHESIZE_SPEECH = Task(
    name="text-to-speech",
    rpc="standpipe.v1.AudioService.SynthesizeSpeech",
    request=audio_pb2.SynthesizeSpeechRequest,
    response=audio_pb2.SynthesizeSpeechResponse,
    kind=SPEAKER,
    parameters=SpeechParameters,
    head=SpeechHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    mixes=False,
    default=("suno/bark-small", "1dbd7a1"),
    warm_up=[[Call("Water stands ready.", SpeechParameters(), "texts[0]")]],
)

STREAM_SYNTHESIZE_SPEECH = PieceTask(
    task=SYNTHESIZE_SPEECH,
    rpc="standpipe.v1.AudioService.StreamSynthesizeSpeech",
    request=audio_pb2.StreamSynthesizeSpeechRequest,
    response=audio_pb2.StreamSynthesizeSpeechResponse,
    decode=_decode_stream,
    piece=_piece,
    end=_end,
)
