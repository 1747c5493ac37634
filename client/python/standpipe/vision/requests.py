"""VisionService's requests from Python arguments; shared by both clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, Unpack

from standpipe.fields import filled, gathered, several
from standpipe.media import Images, ImageSource, VideoSource, image_message, image_messages, video_messages
from standpipe.v1 import common_pb2, vision_pb2
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

DocumentWord: TypeAlias = tuple[str, tuple[int, int, int, int]]
"""A word of a document, and its box: xmin, ymin, xmax, ymax in thousandths of the image's sides."""

DocumentInput: TypeAlias = tuple[ImageSource, str] | tuple[ImageSource, str, Sequence[DocumentWord] | None]
"""A document, a question, and the document's words in reading order, where the caller has them."""

_RUNS = vision_pb2.MASK_FORMAT_RUN_LENGTHS


def classify_image_request(
    images: Images, **options: Unpack[ClassifyImageOptions]
) -> vision_pb2.ClassifyImageRequest:
    """A request to label images.

    Raises:
        TypeError: ``images`` is one image, or holds what is none.
        ValueError: An image can't be sent, or an option's value is none of those there are.
        OSError: A file can't be read.
        ImportError: Pillow is needed, and isn't installed. All four hold for every request here.
    """
    return filled(vision_pb2.ClassifyImageRequest, options, images=image_messages("images", images))


def classify_image_zero_shot_request(
    images: Images, candidate_labels: Sequence[str], **options: Unpack[ClassifyImageZeroShotOptions]
) -> vision_pb2.ClassifyImageZeroShotRequest:
    """A request to label images with labels of the caller's own."""
    return filled(
        vision_pb2.ClassifyImageZeroShotRequest,
        options,
        images=image_messages("images", images),
        candidate_labels=several("candidate_labels", candidate_labels),
    )


def detect_objects_request(
    images: Images, **options: Unpack[DetectObjectsOptions]
) -> vision_pb2.DetectObjectsRequest:
    """A request to find the objects that a model knows."""
    return filled(vision_pb2.DetectObjectsRequest, options, images=image_messages("images", images))


def detect_objects_zero_shot_request(
    images: Images, candidate_labels: Sequence[str], **options: Unpack[DetectObjectsZeroShotOptions]
) -> vision_pb2.DetectObjectsZeroShotRequest:
    """A request to find objects that the caller names."""
    return filled(
        vision_pb2.DetectObjectsZeroShotRequest,
        options,
        images=image_messages("images", images),
        candidate_labels=several("candidate_labels", candidate_labels),
    )


def segment_image_request(
    images: Images, **options: Unpack[SegmentImageOptions]
) -> vision_pb2.SegmentImageRequest:
    """A request for the segments of images, as lengths of runs."""
    messages = image_messages("images", images)
    return filled(vision_pb2.SegmentImageRequest, options, images=messages, mask_format=_RUNS)


def generate_masks_request(
    images: Images, **options: Unpack[GenerateMasksOptions]
) -> vision_pb2.GenerateMasksRequest:
    """A request for the masks of all that images show, as lengths of runs."""
    messages = image_messages("images", images)
    return filled(vision_pb2.GenerateMasksRequest, options, images=messages, mask_format=_RUNS)


def estimate_depth_request(
    images: Images, **options: Unpack[EstimateDepthOptions]
) -> vision_pb2.EstimateDepthRequest:
    """A request for the model's own values of depth."""
    messages = image_messages("images", images)
    numbers = vision_pb2.DEPTH_FORMAT_FLOAT32
    return filled(vision_pb2.EstimateDepthRequest, options, images=messages, format=numbers)


def embed_image_request(images: Images, **options: Unpack[EmbedImageOptions]) -> vision_pb2.EmbedImageRequest:
    """A request for packed vectors."""
    messages = image_messages("images", images)
    packed = common_pb2.EMBEDDING_FORMAT_PACKED
    return filled(vision_pb2.EmbedImageRequest, options, images=messages, format=packed)


