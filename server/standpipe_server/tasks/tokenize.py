"""Tokenize and Detokenize: texts into a model's tokens, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import tokenizers_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.programs import TruncationSide
from standpipe_server.tasks.base import (
    SIDES,
    InputLimits,
    Task,
    check_count,
    check_pairs,
    known,
    optional,
    positive,
    text_cost,
    texts_to_calls,
)


@dataclass(frozen=True, slots=True)
class TokenizeParameters:
    """How to tokenize."""

    special: bool = True
    truncate: bool = False
    side: TruncationSide | None = None
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class DetokenizeParameters:
    """How to write."""

    skip_special: bool = False
    clean_up: bool | None = None


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A text's tokens, a list for each property; see the message Token."""

    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]
    special: list[int]
    types: list[int]
    overflowing: int


class TokenizeHead:
    """Asks the tokenizer for tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._side = tokenizer.truncation_side

    def answer(self, call: Call) -> tuple[Tokenized, int]:
        parameters: TokenizeParameters = call.parameters
        texts = (call.input,) if isinstance(call.input, str) else call.input
        limit = parameters.max_length or self._tokenizer.model_max_length
        added = self._tokenizer.num_special_tokens_to_add(len(texts) > 1) if parameters.special else 0
        if parameters.truncate and limit <= added:
            raise InvalidInputError(
                f"{limit} tokens have no room for the {added} special ones and a text", "max_length"
            )
        whole = self._encode(texts, parameters.special)
        if not parameters.truncate or len(whole["input_ids"]) <= limit:
            return _tokenized(self._tokenizer, whole, 0), len(whole["input_ids"])
        self._tokenizer.truncation_side = parameters.side or self._side
        kept = self._encode(texts, parameters.special, truncation=True, max_length=limit)
        lost = len(whole["input_ids"]) - len(kept["input_ids"])
        return _tokenized(self._tokenizer, kept, lost), len(kept["input_ids"])

    def _encode(self, texts: Sequence[str], special: bool, **options: Any) -> Any:
        return self._tokenizer(
            *texts,
            add_special_tokens=special,
            return_offsets_mapping=self._tokenizer.is_fast,
            return_special_tokens_mask=True,
            return_token_type_ids=True,
            **options,
        )


class DetokenizeHead:
    """Asks the tokenizer for text."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._size = len(tokenizer)

    def answer(self, call: Call) -> tuple[str, int]:
        parameters: DetokenizeParameters = call.parameters
        for index, token in enumerate(call.input):
            if token >= self._size:
                raise InvalidInputError(
                    f"the tokenizer has no token {token}: its {self._size} begin at 0",
                    f"{call.field}.ids[{index}]",
                )
        text: str = self._tokenizer.decode(
            list(call.input),
            skip_special_tokens=parameters.skip_special,
            clean_up_tokenization_spaces=parameters.clean_up,
        )
        return text, len(call.input)


def _tokenized(tokenizer: Any, encoding: Any, overflowing: int) -> Tokenized:
    ids = encoding["input_ids"]
    return Tokenized(
        ids=ids,
        tokens=tokenizer.convert_ids_to_tokens(ids),
        offsets=encoding.get("offset_mapping") or [(0, 0)] * len(ids),
        special=encoding["special_tokens_mask"],
        types=encoding["token_type_ids"],
        overflowing=overflowing,
    )


def _decode_tokenize(request: tokenizers_pb2.TokenizeRequest, limits: InputLimits) -> list[Call]:
    texts = check_pairs(request.texts, request.text_pairs, limits)
    parameters = TokenizeParameters(
        special=optional(request, "add_special_tokens", True),
        truncate=optional(request, "truncate", False),
        side=known(SIDES, request.truncation_direction, "truncation_direction"),
        max_length=positive(request, "max_length", None),
    )
    return texts_to_calls(texts, parameters)


def _encode_tokenize(
    outputs: Sequence[Output], _: tokenizers_pb2.TokenizeRequest
) -> tokenizers_pb2.TokenizeResponse:
    response = tokenizers_pb2.TokenizeResponse()
    for output in outputs:
        found: Tokenized = output.value
        result = response.results.add(overflowing=found.overflowing)
        columns = zip(found.ids, found.tokens, found.offsets, found.special, found.types, strict=True)
        for id_, token, (start, end), special, type_id in columns:
            result.tokens.add(
                id=id_, token=token, start=start, end=end, special=bool(special), type_id=type_id
            )
    return response


def _decode_detokenize(request: tokenizers_pb2.DetokenizeRequest, limits: InputLimits) -> list[Call]:
    check_count(request.sequences, "sequences", limits)
    parameters = DetokenizeParameters(
        skip_special=optional(request, "skip_special_tokens", False),
        clean_up=optional(request, "clean_up_tokenization_spaces", None),
    )
    calls = []
    for index, sequence in enumerate(request.sequences):
        # A token is a byte at least, so what a text may hold bounds what may become one.
        field = f"sequences[{index}].ids"
        check_limit(len(sequence.ids), field, "max_text_bytes", limits.max_text_bytes, "ids")
        calls.append(Call(tuple(sequence.ids), parameters, f"sequences[{index}]"))
    return calls


def _encode_detokenize(
    outputs: Sequence[Output], _: tokenizers_pb2.DetokenizeRequest
) -> tokenizers_pb2.DetokenizeResponse:
    return tokenizers_pb2.DetokenizeResponse(texts=[output.value for output in outputs])


def _ids_cost(call: Call) -> int:
    return len(call.input)


TOKENIZE = Task(
    name="tokenize",
    rpc="standpipe.v1.TokenizerService.Tokenize",
    request=tokenizers_pb2.TokenizeRequest,
    response=tokenizers_pb2.TokenizeResponse,
    kind=None,
    parameters=TokenizeParameters,
    head=TokenizeHead,
    decode=_decode_tokenize,
    encode=_encode_tokenize,
    cost=text_cost,
)
DETOKENIZE = Task(
    name="detokenize",
    rpc="standpipe.v1.TokenizerService.Detokenize",
    request=tokenizers_pb2.DetokenizeRequest,
    response=tokenizers_pb2.DetokenizeResponse,
    kind=None,
    parameters=DetokenizeParameters,
    head=DetokenizeHead,
    decode=_decode_detokenize,
    encode=_encode_detokenize,
    cost=_ids_cost,
)
