"""ClassifyImage: images into scored labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from standpipe.v1 import vision_pb2
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import IMAGE_CLASSIFIER
from standpipe_server.media_programs import ImageModel
from standpipe_server.programs import Floats
from standpipe_server.tasks.base import InputLimits, Task, known, positive
from standpipe_server.tasks.images import PictureHead, image_calls, image_cost, image_warm_up
from standpipe_server.tasks.labels import (
    FUNCTION_NAMES,
    FUNCTIONS,
    FunctionName,
    Scored,
    best_first,
    labels_of,
    to_message,
    usual_function,
)

_TOP_K = 5


@dataclass(frozen=True, slots=True)
class ClassifyImageParameters:
    """How to classify; ``None`` means as the model's own files say."""

    function: FunctionName | None = None
    top_k: int = _TOP_K


class ClassifyImageHead(PictureHead):
    """Turns the logits of an image into scored labels."""

    def __init__(self, model: ImageModel) -> None:
        self._labels = labels_of(model.config)
        self._usual = usual_function(model.config)

    def answer(self, call: Call, outputs: Mapping[str, Floats]) -> list[Scored]:
        parameters: ClassifyImageParameters = call.parameters
        scores = FUNCTIONS[parameters.function or self._usual](outputs["logits"])
        return best_first(self._labels, scores.tolist(), parameters.top_k)


def _decode(request: vision_pb2.ClassifyImageRequest, limits: InputLimits) -> list[Call]:
    parameters = ClassifyImageParameters(
        function=known(FUNCTION_NAMES, request.function_to_apply, "function_to_apply"),
        top_k=positive(request, "top_k", _TOP_K),
    )
    return image_calls(request.images, parameters, limits)


def _encode(
    outputs: Sequence[Output], _: vision_pb2.ClassifyImageRequest
) -> vision_pb2.ClassifyImageResponse:
    return vision_pb2.ClassifyImageResponse(results=[to_message(output.value) for output in outputs])


CLASSIFY_IMAGE = Task(
    name="image-classification",
    rpc="standpipe.v1.VisionService.ClassifyImage",
    request=vision_pb2.ClassifyImageRequest,
    response=vision_pb2.ClassifyImageResponse,
    kind=IMAGE_CLASSIFIER,
    parameters=ClassifyImageParameters,
    head=ClassifyImageHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    default=("google/vit-base-patch16-224", "3f49326"),
    warm_up=image_warm_up(ClassifyImageParameters()),
)
