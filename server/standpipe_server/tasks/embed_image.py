"""EmbedImage: images into vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from standpipe.v1 import vision_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import IMAGE_FEATURES
from standpipe_server.media_programs import ImageModel
from standpipe_server.programs import Floats
from standpipe_server.tasks.base import InputLimits, Task, known, optional
from standpipe_server.tasks.images import PictureHead, image_calls, image_cost, image_warm_up
from standpipe_server.tasks.vectors import PACKED, normalize, to_fields

Pool = Callable[[Mapping[str, Floats]], Floats]


def _pooler(outputs: Mapping[str, Floats]) -> Floats:
    if "pooler_output" not in outputs:
        raise InvalidInputError("the model has no pooler that was trained", "pooling")
    return outputs["pooler_output"].reshape(-1)


def _cls(outputs: Mapping[str, Floats]) -> Floats:
    features = outputs["last_hidden_state"]
    if features.ndim != 2:
        raise InvalidInputError("the model reads an image as a map, without a first token", "pooling")
    first: Floats = features[0]
    return first


def _mean(outputs: Mapping[str, Floats]) -> Floats:
    features = outputs["last_hidden_state"]
    # Tokens are (n, d), maps (d, height, width).
    mean: Floats = features.mean(0 if features.ndim == 2 else (1, 2))
    return mean


def _usual(outputs: Mapping[str, Floats]) -> Floats:
    if "pooler_output" in outputs:
        return _pooler(outputs)
    return (_cls if outputs["last_hidden_state"].ndim == 2 else _mean)(outputs)


_POOLING: dict[int, Pool] = {
    vision_pb2.IMAGE_POOLING_UNSPECIFIED: _usual,
    vision_pb2.IMAGE_POOLING_POOLER: _pooler,
    vision_pb2.IMAGE_POOLING_CLS: _cls,
    vision_pb2.IMAGE_POOLING_MEAN: _mean,
}


@dataclass(frozen=True, slots=True)
class EmbedImageParameters:
    """How an image becomes one vector."""

    pool: Pool = _usual
    normalize: bool = False


class EmbedImageHead(PictureHead):
    """Makes a vector of an image's features."""

    def __init__(self, model: ImageModel) -> None:
        config = getattr(model.config, "vision_config", model.config)
        self.dimensions = int(
            getattr(model.config, "projection_dim", 0) or getattr(config, "hidden_size", 0) or 0
        )

    def answer(self, call: Call, outputs: Mapping[str, Floats]) -> Floats:
        parameters: EmbedImageParameters = call.parameters
        # A copy: the next pass overwrites the outputs.
        vector = np.array(parameters.pool(outputs), np.float32)
        return normalize(vector) if parameters.normalize else vector


def _decode(request: vision_pb2.EmbedImageRequest, limits: InputLimits) -> list[Call]:
    known(PACKED, request.format, "format")
    parameters = EmbedImageParameters(
        pool=known(_POOLING, request.pooling, "pooling"),
        normalize=optional(request, "normalize", False),
    )
    return image_calls(request.images, parameters, limits)


def _encode(
    outputs: Sequence[Output], request: vision_pb2.EmbedImageRequest
) -> vision_pb2.EmbedImageResponse:
    vectors = [output.value for output in outputs]
    return vision_pb2.EmbedImageResponse(**to_fields(vectors, packed=PACKED[request.format]))


EMBED_IMAGE = Task(
    name="image-feature-extraction",
    rpc="standpipe.v1.VisionService.EmbedImage",
    request=vision_pb2.EmbedImageRequest,
    response=vision_pb2.EmbedImageResponse,
    kind=IMAGE_FEATURES,
    parameters=EmbedImageParameters,
    head=EmbedImageHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    default=("google/vit-base-patch16-224", "3f49326"),
    warm_up=image_warm_up(EmbedImageParameters()),
)
