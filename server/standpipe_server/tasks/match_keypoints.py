"""MatchKeypoints: the points that two images share, by the steps of the library's own pipeline.

Its last step is called here: the library (5.5) gives it widths for heights, and points of pictures that
aren't square come out wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from standpipe.v1 import vision_pb2
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import KEYPOINT_MATCHER
from standpipe_server.media.images import EncodedImage
from standpipe_server.tasks.base import InputLimits, Task, check_count, optional
from standpipe_server.tasks.images import check_share, image_cost, image_of, readable, sample_image


@dataclass(frozen=True, slots=True)
class MatchParameters:
    """Which matches to keep."""

    threshold: float = 0.0


class MatchHead:
    """Goes through the pipeline's steps."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def answer(self, call: Call) -> tuple[vision_pb2.KeypointMatches, int]:
        files: tuple[EncodedImage, EncodedImage] = call.input
        images = [file.open() for file in files]
        with readable(images[0]):
            outputs = self._pipeline.forward(self._pipeline.preprocess(images))["model_outputs"]
        sizes = [[(image.height, image.width) for image in images]]
        (found,) = self._pipeline.image_processor.post_process_keypoint_matching(
            outputs, sizes, threshold=call.parameters.threshold
        )
        first, second, scores = (
            np.asarray(found[name].tolist()) for name in ("keypoints0", "keypoints1", "matching_scores")
        )
        matches = [
            vision_pb2.KeypointMatch(
                first=_keypoint(first[index]), second=_keypoint(second[index]), score=scores[index]
            )
            for index in np.argsort(-scores, kind="stable")
        ]
        return vision_pb2.KeypointMatches(matches=matches), 0


def _keypoint(place: Sequence[float]) -> vision_pb2.Keypoint:
    return vision_pb2.Keypoint(x=place[0], y=place[1])


def _decode(request: vision_pb2.MatchKeypointsRequest, limits: InputLimits) -> list[Call]:
    check_count(request.pairs, "pairs", limits)
    threshold = check_share(optional(request, "threshold", 0.0), "threshold")
    return [
        Call(
            (
                image_of(pair.first, f"pairs[{index}].first", limits),
                image_of(pair.second, f"pairs[{index}].second", limits),
            ),
            MatchParameters(threshold),
            f"pairs[{index}]",
        )
        for index, pair in enumerate(request.pairs)
    ]


def _encode(
    outputs: Sequence[Output], _: vision_pb2.MatchKeypointsRequest
) -> vision_pb2.MatchKeypointsResponse:
    return vision_pb2.MatchKeypointsResponse(results=[output.value for output in outputs])


MATCH_KEYPOINTS = Task(
    name="keypoint-matching",
    rpc="standpipe.v1.VisionService.MatchKeypoints",
    request=vision_pb2.MatchKeypointsRequest,
    response=vision_pb2.MatchKeypointsResponse,
    kind=KEYPOINT_MATCHER,
    parameters=MatchParameters,
    head=MatchHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    default=("magic-leap-community/superglue_outdoor", "f4041f8"),
    warm_up=[[Call((sample_image(), sample_image()), MatchParameters(), "pairs[0]")]],
)
