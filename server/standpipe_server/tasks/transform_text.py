"""TransformText: texts into what a sequence-to-sequence model makes of them."""

from __future__ import annotations

from collections.abc import Sequence

from standpipe.v1 import text_pb2
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import SEQ2SEQ
from standpipe_server.tasks.base import InputLimits, Task, check_texts, text_cost, texts_to_calls
from standpipe_server.tasks.causal import written
from standpipe_server.tasks.writing import BRIEF, PlainHead, WriteParameters, generation, warm_up


class TransformParameters(WriteParameters):
    """How to write."""


def _decode(request: text_pb2.TransformTextRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.texts, "texts", limits)
    return texts_to_calls(request.texts, TransformParameters(generation(request, limits)))


def _encode(outputs: Sequence[Output], _: text_pb2.TransformTextRequest) -> text_pb2.TransformTextResponse:
    response = text_pb2.TransformTextResponse()
    for output in outputs:
        text = written(output)
        response.results.add(generated_text=text.text, generated_tokens=text.tokens)
    return response


TRANSFORM_TEXT = Task(
    name="text2text-generation",
    rpc="standpipe.v1.TextService.TransformText",
    request=text_pb2.TransformTextRequest,
    response=text_pb2.TransformTextResponse,
    kind=SEQ2SEQ,
    parameters=TransformParameters,
    head=PlainHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    mixes=False,
    default=("google-t5/t5-base", "a9723ea"),
    warm_up=warm_up(TransformParameters(BRIEF)),
)
