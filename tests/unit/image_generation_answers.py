"""An answer for each RPC of ImageGenerationService: its messages."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from google.protobuf.duration_pb2 import Duration
from PIL import Image

from standpipe.v1 import common_pb2, image_generation_pb2

METADATA = common_pb2.Metadata(model="m", compute_duration=Duration(seconds=2))

# Wider than high, and every pixel another colour.
PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 9


def file_of(pixels: Any, form: str = "PNG") -> bytes:
    """A picture as a file."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def _progress(step: int) -> image_generation_pb2.DiffusionProgress:
    return image_generation_pb2.DiffusionProgress(step=step, num_steps=3)


PREVIEW = image_generation_pb2.ImagePreview(index=1, step=2, content=file_of(255 - PIXELS))

IMAGES = image_generation_pb2.GeneratedImages(
    images=[
        image_generation_pb2.GeneratedImage(content=file_of(PIXELS), width=3, height=2, seed=2**64 - 2),
        image_generation_pb2.GeneratedImage(
            content=file_of(0 * PIXELS), width=3, height=2, seed=2**64 - 1, nsfw_content_detected=True
        ),
    ]
)

VIDEO = image_generation_pb2.GeneratedVideo(
    content=b"\x1aE\xdf\xa3...", width=3, height=2, num_frames=4, fps=7.5, seed=2**64 - 1
)


def _drawn(response: Any) -> list[Any]:
    """What a drawing RPC answers."""
    told: list[dict[str, Any]] = [{"progress": _progress(step)} for step in (1, 2, 3)]
    told.insert(2, {"preview": PREVIEW})
    return [response(**one) for one in told] + [response(result=IMAGES, metadata=METADATA)]


IMAGE_GENERATION_ANSWERS: dict[str, Any] = {
    "GenerateImage": _drawn(image_generation_pb2.GenerateImageResponse),
    "TransformImage": _drawn(image_generation_pb2.TransformImageResponse),
    "InpaintImage": _drawn(image_generation_pb2.InpaintImageResponse),
    "GenerateVideo": [
        image_generation_pb2.GenerateVideoResponse(progress=_progress(2)),
        image_generation_pb2.GenerateVideoResponse(progress=_progress(3)),
        image_generation_pb2.GenerateVideoResponse(result=VIDEO, metadata=METADATA),
    ],
}
