"""ImageGenerationService's RPCs, declared once for both clients.

What comes before the end is told to callbacks: a delta is what one is called with.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

from standpipe.calls import StreamRpc
from standpipe.image_generation import requests
from standpipe.image_generation.options import VideoFormatName
from standpipe.image_generation.results import Video
from standpipe.media import pillow
from standpipe.v1 import image_generation_pb2

if TYPE_CHECKING:
    from PIL.Image import Image

P = ParamSpec("P")
T = TypeVar("T")

Told: TypeAlias = tuple[Any, ...]
"""What a callback is called with."""

# Only these decoders are tried, whatever a server sends.
_FORMATS = ("PNG", "JPEG", "WEBP")

_READER = "to read what is drawn, the client"


def _readable(request: Callable[P, T]) -> Callable[P, T]:
    """A request, made only where its answer can be read: better found out now than after a minute of drawing.

    Raises:
        ImportError: Pillow isn't installed.
    """

    def made(*args: P.args, **kwargs: P.kwargs) -> T:
        pillow(_READER)
        return request(*args, **kwargs)

    return made


def ended(result: T | None) -> T:
    """What the last message brought.

    Raises:
        RuntimeError: There was none.
    """
    if result is None:
        raise RuntimeError("the call ended without a result")
    return result


def _opened(content: bytes) -> Image:
    """A picture, decoded."""
    with pillow(_READER).Image.open(BytesIO(content), formats=_FORMATS) as file:
        image: Image = file.copy()
    return image


def _picture(drawn: image_generation_pb2.GeneratedImage) -> Image:
    image = _opened(drawn.content)
    image.info |= {"seed": drawn.seed, "nsfw_content_detected": drawn.nsfw_content_detected}
    return image


def _pictures(_: object, drawn: image_generation_pb2.GeneratedImages) -> list[Image]:
    return [_picture(one) for one in drawn.images]


def _progress(progress: image_generation_pb2.DiffusionProgress) -> Told:
    return progress.step, progress.num_steps


def _preview(preview: image_generation_pb2.ImagePreview) -> Told:
    return preview.index, preview.step, _opened(preview.content)


_TOLD: dict[str, Callable[[Any], Told]] = {"progress": _progress, "preview": _preview}

GENERATE_IMAGE = StreamRpc(
    lambda stubs: stubs.image_generation.GenerateImage,
    _readable(requests.generate_image_request),
    _TOLD,
    "result",
    _pictures,
)

TRANSFORM_IMAGE = StreamRpc(
    lambda stubs: stubs.image_generation.TransformImage,
    _readable(requests.transform_image_request),
    _TOLD,
    "result",
    _pictures,
)

INPAINT_IMAGE = StreamRpc(
    lambda stubs: stubs.image_generation.InpaintImage,
    _readable(requests.inpaint_image_request),
    _TOLD,
    "result",
    _pictures,
)


def generate_video(form: VideoFormatName | None) -> StreamRpc[..., Any, Told, Video]:
    """GenerateVideo, its film in a format: an answer doesn't name its own."""

    def video(_: object, made: image_generation_pb2.GeneratedVideo) -> Video:
        return Video(
            made.content, made.width, made.height, made.num_frames, made.fps, made.seed, form or "mp4"
        )

    return StreamRpc(
        lambda stubs: stubs.image_generation.GenerateVideo,
        requests.generate_video_request,
        {"progress": _progress},
        "result",
        video,
    )
