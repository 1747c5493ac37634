"""EstimateDepth: how far away each pixel is, through the library's own pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from standpipe.v1 import vision_pb2
from standpipe_server.errors import check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import DEPTH_ESTIMATOR
from standpipe_server.media.masks import depth_png16
from standpipe_server.programs import Floats
from standpipe_server.tasks.base import InputLimits, Task, known
from standpipe_server.tasks.images import image_calls, image_cost, image_warm_up, readable


def _floats(depth: Floats, low: float, high: float) -> dict[str, bytes]:
    return {"float32": depth.astype("<f4").tobytes()}


def _png16(depth: Floats, low: float, high: float) -> dict[str, bytes]:
    return {"png16": depth_png16(depth, low, high)}


_FORMATS: dict[int, Callable[[Floats, float, float], dict[str, bytes]]] = {
    vision_pb2.DEPTH_FORMAT_UNSPECIFIED: _floats,
    vision_pb2.DEPTH_FORMAT_FLOAT32: _floats,
    vision_pb2.DEPTH_FORMAT_PNG16: _png16,
}


_PIXEL_BYTES = {number: 4 if data is _floats else 2 for number, data in _FORMATS.items()}


@dataclass(frozen=True, slots=True)
class DepthParameters:
    """How depth travels: as the field of the message that holds it, and what is in it."""

    data: Callable[[Floats, float, float], dict[str, bytes]] = _floats


class DepthHead:
    """Asks the pipeline, up to its picture of the depth, which nobody asked for."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def answer(self, call: Call) -> tuple[vision_pb2.DepthMap, int]:
        image = call.input.open()
        with readable(image):
            outputs = self._pipeline.forward(self._pipeline.preprocess(image))
        # The model's own sizes are brought to the picture's.
        size = [outputs["target_size"]]
        (found,) = self._pipeline.image_processor.post_process_depth_estimation(outputs, size)
        depth = np.asarray(found["predicted_depth"].float().numpy()).reshape(image.height, image.width)
        low, high = float(depth.min()), float(depth.max())
        return vision_pb2.DepthMap(
            width=image.width,
            height=image.height,
            min=low,
            max=high,
            **call.parameters.data(depth, low, high),
        ), 0


def _decode(request: vision_pb2.EstimateDepthRequest, limits: InputLimits) -> list[Call]:
    parameters = DepthParameters(known(_FORMATS, request.format, "format"))
    calls = image_calls(request.images, parameters, limits)
    # A small file may come to a large map, and all of them are held until the last is there.
    size = _PIXEL_BYTES[request.format] * sum(call.input.pixels() for call in calls)
    check_limit(size, "images", "max_message_bytes", limits.max_message_bytes, "bytes of depth")
    return calls


def _encode(
    outputs: Sequence[Output], _: vision_pb2.EstimateDepthRequest
) -> vision_pb2.EstimateDepthResponse:
    return vision_pb2.EstimateDepthResponse(results=[output.value for output in outputs])


ESTIMATE_DEPTH = Task(
    name="depth-estimation",
    rpc="standpipe.v1.VisionService.EstimateDepth",
    request=vision_pb2.EstimateDepthRequest,
    response=vision_pb2.EstimateDepthResponse,
    kind=DEPTH_ESTIMATOR,
    parameters=DepthParameters,
    head=DepthHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    default=("Intel/dpt-large", "bc15f29"),
    warm_up=image_warm_up(DepthParameters()),
)
