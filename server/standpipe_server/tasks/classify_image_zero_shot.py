"""ClassifyImageZeroShot: images into labels that the call brings, through the library's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from standpipe.v1 import vision_pb2
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import ZERO_SHOT_IMAGE_CLASSIFIER
from standpipe_server.tasks.base import InputLimits, Task, optional
from standpipe_server.tasks.candidates import Candidates, hypotheses, tokens_within
from standpipe_server.tasks.images import image_calls, image_cost, image_warm_up, readable
from standpipe_server.tasks.labels import Scored, to_message

_TEMPLATE = "This is a photo of {}."


class ClassifyImageZeroShotParameters(Candidates):
    """The labels to choose from."""

    __slots__ = ()


class ClassifyImageZeroShotHead:
    """Asks the pipeline."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def answer(self, call: Call) -> tuple[list[Scored], int]:
        asked: ClassifyImageZeroShotParameters = call.parameters
        tokens = tokens_within(self._pipeline, asked.sentences)
        image = call.input.open()
        with readable(image):
            return asked.scored(self._pipeline(image, **asked.options())), tokens


def _decode(request: vision_pb2.ClassifyImageZeroShotRequest, limits: InputLimits) -> list[Call]:
    template = optional(request, "hypothesis_template", _TEMPLATE)
    sentences = hypotheses(template, request.candidate_labels, limits)
    parameters = ClassifyImageZeroShotParameters(tuple(request.candidate_labels), tuple(sentences))
    return image_calls(request.images, parameters, limits)


def _encode(
    outputs: Sequence[Output], _: vision_pb2.ClassifyImageZeroShotRequest
) -> vision_pb2.ClassifyImageZeroShotResponse:
    return vision_pb2.ClassifyImageZeroShotResponse(results=[to_message(output.value) for output in outputs])


CLASSIFY_IMAGE_ZERO_SHOT = Task(
    name="zero-shot-image-classification",
    rpc="standpipe.v1.VisionService.ClassifyImageZeroShot",
    request=vision_pb2.ClassifyImageZeroShotRequest,
    response=vision_pb2.ClassifyImageZeroShotResponse,
    kind=ZERO_SHOT_IMAGE_CLASSIFIER,
    parameters=ClassifyImageZeroShotParameters,
    head=ClassifyImageZeroShotHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    default=("openai/clip-vit-base-patch32", "3d74acf"),
    warm_up=image_warm_up(ClassifyImageZeroShotParameters(("pipe", "hose"), ("a pipe", "a hose"))),
)
