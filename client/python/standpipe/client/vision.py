"""VisionService's methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from standpipe.client.connection import Connection
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


class VisionMethods(Connection):
    """The methods of VisionService.

    An image may be the path of a file, an http or https address (which the server must admit), the bytes of
    a file, an image of Pillow, a ``common_pb2.Image``, or an array of uint8: (height, width), (height, width,
    3) or (height, width, 4). Several may be one array, (n, height, width, 3) or (n, height, width, 4). Arrays
    and images of Pillow are sent as PNG, without loss, and need ``pip install 'standpipe[images]'``. A video
    may be a path, an address, bytes, or a ``vision_pb2.Video``. A file that can't be read raises OSError.
    """

    def classify_image(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[ClassifyImageOptions]
    ) -> list[list[Label]]:
        """The labels of each image, best first.

        Args:
            images: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of ClassifyImageRequest.
        """
        return self._make(calls.CLASSIFY_IMAGE, timeout, images, **options)

    def classify_image_zero_shot(
        self,
        images: Images,
        candidate_labels: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[ClassifyImageZeroShotOptions],
    ) -> list[list[Label]]:
        """The candidate labels for each image, best first.

        Args:
            images: At least one.
            candidate_labels: The labels to choose from.
            timeout: Seconds; the client's own where None.
            options: As the fields of ClassifyImageZeroShotRequest.
        """
        return self._make(calls.CLASSIFY_IMAGE_ZERO_SHOT, timeout, images, candidate_labels, **options)

    def detect_objects(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[DetectObjectsOptions]
    ) -> list[list[DetectedObject]]:
        """The objects in each image, and where they are.

        Args:
            images: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of DetectObjectsRequest.
        """
        return self._make(calls.DETECT_OBJECTS, timeout, images, **options)

    def detect_objects_zero_shot(
        self,
        images: Images,
        candidate_labels: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[DetectObjectsZeroShotOptions],
    ) -> list[list[DetectedObject]]:
        """The objects in each image that have a candidate label, best first.

        Args:
            images: At least one.
            candidate_labels: What to look for.
            timeout: Seconds; the client's own where None.
            options: As the fields of DetectObjectsZeroShotRequest.
        """
        return self._make(calls.DETECT_OBJECTS_ZERO_SHOT, timeout, images, candidate_labels, **options)

    def segment_image(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[SegmentImageOptions]
    ) -> list[list[Segment]]:
        """The segments of each image, and the pixels that they cover.

        Args:
            images: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of SegmentImageRequest.
        """
        return self._make(calls.SEGMENT_IMAGE, timeout, images, **options)

    def generate_masks(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[GenerateMasksOptions]
    ) -> list[list[GeneratedMask]]:
        """The pixels of everything in each image that has an outline.

        Args:
            images: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of GenerateMasksRequest.
        """
        return self._make(calls.GENERATE_MASKS, timeout, images, **options)

    def estimate_depth(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[EstimateDepthOptions]
    ) -> list[NDArray[np.float32]]:
        """How far away the pixels of each image are, float32 (height, width).

        Args:
            images: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of EstimateDepthRequest.
        """
        return self._make(calls.ESTIMATE_DEPTH, timeout, images, **options)

    def embed_image(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[EmbedImageOptions]
    ) -> NDArray[np.float32]:
        """Vectors of images, float32 (n, d), in order.

        Args:
            images: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of EmbedImageRequest.
        """
        return self._make(calls.EMBED_IMAGE, timeout, images, **options)

    def caption_image(
        self, images: Images, *, timeout: float | None = None, **options: Unpack[CaptionImageOptions]
    ) -> list[str]:
        """What each image shows, in words.

        Args:
            images: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of CaptionImageRequest and of GenerationParameters.
        """
        return self._make(calls.CAPTION_IMAGE, timeout, images, **options)

    def answer_image_question(
        self,
        inputs: Sequence[tuple[ImageSource, str]],
        *,
        timeout: float | None = None,
        **options: Unpack[AnswerImageQuestionOptions],
    ) -> list[list[ImageAnswer]]:
        """The answers to each question about an image, best first: one, or as many as ``top_k`` says.

        Args:
            inputs: Pairs of an image and a question about it.
            timeout: Seconds; the client's own where None.
            options: As the fields of AnswerImageQuestionRequest and of GenerationParameters, whose ``top_k``
                is ``generation_top_k`` here.
        """
        return self._make(calls.ANSWER_IMAGE_QUESTION, timeout, inputs, **options)

    def answer_document_question(
        self,
        inputs: Sequence[DocumentInput],
        *,
        timeout: float | None = None,
        **options: Unpack[AnswerDocumentQuestionOptions],
    ) -> list[list[DocumentAnswer]]:
        """The answers to each question about a document, best first.

        Args:
            inputs: Pairs of an image and a question, or ``(image, question, words)`` with the words of the
                document in reading order, each with its box: ``(text, (xmin, ymin, xmax, ymax))``, in whole
                thousandths of the image's width and height.
            timeout: Seconds; the client's own where None.
            options: As the fields of AnswerDocumentQuestionRequest.
        """
        return self._make(calls.ANSWER_DOCUMENT_QUESTION, timeout, inputs, **options)

    def match_keypoints(
        self,
        pairs: Sequence[tuple[ImageSource, ImageSource]],
        *,
        timeout: float | None = None,
        **options: Unpack[MatchKeypointsOptions],
    ) -> list[list[KeypointMatch]]:
        """The points that the images of each pair share, best first.

        Args:
            pairs: Pairs of images of the same thing.
            timeout: Seconds; the client's own where None.
            options: As the fields of MatchKeypointsRequest.
        """
        return self._make(calls.MATCH_KEYPOINTS, timeout, pairs, **options)

    def classify_video(
        self,
        videos: Sequence[VideoSource],
        *,
        timeout: float | None = None,
        **options: Unpack[ClassifyVideoOptions],
    ) -> list[list[Label]]:
        """The labels of each video, best first.

        Args:
            videos: At least one: paths, addresses or bytes.
            timeout: Seconds; the client's own where None.
            options: As the fields of ClassifyVideoRequest.
        """
        return self._make(calls.CLASSIFY_VIDEO, timeout, videos, **options)
