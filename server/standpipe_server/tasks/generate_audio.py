"""GenerateAudio: descriptions into sounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import audio_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import SOUND_MAKER
from standpipe_server.media.audio import AudioFormat
from standpipe_server.media_programs import SoundModel, SoundWay
from standpipe_server.tasks.audios import FORMATS, to_message
from standpipe_server.tasks.base import (
    InputLimits,
    Task,
    as_sent,
    check_text,
    check_texts,
    known,
    optional,
    text_cost,
)
from standpipe_server.tasks.synthesize_speech import MOST_TOKENS
from standpipe_server.tasks.writing import options

_GUIDANCE = (1.0, 20.0)
_LONGEST = 60.0
# What parameters have for models, and where requests have it.
_PREFIXES = {"options": "parameters.", "diffusion": "", "guidance": ""}
# What models that make sounds in a way don't take, and why.
_AT_ONCE = "the model makes a sound at once"
_OTHERS = "only diffusion models have it"
_REFUSED: Mapping[SoundWay, Mapping[str, str]] = {
    "writing": {"diffusion": _OTHERS},
    "at once": {"diffusion": _OTHERS, "options": _AT_ONCE, "guidance": _AT_ONCE},
    "diffusion": {"options": "a diffusion model writes no tokens"},
}


@dataclass(frozen=True, slots=True)
class GenerateAudioParameters:
    """How to make it.

    Attributes:
        format: That it comes in.
        options: Keyword arguments of ``generate``, for models that write sounds.
        diffusion: By the request's fields what is for models that make them out of noise.
        guidance: How closely the sound follows the description, by the field's name; for either.
        seed: For the same sound each time.
        brief: Options are for models that have them.
    """

    format: AudioFormat = "wav"
    options: tuple[tuple[str, Any], ...] = ()
    diffusion: tuple[tuple[str, Any], ...] = ()
    guidance: tuple[tuple[str, float], ...] = ()
    seed: int | None = None
    brief: bool = False


class GenerateAudioHead:
    """Lets the model make a sound."""

    def __init__(self, model: SoundModel) -> None:
        self._model = model

    def answer(self, call: Call) -> Output:
        asked: GenerateAudioParameters = call.parameters
        refused = _REFUSED[self._model.way]
        if not asked.brief:
            for name, why in refused.items():
                _refuse(why, getattr(asked, name), _PREFIXES[name])
        tokens = self._model.tokens(call.input)
        check_limit(tokens, call.field, "speech_tokens", MOST_TOKENS, "tokens of one description")
        options = {
            field: value for name in _PREFIXES if name not in refused for field, value in getattr(asked, name)
        }
        samples = self._model.sound(
            call.input, seed=asked.seed, options=options, gone=lambda: call.watcher.gone
        )
        return Output(to_message(samples, self._model.rate, asked.format), tokens)


def _refuse(why: str, given: Sequence[tuple[str, Any]], prefix: str = "") -> None:
    """Refuse what the model doesn't take.

    Raises:
        InvalidInputError: Something is given; the first is named.
    """
    if given:
        raise InvalidInputError(f"{why}: leave it out", f"{prefix}{given[0][0]}")


def _decode(request: audio_pb2.GenerateAudioRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.prompts, "prompts", limits)
    for index, prompt in enumerate(request.prompts):
        if not prompt.strip():
            raise InvalidInputError("the description is empty", f"prompts[{index}]")
    parameters = GenerateAudioParameters(
        format=known(FORMATS, request.format, "format"),
        options=options(request.parameters, limits),
        diffusion=tuple(_diffusion(request, limits)),
        guidance=tuple(_guidance(request)),
        seed=optional(request.parameters, "seed", None),
    )
    return [Call(prompt, parameters, f"prompts[{index}]") for index, prompt in enumerate(request.prompts)]


def _guidance(request: audio_pb2.GenerateAudioRequest) -> Iterator[tuple[str, float]]:
    if request.HasField("guidance_scale"):
        guidance = as_sent(request.guidance_scale)
        low, high = _GUIDANCE
        if not low <= guidance <= high:
            raise InvalidInputError(f"{guidance:g} isn't from {low:g} to {high:g}", "guidance_scale")
        yield "guidance_scale", guidance


def _diffusion(request: audio_pb2.GenerateAudioRequest, limits: InputLimits) -> Iterator[tuple[str, Any]]:
    """What a request has for diffusion models."""
    if request.HasField("negative_prompt"):
        check_text(request.negative_prompt, "negative_prompt", limits)
        yield "negative_prompt", request.negative_prompt
    if request.HasField("num_inference_steps"):
        steps = request.num_inference_steps
        if not steps:
            raise InvalidInputError("0 isn't at least 1", "num_inference_steps")
        check_limit(steps, "num_inference_steps", "max_steps", limits.max_steps, "steps")
        yield "num_inference_steps", steps
    if request.HasField("duration"):
        duration = as_sent(request.duration)
        if not 0 < duration <= _LONGEST:
            raise InvalidInputError(f"{duration:g} isn't above 0 and at most {_LONGEST:g}", "duration")
        yield "duration", duration


def _encode(outputs: Sequence[Output], _: audio_pb2.GenerateAudioRequest) -> audio_pb2.GenerateAudioResponse:
    return audio_pb2.GenerateAudioResponse(results=[output.value for output in outputs])


# Some schedulers know no way of one step.
_BRIEF = GenerateAudioParameters(
    options=(("max_new_tokens", 8),), diffusion=(("num_inference_steps", 2),), brief=True
)

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
    long=True,
    default=("suno/bark-small", "1dbd7a1"),
    warm_up=[[Call("water", _BRIEF, "prompts[0]")]],
)
