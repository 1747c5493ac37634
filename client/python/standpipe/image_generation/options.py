"""The options of ImageGenerationService's calls, by name; ``standpipe.options`` says how they work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

ImageFormatName = Literal["png", "jpeg", "webp"]
VideoFormatName = Literal["mp4", "webm", "gif"]


class DiffusionOptions(TypedDict, total=False):
    """The fields of DiffusionParameters: how a model draws.

    ``loras`` are names of adapters, or names with a weight each: ``{"watercolour": 0.8}``.
    """

    negative_prompt: str | None
    num_inference_steps: int | None
    guidance_scale: float | None
    width: int | None
    height: int | None
    seed: int | None
    scheduler: str | None
    loras: Mapping[str, float] | Sequence[str] | None
    guidance_rescale: float | None
    eta: float | None
    clip_skip: int | None


class GenerateImageOptions(DiffusionOptions, total=False):
    """The optional fields of GenerateImageRequest, and how the model draws."""

    model: str | None
    num_images_per_prompt: int | None
    format: ImageFormatName | None
    preview_steps: int | None


class TransformImageOptions(GenerateImageOptions, total=False):
    """The optional fields of TransformImageRequest and InpaintImageRequest, and how the model draws."""

    strength: float | None


class GenerateVideoOptions(DiffusionOptions, total=False):
    """The optional fields of GenerateVideoRequest, and how the model draws."""

    model: str | None
    num_frames: int | None
    fps: float | None
    format: VideoFormatName | None
