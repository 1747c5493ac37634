"""VisionService's methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ParamSpec, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from standpipe.aio.connection import AsyncConnection
from standpipe.media import Images, ImageSource, VideoSource
from standpipe.results import Label
from standpipe.vision import calls
from standpipe.vision.options import (
    AnswerDocumentQuestionOptions,
    AnswerImageQuestionOptions,
    CaptionImageOptions,
    ClassifyImageOptions,
    ClassifyImageZeroShotOptions,
    ClassifyVideoOptions,
    DetectObjectsOptions,
    DetectObjectsZeroShotOptions,
    EmbedImageOptions,
    EstimateDepthOptions,
    GenerateMasksOptions,
    MatchKeypointsOptions,
    SegmentImageOptions,
)
from standpipe.vision.requests import DocumentInput
from standpipe.vision.results import (
    DetectedObject,
    DocumentAnswer,
    GeneratedMask,
    ImageAnswer,
    KeypointMatch,
    Segment,
)

P = ParamSpec("P")
R = TypeVar("R")


class AsyncVisionMethods(AsyncConnection):
    """The methods of VisionService.

    Files are read, and pictures written and unpacked, on a thread beside the event loop.
    """

    async def classify_image(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[ClassifyImageOptions]
    ) -> list[list[Label]]:
        """The labels of each image, best first."""
        return await self._make_aside(calls.CLASSIFY_IMAGE, timeout, images, **options)

    async def classify_image_zero_shot(
        self,
        images: Images,
        candidate_labels: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[ClassifyImageZeroShotOptions],
    ) -> list[list[Label]]:
        """The candidate labels for each image, best first."""
        return await self._make_aside(
            calls.CLASSIFY_IMAGE_ZERO_SHOT, timeout, images, candidate_labels, **options
        )

    async def detect_objects(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[DetectObjectsOptions]
    ) -> list[list[DetectedObject]]:
        """The objects in each image, and where they are."""
        return await self._make_aside(calls.DETECT_OBJECTS, timeout, images, **options)

    async def detect_objects_zero_shot(
        self,
        images: Images,
        candidate_labels: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[DetectObjectsZeroShotOptions],
    ) -> list[list[DetectedObject]]:
        """The objects in each image that have a candidate label, best first."""
        return await self._make_aside(
            calls.DETECT_OBJECTS_ZERO_SHOT, timeout, images, candidate_labels, **options
        )

    async def segment_image(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[SegmentImageOptions]
    ) -> list[list[Segment]]:
        """The segments of each image, and the pixels that they cover."""
        return await self._make_aside(calls.SEGMENT_IMAGE, timeout, images, **options)

    async def generate_masks(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[GenerateMasksOptions]
    ) -> list[list[GeneratedMask]]:
        """The pixels of everything in each image that has an outline."""
        return await self._make_aside(calls.GENERATE_MASKS, timeout, images, **options)

    async def estimate_depth(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[EstimateDepthOptions]
    ) -> list[NDArray[np.float32]]:
        """How far away the pixels of each image are, float32 (height, width)."""
        return await self._make_aside(calls.ESTIMATE_DEPTH, timeout, images, **options)

    async def embed_image(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[EmbedImageOptions]
    ) -> NDArray[np.float32]:
        """Vectors of images, float32 (n, d), in order."""
        return await self._make_aside(calls.EMBED_IMAGE, timeout, images, **options)

    async def caption_image(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[CaptionImageOptions]
    ) -> list[str]:
        """What each image shows, in words."""
        return await self._make_aside(calls.CAPTION_IMAGE, timeout, images, **options)

    async def answer_image_question(
        self,
        inputs: Sequence[tuple[ImageSource, str]],
        *,
        timeout: float | None = None,
        **options: Unpack[AnswerImageQuestionOptions],
    ) -> list[list[ImageAnswer]]:
        """The answers to each question about an image, best first: one, or as many as ``top_k`` says."""
        return await self._make_aside(calls.ANSWER_IMAGE_QUESTION, timeout, inputs, **options)

    async def answer_document_question(
        self,
        inputs: Sequence[DocumentInput],
        *,
        timeout: float | None = None,
        **options: Unpack[AnswerDocumentQuestionOptions],
    ) -> list[list[DocumentAnswer]]:
        """The answers to each question about a document, best first."""
        return await self._make_aside(calls.ANSWER_DOCUMENT_QUESTION, timeout, inputs, **options)

    async def match_keypoints(
        self,
        pairs: Sequence[tuple[ImageSource, ImageSource]],
        *,
        timeout: float | None = None,
        **options: Unpack[MatchKeypointsOptions],
    ) -> list[list[KeypointMatch]]:
        """The points that the images of each pair share, best first."""
        return await self._make_aside(calls.MATCH_KEYPOINTS, timeout, pairs, **options)

    async def classify_video(
        self,
        videos: Sequence[VideoSource],
        *,
        timeout: float | None = None,
        **options: Unpack[ClassifyVideoOptions],
    ) -> list[list[Label]]:
        """The labels of each video, best first."""
        return await self._make_aside(calls.CLASSIFY_VIDEO, timeout, videos, **options)
