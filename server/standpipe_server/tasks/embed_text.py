"""EmbedText: texts into vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from standpipe.v1 import text_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, EmbedParameters, Output, PoolingMode, TruncationSide
from standpipe_server.tasks.base import InputLimits, Task, check_texts, known, text_cost

_POOLING: dict[int, PoolingMode | None] = {
    text_pb2.POOLING_UNSPECIFIED: None,
    text_pb2.POOLING_MEAN: "mean",
    text_pb2.POOLING_CLS: "cls",
    text_pb2.POOLING_MAX: "max",
    text_pb2.POOLING_LAST_TOKEN: "lasttoken",
}
_SIDE: dict[int, TruncationSide | None] = {
    text_pb2.TRUNCATION_DIRECTION_UNSPECIFIED: None,
    text_pb2.TRUNCATION_DIRECTION_LEFT: "left",
    text_pb2.TRUNCATION_DIRECTION_RIGHT: "right",
}
_PACKED: dict[int, bool] = {
    text_pb2.EMBEDDING_FORMAT_UNSPECIFIED: False,
    text_pb2.EMBEDDING_FORMAT_VALUES: False,
    text_pb2.EMBEDDING_FORMAT_PACKED: True,
}


def _decode(request: text_pb2.EmbedTextRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.texts, "texts", limits)
    known(_PACKED, request.format, "format")
    if request.HasField("dimensions") and request.dimensions == 0:
        raise InvalidInputError("0 dimensions can't be kept: send at least 1", "dimensions")
    parameters = EmbedParameters(
        normalize=request.normalize if request.HasField("normalize") else None,
        truncate=request.truncate if request.HasField("truncate") else True,
        truncation_side=known(_SIDE, request.truncation_direction, "truncation_direction"),
        prompt_name=request.prompt_name if request.HasField("prompt_name") else None,
        pooling=known(_POOLING, request.pooling, "pooling"),
        dimensions=request.dimensions if request.HasField("dimensions") else None,
    )
    return [Call(text, parameters) for text in request.texts]


def _encode(outputs: Sequence[Output], request: text_pb2.EmbedTextRequest) -> text_pb2.EmbedTextResponse:
    dimensions = len(outputs[0].value)
    if _PACKED[request.format]:
        packed = b"".join(np.asarray(output.value, "<f4").tobytes() for output in outputs)
        return text_pb2.EmbedTextResponse(packed=packed, dimensions=dimensions)
    response = text_pb2.EmbedTextResponse(dimensions=dimensions)
    for output in outputs:
        # tolist first: a repeated field takes a list of floats six times faster than an array.
        response.embeddings.add().values.extend(output.value.tolist())
    return response


def _warm_up() -> list[list[Call]]:
    parameters = EmbedParameters()
    lone = [Call("Water stands ready in the pipe.", parameters)]
    return [lone, [Call(f"{'a fixed pipe ' * n} that stands ready", parameters) for n in range(16)], lone]


EMBED_TEXT = Task(
    name="feature-extraction",
    rpc="standpipe.v1.TextService.EmbedText",
    request=text_pb2.EmbedTextRequest,
    response=text_pb2.EmbedTextResponse,
    items="texts",
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    warm_up=_warm_up(),
)