def caption_image_request(
    images: Images, **options: Unpack[CaptionImageOptions]
) -> vision_pb2.CaptionImageRequest:
    """A request to describe images."""
    return filled(vision_pb2.CaptionImageRequest, gathered(options), images=image_messages("images", images))


def answer_image_question_request(
    inputs: Sequence[tuple[ImageSource, str]], **options: Unpack[AnswerImageQuestionOptions]
) -> vision_pb2.AnswerImageQuestionRequest:
    """A request to answer questions, each about its image."""
    # Two fields are called top_k: the request's own keeps the name.
    fields: dict[str, Any] = {**options, "top_k": options.get("generation_top_k")}
    fields.pop("generation_top_k", None)
    questions = [
        vision_pb2.ImageQuestion(image=image_message(image, f"{place}.image"), question=question)
        for place, (image, question) in _tuples("inputs", inputs, ("(image, question)",))
    ]
    fields = {**gathered(fields), "top_k": options.get("top_k")}
    return filled(vision_pb2.AnswerImageQuestionRequest, fields, inputs=questions)


def answer_document_question_request(
    inputs: Sequence[DocumentInput], **options: Unpack[AnswerDocumentQuestionOptions]
) -> vision_pb2.AnswerDocumentQuestionRequest:
    """A request to answer questions, each about its document."""
    forms = ("(image, question)", "(image, question, words)")
    questions = [_document_question(place, *parts) for place, parts in _tuples("inputs", inputs, forms)]
    return filled(vision_pb2.AnswerDocumentQuestionRequest, options, inputs=questions)


def match_keypoints_request(
    pairs: Sequence[tuple[ImageSource, ImageSource]], **options: Unpack[MatchKeypointsOptions]
) -> vision_pb2.MatchKeypointsRequest:
    """A request for the points that two images share."""
    messages = [
        vision_pb2.ImagePair(
            first=image_message(first, f"{place}.first"), second=image_message(second, f"{place}.second")
        )
        for place, (first, second) in _tuples("pairs", pairs, ("(image, image)",))
    ]
    return filled(vision_pb2.MatchKeypointsRequest, options, pairs=messages)


def classify_video_request(
    videos: Sequence[VideoSource], **options: Unpack[ClassifyVideoOptions]
) -> vision_pb2.ClassifyVideoRequest:
    """A request to label videos."""
    return filled(vision_pb2.ClassifyVideoRequest, options, videos=video_messages("videos", videos))


def _tuples(name: str, values: Sequence[Any], forms: Sequence[str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Tuples of one of some forms, each with its place; one tuple where a list is meant is refused."""
    lengths = {form.count(",") + 1 for form in forms}
    for index, value in enumerate(values):
        place = f"{name}[{index}]"
        if not isinstance(value, tuple | list):
            raise TypeError(f"{name} are tuples {' or '.join(forms)}; send a list: [{forms[0]}]")
        if len(value) not in lengths:
            raise TypeError(f"{place} has {len(value)} parts; it may be: {' or '.join(forms)}")
        yield place, tuple(value)


def _document_question(
    place: str, image: ImageSource, question: str, words: Sequence[DocumentWord] | None = None
) -> vision_pb2.DocumentQuestion:
    return vision_pb2.DocumentQuestion(
        image=image_message(image, f"{place}.image"),
        question=question,
        words=[_document_word(word, f"{place}.words[{index}]") for index, word in enumerate(words or ())],
    )


def _document_word(word: DocumentWord, place: str) -> vision_pb2.DocumentWord:
    try:
        text, (xmin, ymin, xmax, ymax) = word
        box = vision_pb2.BoundingBox(xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)
        return vision_pb2.DocumentWord(text=text, box=box)
    except (TypeError, ValueError) as error:
        form = "(text, (xmin, ymin, xmax, ymax)), the box in whole thousandths of the image"
        raise TypeError(f"{place} is {word!r}; it may be: {form}") from error
