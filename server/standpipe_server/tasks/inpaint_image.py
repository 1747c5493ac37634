"""InpaintImage: pictures drawn anew in part, as texts describe.

Source: diffusers' pipelines for inpainting. A picture keeps its size unless the call says otherwise; the
library would draw its model's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from standpipe.v1 import image_generation_pb2
from standpipe_server.interfaces import Call
from standpipe_server.kinds import DIFFUSER
from standpipe_server.tasks.base import InputLimits, Task
from standpipe_server.tasks.drawing import DrawingSteps, Sketch, drawing_calls, drawing_cost, pictures
from standpipe_server.tasks.drawing_heads import PictureHead
from standpipe_server.tasks.drawing_parameters import BRIEF, DrawingParameters
from standpipe_server.tasks.images import image_of, sample_image


@dataclass(frozen=True, slots=True)
class InpaintImageParameters(DrawingParameters):
    """How to draw."""


class InpaintImageHead(PictureHead):
    """Draws what a mask leaves out."""

    task = "inpainting"


def _decode(request: image_generation_pb2.InpaintImageRequest, limits: InputLimits) -> list[Call]:
    return drawing_calls(
        request,
        InpaintImageParameters,
        limits,
        image_of(request.image, "image", limits),
        image_of(request.mask_image, "mask_image", limits),
    )


INPAINT_IMAGE = Task(
    name="inpainting",
    rpc="standpipe.v1.ImageGenerationService.InpaintImage",
    request=image_generation_pb2.InpaintImageRequest,
    response=image_generation_pb2.InpaintImageResponse,
    kind=DIFFUSER,
    parameters=InpaintImageParameters,
    head=InpaintImageHead,
    decode=_decode,
    encode=partial(pictures, image_generation_pb2.InpaintImageResponse),
    cost=drawing_cost,
    mixes=False,
    warm_up=[
        [
            Call(
                Sketch("water", image=sample_image(), mask=sample_image()),
                InpaintImageParameters(**BRIEF),
                "prompt",
            )
        ]
    ],
    steps=partial(DrawingSteps, image_generation_pb2.InpaintImageResponse),
)
