"""VisionService's RPCs, declared once for both clients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from standpipe.calls import Rpc, labels, vectors
from standpipe.v1 import vision_pb2
from standpipe.vision import requests
from standpipe.vision.results import (
    Box,
    DetectedObject,
    DocumentAnswer,
    GeneratedMask,
    ImageAnswer,
    Keypoint,
    KeypointMatch,
    Segment,
)


def _box(box: vision_pb2.BoundingBox) -> Box:
    return Box(box.xmin, box.ymin, box.xmax, box.ymax)


def _objects(result: vision_pb2.DetectedObjects) -> list[DetectedObject]:
    return [DetectedObject(one.label, one.score, _box(one.box)) for one in result.objects]


def mask_of(mask: vision_pb2.Mask) -> NDArray[np.bool_]:
    """A mask's pixels, (height, width), from the lengths of its runs.

    Raises:
        ValueError: The runs don't sum up to its pixels, or it has none.
    """
    counts = np.array(mask.run_lengths.counts, np.int64)
    # Checked first, so that a wrong count can't ask for all the memory.
    if counts.sum() != mask.width * mask.height:
        size = f"{mask.width} × {mask.height}"
        raise ValueError(f"the runs of a mask of {size} pixels sum up to {counts.sum()}")
    columns = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(mask.width, mask.height)
    return np.ascontiguousarray(columns.T)


def _given(message: Any, field: str) -> Any:
    """The value of an optional field; None where the server left it out."""
    return getattr(message, field) if message.HasField(field) else None


def _segment(segment: vision_pb2.Segment) -> Segment:
    return Segment(segment.label, _given(segment, "score"), mask_of(segment.mask))


def _depth(depth: vision_pb2.DepthMap) -> NDArray[np.float32]:
    values = np.frombuffer(depth.float32, "<f4").astype(np.float32)
    return values.reshape(depth.height, depth.width)


def _image_answer(answer: vision_pb2.ImageAnswer) -> ImageAnswer:
    return ImageAnswer(answer.answer, _given(answer, "score"))


def _document_answer(answer: vision_pb2.DocumentAnswer) -> DocumentAnswer:
    return DocumentAnswer(answer.answer, *[_given(answer, field) for field in ("score", "start", "end")])


def _point(point: vision_pb2.Keypoint) -> Keypoint:
    return Keypoint(point.x, point.y)


def _match(match: vision_pb2.KeypointMatch) -> KeypointMatch:
    return KeypointMatch(_point(match.first), _point(match.second), match.score)


CLASSIFY_IMAGE = Rpc(
    lambda stubs: stubs.vision.ClassifyImage,
    requests.classify_image_request,
    lambda response: labels(response.results),
)

CLASSIFY_IMAGE_ZERO_SHOT = Rpc(
    lambda stubs: stubs.vision.ClassifyImageZeroShot,
    requests.classify_image_zero_shot_request,
    lambda response: labels(response.results),
)

DETECT_OBJECTS = Rpc(
    lambda stubs: stubs.vision.DetectObjects,
    requests.detect_objects_request,
    lambda response: [_objects(result) for result in response.results],
)

DETECT_OBJECTS_ZERO_SHOT = Rpc(
    lambda stubs: stubs.vision.DetectObjectsZeroShot,
    requests.detect_objects_zero_shot_request,
    lambda response: [_objects(result) for result in response.results],
)

SEGMENT_IMAGE = Rpc(
    lambda stubs: stubs.vision.SegmentImage,
    requests.segment_image_request,
    lambda response: [[_segment(segment) for segment in result.segments] for result in response.results],
)

GENERATE_MASKS = Rpc(
    lambda stubs: stubs.vision.GenerateMasks,
    requests.generate_masks_request,
    lambda response: [
        [GeneratedMask(mask.score, mask_of(mask.mask)) for mask in result.masks]
        for result in response.results
    ],
)

ESTIMATE_DEPTH = Rpc(
    lambda stubs: stubs.vision.EstimateDepth,
    requests.estimate_depth_request,
    lambda response: [_depth(result) for result in response.results],
)

EMBED_IMAGE = Rpc(lambda stubs: stubs.vision.EmbedImage, requests.embed_image_request, vectors)

CAPTION_IMAGE = Rpc(
    lambda stubs: stubs.vision.CaptionImage,
    requests.caption_image_request,
    lambda response: [result.generated_text for result in response.results],
)

ANSWER_IMAGE_QUESTION = Rpc(
    lambda stubs: stubs.vision.AnswerImageQuestion,
    requests.answer_image_question_request,
    lambda response: [[_image_answer(answer) for answer in result.answers] for result in response.results],
)

ANSWER_DOCUMENT_QUESTION = Rpc(
    lambda stubs: stubs.vision.AnswerDocumentQuestion,
    requests.answer_document_question_request,
    lambda response: [[_document_answer(answer) for answer in result.answers] for result in response.results],
)

MATCH_KEYPOINTS = Rpc(
    lambda stubs: stubs.vision.MatchKeypoints,
    requests.match_keypoints_request,
    lambda response: [[_match(match) for match in result.matches] for result in response.results],
)

CLASSIFY_VIDEO = Rpc(
    lambda stubs: stubs.vision.ClassifyVideo,
    requests.classify_video_request,
    lambda response: labels(response.results),
)
