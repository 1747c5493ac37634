"""TransformImage: pictures drawn anew, as texts describe.

Source: diffusers' pipelines for image-to-image. A picture keeps its size unless the call says otherwise.
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
class TransformImageParameters(DrawingParameters):
    """How to draw."""


class TransformImageHead(PictureHead):
    """Draws out of a picture and noise."""

    task = "image-to-image"


def _decode(request: image_generation_pb2.TransformImageRequest, limits: InputLimits) -> list[Call]:
    return drawing_calls(request, TransformImageParameters, limits, image_of(request.image, "image", limits))


TRANSFORM_IMAGE = Task(
    name="image-to-image",
    rpc="standpipe.v1.ImageGenerationService.TransformImage",
    request=image_generation_pb2.TransformImageRequest,
    response=image_generation_pb2.TransformImageResponse,
    kind=DIFFUSER,
    parameters=TransformImageParameters,
    head=TransformImageHead,
    decode=_decode,
    encode=partial(pictures, image_generation_pb2.TransformImageResponse),
    cost=drawing_cost,
    mixes=False,
    warm_up=[[Call(Sketch("water", image=sample_image()), TransformImageParameters(**BRIEF), "prompt")]],
    steps=partial(DrawingSteps, image_generation_pb2.TransformImageResponse),
)
