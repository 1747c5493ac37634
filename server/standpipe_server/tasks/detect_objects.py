"""DetectObjects: what a model knows, and where it is in an image, through the library's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import vision_pb2
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import OBJECT_DETECTOR
from standpipe_server.tasks.base import InputLimits, Task, optional
from standpipe_server.tasks.boxes import Found, to_messages
from standpipe_server.tasks.images import check_share, image_calls, image_cost, image_warm_up, readable

_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class DetectParameters:
    """Which objects to keep."""

    threshold: float = _THRESHOLD


class DetectHead:
    """Asks the pipeline."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def answer(self, call: Call) -> tuple[Found, int]:
        image = call.input.open()
        with readable(image):
            return self._pipeline(image, threshold=call.parameters.threshold), 0


def _decode(request: vision_pb2.DetectObjectsRequest, limits: InputLimits) -> list[Call]:
    threshold = check_share(optional(request, "threshold", _THRESHOLD), "threshold")
    return image_calls(request.images, DetectParameters(threshold), limits)


def _encode(
    outputs: Sequence[Output], _: vision_pb2.DetectObjectsRequest
) -> vision_pb2.DetectObjectsResponse:
    return vision_pb2.DetectObjectsResponse(results=to_messages(outputs))


DETECT_OBJECTS = Task(
    name="object-detection",
    rpc="standpipe.v1.VisionService.DetectObjects",
    request=vision_pb2.DetectObjectsRequest,
    response=vision_pb2.DetectObjectsResponse,
    kind=OBJECT_DETECTOR,
    parameters=DetectParameters,
    head=DetectHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    default=("facebook/detr-resnet-50", "1d5f47b"),
    warm_up=image_warm_up(DetectParameters()),
)
