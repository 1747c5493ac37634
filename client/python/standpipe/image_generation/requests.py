"""ImageGenerationService's requests from Python arguments; shared by both clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, Unpack

import numpy as np
from numpy.typing import NDArray

from standpipe.fields import filled, gathered, several
from standpipe.image_generation.options import (
    GenerateImageOptions,
    GenerateVideoOptions,
    TransformImageOptions,
)
from standpipe.media import ImageSource, image_message
from standpipe.v1 import common_pb2, image_generation_pb2

MaskSource: TypeAlias = ImageSource | NDArray[np.bool_]
"""A mask: an image, white where it is drawn anew, or an array (height, width) that is True there."""

_WHITE = 255


def generate_image_request(
    prompt: str, **options: Unpack[GenerateImageOptions]
) -> image_generation_pb2.GenerateImageRequest:
    """A request to draw what a text describes.

    Raises:
        TypeError: ``loras`` is one string, or an image is nothing that an image may be.
        ValueError: An image can't be sent, or an option's value is none of those there are.
        OSError: A file can't be read.
        ImportError: Pillow is needed, and isn't installed. All four hold for every request here.
    """
    return filled(image_generation_pb2.GenerateImageRequest, _drawn(options), prompt=prompt)


def transform_image_request(
    image: ImageSource, prompt: str, **options: Unpack[TransformImageOptions]
) -> image_generation_pb2.TransformImageRequest:
    """A request to draw a picture anew."""
    return filled(
        image_generation_pb2.TransformImageRequest,
        _drawn(options),
        image=image_message(image, "image"),
        prompt=prompt,
    )


def inpaint_image_request(
    image: ImageSource, mask_image: MaskSource, prompt: str, **options: Unpack[TransformImageOptions]
) -> image_generation_pb2.InpaintImageRequest:
    """A request to draw a part of a picture anew."""
    return filled(
        image_generation_pb2.InpaintImageRequest,
        _drawn(options),
        image=image_message(image, "image"),
        mask_image=_mask_message(mask_image, "mask_image"),
        prompt=prompt,
    )


def generate_video_request(
    prompt: str = "", image: ImageSource | None = None, **options: Unpack[GenerateVideoOptions]
) -> image_generation_pb2.GenerateVideoRequest:
    """A request to make a film."""
    return filled(
        image_generation_pb2.GenerateVideoRequest,
        _drawn(options),
        prompt=prompt,
        image=None if image is None else image_message(image, "image"),
    )


def _mask_message(mask: Any, place: str) -> common_pb2.Image:
    """A mask as a message, whatever it was given as."""
    marked = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
    return image_message(mask.astype(np.uint8) * _WHITE if marked else mask, place)


def _drawn(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, those that say how a model draws gathered in one message."""
    loras = options.get("loras")
    fields = options if loras is None else {**options, "loras": _adapters(loras)}
    return gathered(fields, image_generation_pb2.DiffusionParameters)


def _adapters(loras: Mapping[str, float] | Sequence[str]) -> list[image_generation_pb2.LoraAdapter]:
    adapter = image_generation_pb2.LoraAdapter
    if isinstance(loras, Mapping):
        return [adapter(name=name, weight=weight) for name, weight in loras.items()]
    return [adapter(name=name) for name in several("loras", loras)]
