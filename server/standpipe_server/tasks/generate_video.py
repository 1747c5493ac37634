"""GenerateVideo: texts, or pictures, into films.

Source: diffusers' pipelines for text-to-video and image-to-video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from PIL import Image

from standpipe.v1 import image_generation_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import DIFFUSER
from standpipe_server.media.films import FilmForm, check_form, film
from standpipe_server.media_programs import Drawn
from standpipe_server.tasks.base import InputLimits, Task, as_sent, known, optional
from standpipe_server.tasks.drawing import DrawingSteps, Sketch, drawing_cost, seed_of
from standpipe_server.tasks.drawing_files import Size
from standpipe_server.tasks.drawing_heads import DrawingHead, size_from, size_of
from standpipe_server.tasks.drawing_parameters import (
    BRIEF,
    DrawingParameters,
    check_prompt,
    in_range,
    parameters_of,
)
from standpipe_server.tasks.images import image_of, sample_image

_FORMATS: dict[int, FilmForm] = {
    image_generation_pb2.VIDEO_FORMAT_UNSPECIFIED: "mp4",
    image_generation_pb2.VIDEO_FORMAT_MP4: "mp4",
    image_generation_pb2.VIDEO_FORMAT_WEBM: "webm",
    image_generation_pb2.VIDEO_FORMAT_GIF: "gif",
}
_FPS = 8.0
_MOST_FPS = 120.0


@dataclass(frozen=True, slots=True)
class GenerateVideoParameters(DrawingParameters):
    """How to draw.

    Attributes:
        fps: Frames a second.
        max_film_pixels: Of all its frames.
    """

    fps: float = _FPS
    max_film_pixels: int = 1 << 27


class GenerateVideoHead(DrawingHead):
    """Draws frame by frame, all at once."""

    task = "text-to-video"

    @property
    def pixels(self) -> None:
        """Films are drawn one by one: each is a batch of frames."""

    def _size(self, asked: Any, image: Image.Image | None) -> Size | None:
        """The pipeline's own rather than the picture's: most of these draw theirs well, and others not."""
        artist = self._artist
        usual = artist.size or (size_from(image, artist.multiple) if image else None)
        size = size_of(asked, usual, artist.multiple, "image" if image else "parameters.width")
        frames = dict(asked.arguments).get("num_frames") or artist.takes.get("num_frames")
        width, height = size or usual or (0, 0)
        if isinstance(frames, int):
            pixels = frames * width * height
            check_limit(pixels, "num_frames", "max_film_pixels", asked.max_film_pixels, "pixels of one film")
        return size

    def value(self, call: Call, drawn: Drawn) -> image_generation_pb2.GeneratedVideo:
        first = drawn.frames[0]
        fps: float = call.parameters.fps
        return image_generation_pb2.GeneratedVideo(
            content=film(drawn.frames, fps, call.input.format),
            width=first.width,
            height=first.height,
            num_frames=len(drawn.frames),
            fps=fps,
            seed=call.input.seed,
        )


def _decode(request: image_generation_pb2.GenerateVideoRequest, limits: InputLimits) -> list[Call]:
    check_prompt(request.prompt, "prompt", limits)
    image = image_of(request.image, "image", limits) if request.HasField("image") else None
    if not request.prompt.strip() and image is None:
        raise InvalidInputError("there is no prompt, and no picture either", "prompt")
    fps = as_sent(optional(request, "fps", _FPS))
    in_range(fps, 1.0, _MOST_FPS, "fps")
    frames = optional(request, "num_frames", None)
    if frames == 0:
        raise InvalidInputError("0 frames: send at least 1, or leave it out", "num_frames")
    check_limit(frames or 0, "num_frames", "max_drawn_frames", limits.max_drawn_frames, "frames")
    more: dict[str, int] = {} if frames is None else {"num_frames": frames}
    parameters = replace(
        parameters_of(request, GenerateVideoParameters, limits, **more),
        fps=fps,
        max_film_pixels=limits.max_film_pixels,
    )
    form = known(_FORMATS, request.format, "format")
    check_form(form, "format")
    negative = optional(request.parameters, "negative_prompt", None)
    sketch = Sketch(request.prompt, negative, seed_of(request), form, image=image)
    return [Call(sketch, parameters, "prompt")]


def _encode(
    outputs: Sequence[Output], _: image_generation_pb2.GenerateVideoRequest
) -> image_generation_pb2.GenerateVideoResponse:
    return image_generation_pb2.GenerateVideoResponse(result=outputs[0].value)


_BRIEF = GenerateVideoParameters(**{**BRIEF, "arguments": (*BRIEF["arguments"], ("num_frames", 9))})

GENERATE_VIDEO = Task(
    name="text-to-video",
    rpc="standpipe.v1.ImageGenerationService.GenerateVideo",
    request=image_generation_pb2.GenerateVideoRequest,
    response=image_generation_pb2.GenerateVideoResponse,
    kind=DIFFUSER,
    parameters=GenerateVideoParameters,
    head=GenerateVideoHead,
    decode=_decode,
    encode=_encode,
    cost=drawing_cost,
    mixes=False,
    warm_up=[[Call(Sketch("water", format="gif", image=sample_image()), _BRIEF, "prompt")]],
    steps=partial(DrawingSteps, image_generation_pb2.GenerateVideoResponse),
)
