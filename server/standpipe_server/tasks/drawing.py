"""What the tasks that draw share: requests to calls, one for each picture, and their steps to messages."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from google.protobuf.message import Message

from standpipe.v1 import image_generation_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Output, Step
from standpipe_server.media.images import EncodedImage
from standpipe_server.media.pictures import PictureForm
from standpipe_server.tasks.base import InputLimits, known, optional
from standpipe_server.tasks.drawing_parameters import DrawingParameters, check_prompt, parameters_of

FORMATS: dict[int, PictureForm] = {
    image_generation_pb2.IMAGE_FORMAT_UNSPECIFIED: "png",
    image_generation_pb2.IMAGE_FORMAT_PNG: "png",
    image_generation_pb2.IMAGE_FORMAT_JPEG: "jpeg",
    image_generation_pb2.IMAGE_FORMAT_WEBP: "webp",
}
_SEEDS = 1 << 64
# Of a pixel, at most, or nearly so.
_BYTES: dict[PictureForm, int] = {"png": 3, "webp": 3, "jpeg": 1}
# Pixels that cost one.
_UNIT = 512 * 512


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a call brings of its own; everything else it has in common with those of its batch.

    Attributes:
        prompt: What is drawn.
        negative_prompt: What isn't; None for whatever the pipeline takes then.
        seed: Of its noise.
        format: That it comes in.
        preview_steps: A preview after each so many; 0 for none.
        image: What it begins with.
        mask: Where that is drawn anew.
    """

    prompt: str
    negative_prompt: str | None = None
    seed: int = 0
    format: str = "png"
    preview_steps: int = 0
    image: EncodedImage | None = None
    mask: EncodedImage | None = None


class DrawingSteps:
    """Tells how far a request's pictures are: the mean of their steps.

    Args:
        response: Class of the messages.
        count: Pictures.
    """

    def __init__(self, response: Any, count: int) -> None:
        self._response = response
        self._count = count
        self._done: dict[int, int] = {}
        self._told = 0

    def add(self, index: int, step: Step) -> Sequence[Message]:
        return list(self._messages(index, step))

    def _messages(self, index: int, step: Step) -> Iterator[Message]:
        # A preview that took long may come after the next step.
        self._done[index] = max(step.number, self._done.get(index, 0))
        mean = sum(self._done.values()) // self._count
        if mean > self._told:
            self._told = mean
            progress = image_generation_pb2.DiffusionProgress(step=mean, num_steps=step.count)
            yield self._response(progress=progress)
        if step.preview:
            preview = image_generation_pb2.ImagePreview(index=index, step=step.number, content=step.preview)
            yield self._response(preview=preview)


def drawing_calls(
    request: Any,
    kind: type[DrawingParameters],
    limits: InputLimits,
    image: EncodedImage | None = None,
    mask: EncodedImage | None = None,
) -> list[Call]:
    """A call for each picture of a request, each with a seed of its own.

    Raises:
        InvalidInputError: The request is at fault, naming the field.
    """
    check_prompt(request.prompt, "prompt", limits)
    if not request.prompt.strip():
        raise InvalidInputError("the prompt is empty", "prompt")
    count = optional(request, "num_images_per_prompt", 1)
    if not count:
        raise InvalidInputError("0 pictures: send at least 1, or leave it out", "num_images_per_prompt")
    check_limit(count, "num_images_per_prompt", "max_drawn_images", limits.max_drawn_images, "pictures")
    parameters = parameters_of(request, kind, limits)
    form = known(FORMATS, request.format, "format")
    _check_answer(count * _BYTES[form], parameters, limits)
    first = seed_of(request)
    sketches = [
        Sketch(
            request.prompt,
            optional(request.parameters, "negative_prompt", None),
            (first + place) % _SEEDS,
            form,
            request.preview_steps,
            image,
            mask,
        )
        for place in range(count)
    ]
    return [Call(sketch, parameters, "prompt") for sketch in sketches]


def pictures(response: Any, outputs: Sequence[Output], _: Message) -> Message:
    """The last message of a request: what was drawn.

    Args:
        response: Class of the message.
        outputs: One for each picture.
    """
    images = image_generation_pb2.GeneratedImages(images=[output.value for output in outputs])
    message: Message = response(result=images)
    return message


def _check_answer(bytes_a_pixel: int, parameters: DrawingParameters, limits: InputLimits) -> None:
    """Refuse pictures that together may be more than a message holds, before they are drawn."""
    pixels = (parameters.width or 0) * (parameters.height or 0)
    check_limit(
        bytes_a_pixel * pixels,
        "num_images_per_prompt",
        "max_message_bytes",
        limits.max_message_bytes,
        "bytes of pictures in one answer",
    )


def seed_of(request: Any) -> int:
    """A request's seed, or another one each time: short enough to be told and typed."""
    seed: int = optional(request.parameters, "seed", secrets.randbits(32))
    return seed


def drawing_cost(call: Call) -> int:
    """One for a quarter of a million pixels, and where the size is the model's own."""
    width, height = call.parameters.width, call.parameters.height
    return ceil(width * height / _UNIT) if width and height else 1
