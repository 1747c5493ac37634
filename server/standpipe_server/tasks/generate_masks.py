"""GenerateMasks: everything in an image that has an outline, by the steps of the library's own pipeline.

Its last step, which drops masks that overlap better ones, is done here: the library's needs torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from standpipe.v1 import vision_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import MASK_GENERATOR
from standpipe_server.media.masks import covered
from standpipe_server.programs import Floats
from standpipe_server.tasks.base import InputLimits, Task, known
from standpipe_server.tasks.images import image_calls, image_cost, image_warm_up, readable
from standpipe_server.tasks.masks import RUN_LENGTHS, from_counts, to_message

# What each step takes, by the library's own names: from what, and to what.
_FIND = {
    "points_per_crop": (1, 128),
}
_KEEP = {
    "pred_iou_thresh": (0, 1),
    "stability_score_thresh": (0, 1),
    "stability_score_offset": (0, 1e6),
    "mask_threshold": (-1e6, 1e6),
}
_OVERLAP = {"crops_nms_thresh": (0, 1)}
_USUAL_OVERLAP = 0.7
# Points that are looked at together at most, as in the library; and pixels of their masks.
_POINTS = 64
_MASK_PIXELS = 1 << 26

Options = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class MaskParameters:
    """How to look, and what to keep.

    Attributes:
        find: Options of the step that looks, by the library's names.
        keep: Options of the step that keeps what is good enough.
        overlap: Of two masks whose boxes overlap more, the worse is dropped.
        runs: Masks travel as run lengths.
    """

    find: Options = ()
    keep: Options = ()
    overlap: float = _USUAL_OVERLAP
    runs: bool = False


class MaskHead:
    """Goes through the pipeline's steps."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def answer(self, call: Call) -> tuple[vision_pb2.GeneratedMasks, int]:
        asked: MaskParameters = call.parameters
        image = call.input.open()
        keep = dict(asked.keep)
        # Each point has three masks, as large as the image, in full precision and twice.
        points = max(1, min(_POINTS, _MASK_PIXELS // (3 * image.width * image.height)))
        with readable(image):
            parts = [
                self._pipeline.forward(inputs, **keep)
                for inputs in self._pipeline.preprocess(image, points_per_batch=points, **dict(asked.find))
            ]
        masks = [mask for part in parts for mask in part["masks"]]
        scores = np.concatenate([part["iou_scores"].float().numpy().reshape(-1) for part in parts])
        boxes = np.concatenate([part["boxes"].float().numpy().reshape(-1, 4) for part in parts])
        return vision_pb2.GeneratedMasks(
            masks=[
                vision_pb2.GeneratedMask(score=scores[index], mask=_mask(masks[index], runs=asked.runs))
                for index in best_apart(boxes, scores, asked.overlap)
            ]
        ), 0


def _mask(mask: dict[str, Any], *, runs: bool) -> vision_pb2.Mask:
    """A mask as the library counts its runs, which is how the contract counts them."""
    counts, (height, width) = mask["counts"], mask["size"]
    if runs:
        return from_counts(counts, height, width)
    return to_message(covered(counts, height, width), runs=False)


def best_apart(boxes: Floats, scores: Floats, overlap: float) -> list[int]:
    """Which of some boxes stay, best first, where one that overlaps a better one too much goes.

    Args:
        boxes: (n, 4): left, upper, right, lower edge.
        scores: (n,).
        overlap: Intersection over union from which, exclusive, it is too much.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order: NDArray[np.int64] = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes[order, :2], boxes[best, :2])
        high = np.minimum(boxes[order, 2:], boxes[best, 2:])
        shared = np.clip(high - low, 0, None).prod(1)
        union = areas[order] + areas[best] - shared
        # Of two boxes without an area neither covers the other.
        order = order[~(shared > overlap * union)]
    return kept


def _decode(request: vision_pb2.GenerateMasksRequest, limits: InputLimits) -> list[Call]:
    overlap = dict(_given(request, _OVERLAP)).get("crops_nms_thresh", _USUAL_OVERLAP)
    parameters = MaskParameters(
        find=_given(request, _FIND),
        keep=_given(request, _KEEP),
        overlap=overlap,
        runs=known(RUN_LENGTHS, request.mask_format, "mask_format"),
    )
    return image_calls(request.images, parameters, limits)


def _given(request: vision_pb2.GenerateMasksRequest, ranges: Mapping[str, tuple[float, float]]) -> Options:
    """The options of a step that a request gives."""
    given = {name: getattr(request, name) for name in ranges if request.HasField(name)}  # type: ignore[arg-type]
    for name, value in given.items():
        low, high = ranges[name]
        if not low <= value <= high:
            raise InvalidInputError(f"{name} is {value:g}: send a number from {low:g} to {high:g}", name)
    return tuple(given.items())


def _encode(
    outputs: Sequence[Output], _: vision_pb2.GenerateMasksRequest
) -> vision_pb2.GenerateMasksResponse:
    return vision_pb2.GenerateMasksResponse(results=[output.value for output in outputs])


GENERATE_MASKS = Task(
    name="mask-generation",
    rpc="standpipe.v1.VisionService.GenerateMasks",
    request=vision_pb2.GenerateMasksRequest,
    response=vision_pb2.GenerateMasksResponse,
    kind=MASK_GENERATOR,
    parameters=MaskParameters,
    head=MaskHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    default=("facebook/sam-vit-huge", "87aecf0"),
    warm_up=image_warm_up(MaskParameters(find=(("points_per_crop", 4),)))[:1],
)
