"""EmbedText: texts into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from standpipe.v1 import text_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import FEATURES
from standpipe_server.programs import Batch, Cut, Encoding, Floats, TextModel
from standpipe_server.tasks.base import (
    SIDES,
    InputLimits,
    Task,
    check_texts,
    known,
    optional,
    positive,
    text_cost,
    texts_to_calls,
)
from standpipe_server.tasks.labels import one_each
from standpipe_server.tasks.sentence import PoolingMode, pool, read_recipe
from standpipe_server.tasks.vectors import PACKED, normalize, to_fields

_POOLING: dict[int, PoolingMode | None] = {
    text_pb2.POOLING_UNSPECIFIED: None,
    text_pb2.POOLING_MEAN: "mean",
    text_pb2.POOLING_CLS: "cls",
    text_pb2.POOLING_MAX: "max",
    text_pb2.POOLING_LAST_TOKEN: "lasttoken",
}


@dataclass(frozen=True, slots=True)
class EmbedParameters:
    """How to embed; ``None`` means as the model's own files say."""

    cut: Cut = Cut()
    normalize: bool | None = None
    prompt_name: str | None = None
    pooling: PoolingMode | None = None
    dimensions: int | None = None


class EmbedHead:
    """Pools the vectors of a text's tokens, as the model's sentence-transformers files say."""

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self._recipe = read_recipe(model.folder)
        # Its files may set a lower limit than its tokenizer does.
        model.max_tokens = min(model.max_tokens, self._recipe.max_tokens or model.max_tokens)
        self.dimensions: int = model.config.hidden_size * len(self._recipe.pooling)

    def read(self, calls: Sequence[Call], *, spread: bool) -> list[list[Encoding] | Exception]:
        parameters: EmbedParameters = calls[0].parameters
        prompt = self._prompt(parameters.prompt_name)
        if (parameters.dimensions or 0) > self.dimensions:
            raise InvalidInputError(
                f"{parameters.dimensions} dimensions were asked for; the model has {self.dimensions}",
                "dimensions",
            )
        texts = [(prompt + call.input).strip() for call in calls]
        if self._recipe.lower_case:
            texts = [text.lower() for text in texts]
        return one_each(self._model.encode(texts, [parameters.cut] * len(texts), spread=spread))

    def rows(self, batch: Batch, parameters: EmbedParameters) -> Floats:
        modes = (parameters.pooling,) if parameters.pooling else self._recipe.pooling
        vectors = pool(batch.outputs[0], batch.mask, modes)[:, : parameters.dimensions]
        unit = self._recipe.normalize if parameters.normalize is None else parameters.normalize
        return normalize(vectors) if unit else vectors

    def answer(self, call: Call, encodings: Sequence[Encoding], rows: Sequence[Floats]) -> Floats:
        return rows[0]

    def _prompt(self, name: str | None) -> str:
        chosen = self._recipe.default_prompt if name is None else name
        if chosen is None:
            return ""
        if chosen not in self._recipe.prompts:
            offered = ", ".join(self._recipe.prompts) or "none"
            raise InvalidInputError(f"the model has no prompt {chosen!r}; it has: {offered}", "prompt_name")
        return self._recipe.prompts[chosen]


def _decode(request: text_pb2.EmbedTextRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.texts, "texts", limits)
    known(PACKED, request.format, "format")
    side = known(SIDES, request.truncation_direction, "truncation_direction")
    parameters = EmbedParameters(
        cut=Cut(optional(request, "truncate", True), side),
        normalize=optional(request, "normalize", None),
        prompt_name=optional(request, "prompt_name", None),
        pooling=known(_POOLING, request.pooling, "pooling"),
        dimensions=positive(request, "dimensions", None),
    )
    return texts_to_calls(request.texts, parameters)


def _encode(outputs: Sequence[Output], request: text_pb2.EmbedTextRequest) -> text_pb2.EmbedTextResponse:
    vectors = [output.value for output in outputs]
    return text_pb2.EmbedTextResponse(**to_fields(vectors, packed=PACKED[request.format]))


def _warm_up() -> list[list[Call]]:
    parameters = EmbedParameters()
    lone = [Call("Water stands ready in the pipe.", parameters)]
    return [lone, [Call(f"{'a fixed pipe ' * n} that stands ready", parameters) for n in range(16)], lone]


EMBED_TEXT = Task(
    name="feature-extraction",
    rpc="standpipe.v1.TextService.EmbedText",
    request=text_pb2.EmbedTextRequest,
    response=text_pb2.EmbedTextResponse,
    kind=FEATURES,
    parameters=EmbedParameters,
    head=EmbedHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    mixes=False,
    default=("distilbert/distilbert-base-cased", "6ea8117"),
    warm_up=_warm_up(),
)
