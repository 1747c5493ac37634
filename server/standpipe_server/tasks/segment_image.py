"""SegmentImage: which pixels belong to what, through the library's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from standpipe.v1 import vision_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import SEGMENTER
from standpipe_server.tasks.base import InputLimits, Task, known, optional
from standpipe_server.tasks.images import check_share, image_calls, image_cost, image_warm_up, readable
from standpipe_server.tasks.masks import RUN_LENGTHS, to_message

_SUBTASKS: dict[int, str | None] = {
    vision_pb2.SEGMENTATION_SUBTASK_UNSPECIFIED: None,
    vision_pb2.SEGMENTATION_SUBTASK_SEMANTIC: "semantic",
    vision_pb2.SEGMENTATION_SUBTASK_INSTANCE: "instance",
    vision_pb2.SEGMENTATION_SUBTASK_PANOPTIC: "panoptic",
}
# As the library has them.
_SHARES = {"threshold": 0.9, "mask_threshold": 0.5, "overlap_mask_area_threshold": 0.5}


@dataclass(frozen=True, slots=True)
class SegmentParameters:
    """How to segment.

    Attributes:
        subtask: As the library calls it; None for the first that the model can do.
        shares: The pipeline's thresholds, by name.
        runs: Masks travel as run lengths.
    """

    subtask: str | None = None
    shares: tuple[tuple[str, float], ...] = tuple(_SHARES.items())
    runs: bool = False


class SegmentHead:
    """Asks the pipeline."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def answer(self, call: Call) -> tuple[vision_pb2.Segments, int]:
        asked: SegmentParameters = call.parameters
        self._check(asked.subtask)
        image = call.input.open()
        with readable(image):
            found = self._pipeline(image, subtask=asked.subtask, **dict(asked.shares))
        segments = [
            vision_pb2.Segment(
                label=one["label"],
                score=one["score"],
                mask=to_message(np.asarray(one["mask"]) > 0, runs=asked.runs),
            )
            for one in found
        ]
        return vision_pb2.Segments(segments=segments), 0

    def _check(self, subtask: str | None) -> None:
        processor = self._pipeline.image_processor
        if subtask is None or hasattr(processor, f"post_process_{subtask}_segmentation"):
            return
        able = [
            word for word in _SUBTASKS.values() if hasattr(processor, f"post_process_{word}_segmentation")
        ]
        raise InvalidInputError(
            f"the model has no {subtask} segmentation; it has: {', '.join(map(str, able))}", "subtask"
        )


def _decode(request: vision_pb2.SegmentImageRequest, limits: InputLimits) -> list[Call]:
    parameters = SegmentParameters(
        subtask=known(_SUBTASKS, request.subtask, "subtask"),
        shares=tuple(
            (name, check_share(optional(request, name, usual), name)) for name, usual in _SHARES.items()
        ),
        runs=known(RUN_LENGTHS, request.mask_format, "mask_format"),
    )
    return image_calls(request.images, parameters, limits)


def _encode(outputs: Sequence[Output], _: vision_pb2.SegmentImageRequest) -> vision_pb2.SegmentImageResponse:
    return vision_pb2.SegmentImageResponse(results=[output.value for output in outputs])


SEGMENT_IMAGE = Task(
    name="image-segmentation",
    rpc="standpipe.v1.VisionService.SegmentImage",
    request=vision_pb2.SegmentImageRequest,
    response=vision_pb2.SegmentImageResponse,
    kind=SEGMENTER,
    parameters=SegmentParameters,
    head=SegmentHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    default=("facebook/detr-resnet-50-panoptic", "d53b52a"),
    warm_up=image_warm_up(SegmentParameters()),
)
