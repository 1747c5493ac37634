"""GenerateAudio: descriptions into sounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import audio_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import SOUND_MAKER
from standpipe_server.media.audio import AudioFormat
from standpipe_server.media_programs import SoundModel
from standpipe_server.tasks.audios import FORMATS, to_message
from standpipe_server.tasks.base import (
    InputLimits,
    Task,
    check_texts,
    known,
    optional,
    text_cost,
)
from standpipe_server.tasks.synthesize_speech import MOST_TOKENS
from standpipe_server.tasks.writing import options

_GUIDANCE = (1.0, 20.0)


@dataclass(frozen=True, slots=True)
class GenerateAudioParameters:
    """How to make it.

    Attributes:
        format: That it comes in.
        options: Keyword arguments of ``generate``.
        seed: For the same sound each time.
        brief: Options are for models that have them.
    """

    format: AudioFormat = "wav"
    options: tuple[tuple[str, Any], ...] = ()
    seed: int | None = None
    brief: bool = False


class GenerateAudioHead:
    """Lets the model make a sound."""

    def __init__(self, model: SoundModel) -> None:
        self._model = model

    def answer(self, call: Call) -> Output:
        asked: GenerateAudioParameters = call.parameters
        if asked.options and not self._model.writes and not asked.brief:
            raise InvalidInputError("the model makes a sound at once, and has no parameters", "parameters")
        tokens = self._model.tokens(call.input)
        check_limit(tokens, call.field, "speech_tokens", MOST_TOKENS, "tokens of one description")
        samples = self._model.sound(call.input, seed=asked.seed, generate=dict(asked.options))
        return Output(to_message(samples, self._model.rate, asked.format), tokens)


def _decode(request: audio_pb2.GenerateAudioRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.prompts, "prompts", limits)
    for index, prompt in enumerate(request.prompts):
        if not prompt.strip():
            raise InvalidInputError("the description is empty", f"prompts[{index}]")
    given = options(request.parameters, limits)
    guidance = optional(request, "guidance_scale", None)
    low, high = _GUIDANCE
    if guidance is not None:
        if not low <= guidance <= high:
            raise InvalidInputError(f"{guidance:g} isn't from {low:g} to {high:g}", "guidance_scale")
        given += (("guidance_scale", guidance),)
    parameters = GenerateAudioParameters(
        format=known(FORMATS, request.format, "format"),
        options=given,
        seed=optional(request.parameters, "seed", None),
    )
    return [Call(prompt, parameters, f"prompts[{index}]") for index, prompt in enumerate(request.prompts)]


def _encode(outputs: Sequence[Output], _: audio_pb2.GenerateAudioRequest) -> audio_pb2.GenerateAudioResponse:
    return audio_pb2.GenerateAudioResponse(results=[output.value for output in outputs])


_BRIEF = GenerateAudioParameters(options=(("max_new_tokens", 8),), brief=True)

GENERATE_AUDIO = Task(
    name="text-to-audio",
    rpc="standpipe.v1.AudioService.GenerateAudio",
    request=audio_pb2.GenerateAudioRequest,
    response=audio_pb2.GenerateAudioResponse,
    kind=SOUND_MAKER,
    parameters=GenerateAudioParameters,
    head=GenerateAudioHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    mixes=False,
    default=("suno/bark-small", "1dbd7a1"),
    warm_up=[[Call("water", _BRIEF, "prompts[0]")]],
)
