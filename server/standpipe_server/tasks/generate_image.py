"""GenerateImage: texts into pictures.

Source: diffusers' pipelines for text-to-image.
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


@dataclass(frozen=True, slots=True)
class GenerateImageParameters(DrawingParameters):
    """How to draw."""


class GenerateImageHead(PictureHead):
    """Draws out of noise."""

    task = "text-to-image"


def _decode(request: image_generation_pb2.GenerateImageRequest, limits: InputLimits) -> list[Call]:
    return drawing_calls(request, GenerateImageParameters, limits)


GENERATE_IMAGE = Task(
    name="text-to-image",
    rpc="standpipe.v1.ImageGenerationService.GenerateImage",
    request=image_generation_pb2.GenerateImageRequest,
    response=image_generation_pb2.GenerateImageResponse,
    kind=DIFFUSER,
    parameters=GenerateImageParameters,
    head=GenerateImageHead,
    decode=_decode,
    encode=partial(pictures, image_generation_pb2.GenerateImageResponse),
    cost=drawing_cost,
    mixes=False,
    warm_up=[[Call(Sketch("water"), GenerateImageParameters(**BRIEF), "prompt")]],
    steps=partial(DrawingSteps, image_generation_pb2.GenerateImageResponse),
)
