"""The options of VisionService's calls, by name; ``standpipe.options`` says how they work.

How masks, depth and vectors travel isn't among them: the clients return arrays, and ask for what is cheapest.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from standpipe.options import FunctionName, GenerationOptions

SubtaskName = Literal["semantic", "instance", "panoptic"]
ImagePoolingName = Literal["pooler", "cls", "mean"]


class ClassifyImageOptions(TypedDict, total=False):
    """The optional fields of ClassifyImageRequest."""

    model: str | None
    top_k: int | None
    function_to_apply: FunctionName | None


class ClassifyImageZeroShotOptions(TypedDict, total=False):
    """The optional fields of ClassifyImageZeroShotRequest."""

    model: str | None
    hypothesis_template: str | None


class DetectObjectsOptions(TypedDict, total=False):
    """The optional fields of DetectObjectsRequest."""

    model: str | None
    threshold: float | None


class DetectObjectsZeroShotOptions(TypedDict, total=False):
    """The optional fields of DetectObjectsZeroShotRequest."""

    model: str | None
    threshold: float | None
    top_k: int | None


class SegmentImageOptions(TypedDict, total=False):
    """The optional fields of SegmentImageRequest."""

    model: str | None
    subtask: SubtaskName | None
    threshold: float | None
    mask_threshold: float | None
    overlap_mask_area_threshold: float | None


class GenerateMasksOptions(TypedDict, total=False):
    """The optional fields of GenerateMasksRequest."""

    model: str | None
    pred_iou_thresh: float | None
    stability_score_thresh: float | None
    stability_score_offset: float | None
    mask_threshold: float | None
    crops_nms_thresh: float | None
    points_per_crop: int | None


class EstimateDepthOptions(TypedDict, total=False):
    """The optional fields of EstimateDepthRequest."""

    model: str | None


class EmbedImageOptions(TypedDict, total=False):
    """The optional fields of EmbedImageRequest."""

    model: str | None
    pooling: ImagePoolingName | None
    normalize: bool | None


class CaptionImageOptions(GenerationOptions, total=False):
    """The optional fields of CaptionImageRequest, and how the model writes."""

    model: str | None
    prompt: str | None


class AnswerImageQuestionOptions(GenerationOptions, total=False):
    """The optional fields of AnswerImageQuestionRequest, and how the model writes.

    ``top_k`` says how many answers there are at most; the ``top_k`` of GenerationParameters, from how many
    tokens is drawn, is ``generation_top_k`` here.
    """

    model: str | None
    generation_top_k: int | None


class AnswerDocumentQuestionOptions(TypedDict, total=False):
    """The optional fields of AnswerDocumentQuestionRequest."""

    model: str | None
    top_k: int | None
    doc_stride: int | None
    max_answer_len: int | None
    max_seq_len: int | None
    handle_impossible_answer: bool | None
    lang: str | None


class MatchKeypointsOptions(TypedDict, total=False):
    """The optional fields of MatchKeypointsRequest."""

    model: str | None
    threshold: float | None


class ClassifyVideoOptions(TypedDict, total=False):
    """The optional fields of ClassifyVideoRequest."""

    model: str | None
    top_k: int | None
    function_to_apply: FunctionName | None
    num_frames: int | None
    frame_sampling_rate: int | None
