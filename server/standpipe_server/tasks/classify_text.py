"""ClassifyText: texts, or pairs of them, into scored labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from standpipe.v1 import text_pb2
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import SEQUENCE_CLASSIFIER
from standpipe_server.programs import Cut, Encoding, Floats, TextModel
from standpipe_server.tasks.base import (
    SIDES,
    InputLimits,
    Task,
    check_pairs,
    known,
    optional,
    positive,
    text_cost,
    texts_to_calls,
)
from standpipe_server.tasks.labels import (
    FUNCTION_NAMES,
    FUNCTIONS,
    FunctionName,
    Scored,
    SequenceHead,
    best_first,
    labels_of,
    to_message,
    usual_function,
    warm_up,
)


@dataclass(frozen=True, slots=True)
class ClassifyParameters:
    """How to classify; ``None`` means as the model's own files say."""

    cut: Cut = Cut()
    function: FunctionName | None = None
    top_k: int | None = None


class ClassifyHead(SequenceHead):
    """Turns the logits of a sequence into scored labels."""

    def __init__(self, model: TextModel) -> None:
        super().__init__(model)
        self._labels = labels_of(model.config)
        self._usual = usual_function(model.config)

    def answer(self, call: Call, encodings: Sequence[Encoding], rows: Sequence[Floats]) -> list[Scored]:
        parameters: ClassifyParameters = call.parameters
        scores = FUNCTIONS[parameters.function or self._usual](rows[0])
        return best_first(self._labels, scores.tolist(), parameters.top_k)


def _decode(request: text_pb2.ClassifyTextRequest, limits: InputLimits) -> list[Call]:
    texts = check_pairs(request.texts, request.text_pairs, limits)
    side = known(SIDES, request.truncation_direction, "truncation_direction")
    parameters = ClassifyParameters(
        cut=Cut(optional(request, "truncate", True), side),
        function=known(FUNCTION_NAMES, request.function_to_apply, "function_to_apply"),
        top_k=positive(request, "top_k", None),
    )
    return texts_to_calls(texts, parameters)


def _encode(outputs: Sequence[Output], _: text_pb2.ClassifyTextRequest) -> text_pb2.ClassifyTextResponse:
    return text_pb2.ClassifyTextResponse(results=[to_message(output.value) for output in outputs])


CLASSIFY_TEXT = Task(
    name="text-classification",
    rpc="standpipe.v1.TextService.ClassifyText",
    request=text_pb2.ClassifyTextRequest,
    response=text_pb2.ClassifyTextResponse,
    kind=SEQUENCE_CLASSIFIER,
    parameters=ClassifyParameters,
    head=ClassifyHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    default=("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "714eb0f"),
    warm_up=warm_up(ClassifyParameters()),
)
