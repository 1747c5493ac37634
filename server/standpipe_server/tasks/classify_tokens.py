"""ClassifyTokens: texts into labelled tokens, or the entities that they form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from standpipe.v1 import text_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import TOKEN_CLASSIFIER
from standpipe_server.programs import Batch, Cut, Encoding, Floats, TextModel
from standpipe_server.tasks.base import (
    InputLimits,
    Task,
    check_texts,
    known,
    optional,
    text_cost,
    texts_to_calls,
)
from standpipe_server.tasks.entities import Entity, StrategyName, TokenScores, entities, without_overlaps
from standpipe_server.tasks.labels import labels_of, one_each, softmax, token_rows, warm_up

_STRATEGY: dict[int, StrategyName] = {
    text_pb2.AGGREGATION_STRATEGY_UNSPECIFIED: "none",
    text_pb2.AGGREGATION_STRATEGY_NONE: "none",
    text_pb2.AGGREGATION_STRATEGY_SIMPLE: "simple",
    text_pb2.AGGREGATION_STRATEGY_FIRST: "first",
    text_pb2.AGGREGATION_STRATEGY_AVERAGE: "average",
    text_pb2.AGGREGATION_STRATEGY_MAX: "max",
}
_OUTSIDE = frozenset({"O"})


@dataclass(frozen=True, slots=True)
class TokenParameters:
    """How to join and what to leave out."""

    strategy: StrategyName = "none"
    ignored: frozenset[str] = _OUTSIDE
    stride: int | None = None


class TokenHead:
    """Turns the logits of tokens into entities."""

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self._labels = labels_of(model.config)
        tokenizer = model.tokenizer
        self._join = tokenizer.convert_tokens_to_string
        self._unknown = tokenizer.unk_token_id
        # A vocabulary that marks continued words says where words begin; else spaces have to.
        self._marks = bool(getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None))

    def read(self, calls: Sequence[Call], *, spread: bool) -> list[Sequence[Encoding] | Exception]:
        texts = [call.input for call in calls if call.parameters.stride is None]
        encodings = self._model.encode(texts, [Cut()] * len(texts), offsets=True, spread=spread)
        whole = iter(one_each(encodings))
        return [next(whole) if call.parameters.stride is None else self._windows(call) for call in calls]

    def rows(self, batch: Batch, parameters: TokenParameters) -> list[Floats]:
        return token_rows(batch)

    def answer(self, call: Call, encodings: Sequence[Encoding], rows: Sequence[Floats]) -> list[Entity]:
        parameters: TokenParameters = call.parameters
        found: list[Entity] = []
        for encoding, logits in zip(encodings, rows, strict=True):
            tokens = self._tokens(call.input, encoding, softmax(logits))
            joined = entities(tokens, self._labels, parameters.strategy, self._join)
            found += [entity for entity in joined if entity.label not in parameters.ignored]
        return without_overlaps(found) if len(encodings) > 1 else found

    def _windows(self, call: Call) -> Sequence[Encoding] | Exception:
        try:
            return self._model.windows(
                call.input, stride=call.parameters.stride, max_tokens=self._model.max_tokens
            )
        except InvalidInputError as error:
            return InvalidInputError(str(error), "stride")

    def _tokens(self, text: str, encoding: Encoding, scores: Floats) -> list[TokenScores]:
        places = zip(
            encoding.ids, encoding.tokens, encoding.offsets, encoding.special_tokens_mask, strict=True
        )
        tokens = []
        for index, (id_, word, (start, end), special) in enumerate(places):
            if special:
                continue
            written = text[start:end]
            if self._marks:
                continues = len(word) != len(written)
            else:
                continues = start > 0 and " " not in text[start - 1 : start + 1]
            if id_ == self._unknown:
                word, continues = written, False
            tokens.append(TokenScores(word, scores[index], start, end, index, continues))
        return tokens


def _decode(request: text_pb2.ClassifyTokensRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.texts, "texts", limits)
    ignored_labels = request.ignore_labels.labels
    check_limit(len(ignored_labels), "ignore_labels", "max_labels", limits.max_labels, "labels")
    strategy = known(_STRATEGY, request.aggregation_strategy, "aggregation_strategy")
    stride = optional(request, "stride", None)
    if stride is not None and strategy == "none":
        raise InvalidInputError("windows that overlap need an aggregation_strategy other than NONE", "stride")
    ignored = frozenset(ignored_labels) if request.HasField("ignore_labels") else _OUTSIDE
    return texts_to_calls(request.texts, TokenParameters(strategy, ignored, stride))


def _encode(
    outputs: Sequence[Output], request: text_pb2.ClassifyTokensRequest
) -> text_pb2.ClassifyTokensResponse:
    single = _STRATEGY[request.aggregation_strategy] == "none"
    response = text_pb2.ClassifyTokensResponse()
    for output in outputs:
        result = response.results.add()
        for entity in output.value:
            result.entities.add(
                entity=entity.label if single else "",
                entity_group="" if single else entity.label,
                score=entity.score,
                word=entity.word,
                start=entity.start,
                end=entity.end,
                index=entity.index,
            )
    return response


CLASSIFY_TOKENS = Task(
    name="token-classification",
    rpc="standpipe.v1.TextService.ClassifyTokens",
    request=text_pb2.ClassifyTokensRequest,
    response=text_pb2.ClassifyTokensResponse,
    kind=TOKEN_CLASSIFIER,
    parameters=TokenParameters,
    head=TokenHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    default=("dbmdz/bert-large-cased-finetuned-conll03-english", "4c53496"),
    warm_up=warm_up(TokenParameters("simple")),
)
