"""RerankText: texts sorted by how well they answer a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from standpipe.v1 import text_pb2
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import SEQUENCE_CLASSIFIER
from standpipe_server.programs import Cut, Encoding, Floats, TextModel
from standpipe_server.tasks.base import (
    SIDES,
    InputLimits,
    Task,
    check_text,
    check_texts,
    known,
    optional,
    positive,
    text_cost,
    texts_to_calls,
)
from standpipe_server.tasks.labels import SequenceHead, sigmoid, warm_up


@dataclass(frozen=True, slots=True)
class RerankParameters:
    """How to score."""

    cut: Cut = Cut()
    raw: bool = False


class RerankHead(SequenceHead):
    """Turns the one logit of a query and a text into a score."""

    def __init__(self, model: TextModel) -> None:
        if model.config.num_labels != 1:
            raise ModelLoadError(f"its {model.config.num_labels} labels don't rank; a ranker has one")
        super().__init__(model)

    def answer(self, call: Call, encodings: Sequence[Encoding], rows: Sequence[Floats]) -> float:
        raw: bool = call.parameters.raw
        score: float = (rows[0] if raw else sigmoid(rows[0])).item()
        return score


def _decode(request: text_pb2.RerankTextRequest, limits: InputLimits) -> list[Call]:
    check_text(request.query, "query", limits)
    check_texts(request.texts, "texts", limits)
    positive(request, "top_k", None)
    side = known(SIDES, request.truncation_direction, "truncation_direction")
    parameters = RerankParameters(
        Cut(optional(request, "truncate", True), side), raw=optional(request, "raw_scores", False)
    )
    return texts_to_calls([(request.query, text) for text in request.texts], parameters)


def _encode(outputs: Sequence[Output], request: text_pb2.RerankTextRequest) -> text_pb2.RerankTextResponse:
    ranked = sorted(enumerate(outputs), key=lambda numbered: -numbered[1].value)
    response = text_pb2.RerankTextResponse()
    for index, output in ranked[: optional(request, "top_k", None)]:
        text = request.texts[index] if request.return_texts else ""
        response.results.add(index=index, score=output.value, text=text)
    return response


RERANK_TEXT = Task(
    name="text-ranking",
    rpc="standpipe.v1.TextService.RerankText",
    request=text_pb2.RerankTextRequest,
    response=text_pb2.RerankTextResponse,
    kind=SEQUENCE_CLASSIFIER,
    parameters=RerankParameters,
    head=RerankHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    warm_up=warm_up(RerankParameters(), pairs=True),
)
