"""DetectObjectsZeroShot: what the call names, and where it is in an image, through the library's pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import vision_pb2
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import ZERO_SHOT_OBJECT_DETECTOR
from standpipe_server.tasks.base import InputLimits, Task, optional, positive
from standpipe_server.tasks.boxes import Found, to_messages
from standpipe_server.tasks.candidates import check_candidates, tokens_within
from standpipe_server.tasks.images import check_share, image_calls, image_warm_up, readable

_THRESHOLD = 0.1


@dataclass(frozen=True, slots=True)
class DetectZeroShotParameters:
    """What to look for, and which objects to keep."""

    labels: tuple[str, ...] = ()
    threshold: float = _THRESHOLD
    top_k: int | None = None


class DetectZeroShotHead:
    """Asks the pipeline."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def answer(self, call: Call) -> tuple[Found, int]:
        asked: DetectZeroShotParameters = call.parameters
        tokens = tokens_within(self._pipeline, asked.labels)
        image = call.input.open()
        inputs = {"image": image, "candidate_labels": list(asked.labels)}
        with readable(image):
            return self._pipeline(inputs, threshold=asked.threshold, top_k=asked.top_k), tokens


def _decode(request: vision_pb2.DetectObjectsZeroShotRequest, limits: InputLimits) -> list[Call]:
    check_candidates(request.candidate_labels, limits)
    parameters = DetectZeroShotParameters(
        labels=tuple(request.candidate_labels),
        threshold=check_share(optional(request, "threshold", _THRESHOLD), "threshold"),
        top_k=positive(request, "top_k", None),
    )
    return image_calls(request.images, parameters, limits)


def _encode(
    outputs: Sequence[Output], _: vision_pb2.DetectObjectsZeroShotRequest
) -> vision_pb2.DetectObjectsZeroShotResponse:
    return vision_pb2.DetectObjectsZeroShotResponse(results=to_messages(outputs))


def _cost(call: Call) -> int:
    # The model looks at the image once for each label.
    return len(call.parameters.labels)


DETECT_OBJECTS_ZERO_SHOT = Task(
    name="zero-shot-object-detection",
    rpc="standpipe.v1.VisionService.DetectObjectsZeroShot",
    request=vision_pb2.DetectObjectsZeroShotRequest,
    response=vision_pb2.DetectObjectsZeroShotResponse,
    kind=ZERO_SHOT_OBJECT_DETECTOR,
    parameters=DetectZeroShotParameters,
    head=DetectZeroShotHead,
    decode=_decode,
    encode=_encode,
    cost=_cost,
    default=("google/owlvit-base-patch32", "cbc355f"),
    warm_up=image_warm_up(DetectZeroShotParameters(labels=("a pipe",))),
)
