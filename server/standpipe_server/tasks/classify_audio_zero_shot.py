"""ClassifyAudioZeroShot: sounds into labels that the call brings, through the library's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from standpipe.v1 import audio_pb2
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import ZERO_SHOT_AUDIO_CLASSIFIER
from standpipe_server.tasks.audios import audio_calls, audio_cost, audio_warm_up, check_length, hearable
from standpipe_server.tasks.base import InputLimits, Task, optional
from standpipe_server.tasks.candidates import Candidates, hypotheses, tokens_within
from standpipe_server.tasks.labels import Scored, to_message

_TEMPLATE = "This is a sound of {}."


class ClassifyAudioZeroShotParameters(Candidates):
    """The labels to choose from."""

    __slots__ = ()


class ClassifyAudioZeroShotHead:
    """Asks the pipeline."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._rate: int = pipeline.feature_extractor.sampling_rate

    def answer(self, call: Call) -> tuple[list[Scored], int]:
        asked: ClassifyAudioZeroShotParameters = call.parameters
        tokens = tokens_within(self._pipeline, asked.sentences)
        samples = call.input.samples(self._rate)
        check_length(samples, self._rate)
        with hearable(samples, self._rate):
            return asked.scored(self._pipeline(samples, **asked.options())), tokens


def _decode(request: audio_pb2.ClassifyAudioZeroShotRequest, limits: InputLimits) -> list[Call]:
    template = optional(request, "hypothesis_template", _TEMPLATE)
    sentences = hypotheses(template, request.candidate_labels, limits)
    parameters = ClassifyAudioZeroShotParameters(tuple(request.candidate_labels), tuple(sentences))
    return audio_calls(request.audios, parameters, limits)


def _encode(
    outputs: Sequence[Output], _: audio_pb2.ClassifyAudioZeroShotRequest
) -> audio_pb2.ClassifyAudioZeroShotResponse:
    return audio_pb2.ClassifyAudioZeroShotResponse(results=[to_message(output.value) for output in outputs])


CLASSIFY_AUDIO_ZERO_SHOT = Task(
    name="zero-shot-audio-classification",
    rpc="standpipe.v1.AudioService.ClassifyAudioZeroShot",
    request=audio_pb2.ClassifyAudioZeroShotRequest,
    response=audio_pb2.ClassifyAudioZeroShotResponse,
    kind=ZERO_SHOT_AUDIO_CLASSIFIER,
    parameters=ClassifyAudioZeroShotParameters,
    head=ClassifyAudioZeroShotHead,
    decode=_decode,
    encode=_encode,
    cost=audio_cost,
    default=("laion/clap-htsat-fused", "cca9e28"),
    warm_up=audio_warm_up(ClassifyAudioZeroShotParameters(("pipe", "hose"), ("a pipe", "a hose"))),
)
