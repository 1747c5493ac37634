"""ClassifyAudio: sounds into scored labels, through the library's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import audio_pb2
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import AUDIO_CLASSIFIER
from standpipe_server.tasks.audios import audio_calls, audio_cost, audio_warm_up, check_length, hearable
from standpipe_server.tasks.base import InputLimits, Task, known, positive
from standpipe_server.tasks.labels import PLAIN_FUNCTIONS, FunctionName, Scored, to_message


@dataclass(frozen=True, slots=True)
class ClassifyAudioParameters:
    """How to classify."""

    function: FunctionName = "softmax"
    top_k: int | None = None


class ClassifyAudioHead:
    """Asks the pipeline."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._rate: int = pipeline.feature_extractor.sampling_rate

    def answer(self, call: Call) -> tuple[list[Scored], int]:
        asked: ClassifyAudioParameters = call.parameters
        sound = {"raw": call.input.samples(self._rate), "sampling_rate": self._rate}
        check_length(sound["raw"], self._rate)
        with hearable(sound["raw"], self._rate):
            found = self._pipeline(sound, top_k=asked.top_k, function_to_apply=asked.function)
        return [(one["label"], one["score"]) for one in found], 0


def _decode(request: audio_pb2.ClassifyAudioRequest, limits: InputLimits) -> list[Call]:
    parameters = ClassifyAudioParameters(
        function=known(PLAIN_FUNCTIONS, request.function_to_apply, "function_to_apply"),
        top_k=positive(request, "top_k", None),
    )
    return audio_calls(request.audios, parameters, limits)


def _encode(outputs: Sequence[Output], _: audio_pb2.ClassifyAudioRequest) -> audio_pb2.ClassifyAudioResponse:
    return audio_pb2.ClassifyAudioResponse(results=[to_message(output.value) for output in outputs])


CLASSIFY_AUDIO = Task(
    name="audio-classification",
    rpc="standpipe.v1.AudioService.ClassifyAudio",
    request=audio_pb2.ClassifyAudioRequest,
    response=audio_pb2.ClassifyAudioResponse,
    kind=AUDIO_CLASSIFIER,
    parameters=ClassifyAudioParameters,
    head=ClassifyAudioHead,
    decode=_decode,
    encode=_encode,
    cost=audio_cost,
    default=("superb/wav2vec2-base-superb-ks", "372e048"),
    warm_up=audio_warm_up(ClassifyAudioParameters()),
)
