from __future__ import annotations

import struct

import numpy as np
import pytest

from standpipe.v1 import common_pb2, text_pb2
from standpipe_server.errors import InvalidInputError, LimitExceededError
from standpipe_server.interfaces import Call, Output
from standpipe_server.programs import Cut
from standpipe_server.tasks import InputLimits
from standpipe_server.tasks.embed_text import EMBED_TEXT, EmbedParameters

LIMITS = InputLimits(max_items=3, max_text_bytes=8)
VECTORS = np.array([[0.5, -1.25, 3e-8], [1 / 3, 0.0, -7e9]], np.float32)
Request = text_pb2.EmbedTextRequest


def decoded(request: text_pb2.EmbedTextRequest) -> list[Call]:
    return EMBED_TEXT.decode(request, LIMITS)


def encoded(format_: common_pb2.EmbeddingFormat.ValueType) -> text_pb2.EmbedTextResponse:
    response = EMBED_TEXT.encode([Output(vector) for vector in VECTORS], Request(format=format_))
    assert isinstance(response, text_pb2.EmbedTextResponse)
    return response


def test_each_text_becomes_a_call_in_order() -> None:
    plain = EmbedParameters()
    expected = [Call("b", plain, "texts[0]"), Call("", plain, "texts[1]"), Call("a", plain, "texts[2]")]
    assert expected == decoded(Request(texts=["b", "", "a"]))


@pytest.mark.parametrize(
    ("request_", "parameters"),
    [
        (Request(normalize=True), EmbedParameters(normalize=True)),
        (Request(normalize=False), EmbedParameters(normalize=False)),
        (Request(truncate=False), EmbedParameters(cut=Cut(truncate=False))),
        (Request(truncate=True), EmbedParameters()),
        (
            Request(truncation_direction=common_pb2.TRUNCATION_DIRECTION_LEFT),
            EmbedParameters(cut=Cut(side="left")),
        ),
        (
            Request(truncation_direction=common_pb2.TRUNCATION_DIRECTION_RIGHT),
            EmbedParameters(cut=Cut(side="right")),
        ),
        (Request(prompt_name="query"), EmbedParameters(prompt_name="query")),
        (Request(prompt_name=""), EmbedParameters(prompt_name="")),
        (Request(pooling=text_pb2.POOLING_MEAN), EmbedParameters(pooling="mean")),
        (Request(pooling=text_pb2.POOLING_CLS), EmbedParameters(pooling="cls")),
        (Request(pooling=text_pb2.POOLING_MAX), EmbedParameters(pooling="max")),
        (Request(pooling=text_pb2.POOLING_LAST_TOKEN), EmbedParameters(pooling="lasttoken")),
        (Request(dimensions=64), EmbedParameters(dimensions=64)),
        # How vectors travel is no matter of the model: both may run in one batch.
        (Request(format=common_pb2.EMBEDDING_FORMAT_PACKED), EmbedParameters()),
    ],
)
def test_each_field_reaches_the_parameters(
    request_: text_pb2.EmbedTextRequest, parameters: EmbedParameters
) -> None:
    request_.texts.append("text")
    assert [Call("text", parameters, "texts[0]")] == decoded(request_)


def test_no_texts_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least one") as refusal:
        decoded(Request())
    assert ("texts", "INVALID_INPUT") == (refusal.value.field, refusal.value.reason)


def test_zero_dimensions_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="dimensions is 0: send at least 1") as refusal:
        decoded(Request(texts=["a"], dimensions=0))
    assert "dimensions" == refusal.value.field


@pytest.mark.parametrize("field", ["format", "pooling", "truncation_direction"])
def test_an_enum_value_that_the_server_does_not_know_is_refused(field: str) -> None:
    request = Request(texts=["a"])
    setattr(request, field, 99)
    with pytest.raises(InvalidInputError, match="unknown value 99; known: 0, 1") as refusal:
        decoded(request)
    assert field == refusal.value.field


def test_too_many_texts_are_refused_with_the_limit() -> None:
    assert 3 == len(decoded(Request(texts=["a"] * 3)))
    with pytest.raises(LimitExceededError, match=r"4 texts .* max_items = 3") as refusal:
        decoded(Request(texts=["a"] * 4))
    assert ("texts", "LIMIT_EXCEEDED") == (refusal.value.field, refusal.value.reason)
    assert {"limit": "max_items", "value": "3"} == refusal.value.details


@pytest.mark.parametrize(
    ("fits", "too_long", "size"), [("a" * 8, "a" * 9, 9), ("é" * 4, "é" * 5, 10), ("🚰" * 2, "🚰🚰a", 9)]
)
def test_a_text_of_too_many_bytes_is_refused_with_its_place_and_the_limit(
    fits: str, too_long: str, size: int
) -> None:
    assert 2 == len(decoded(Request(texts=[fits, fits])))
    with pytest.raises(LimitExceededError, match=f"{size} bytes .* max_text_bytes = 8") as refusal:
        decoded(Request(texts=[fits, too_long]))
    assert "texts[1]" == refusal.value.field
    assert {"limit": "max_text_bytes", "value": "8"} == refusal.value.details


@pytest.mark.parametrize(
    "format_", [common_pb2.EMBEDDING_FORMAT_UNSPECIFIED, common_pb2.EMBEDDING_FORMAT_VALUES]
)
def test_vectors_travel_as_values_unless_they_are_asked_for_packed(
    format_: common_pb2.EmbeddingFormat.ValueType,
) -> None:
    response = encoded(format_)
    assert VECTORS.tolist() == [list(embedding.values) for embedding in response.embeddings]
    assert (3, b"") == (response.dimensions, response.packed)


def test_packed_vectors_are_little_endian_single_precision_end_to_end() -> None:
    response = encoded(common_pb2.EMBEDDING_FORMAT_PACKED)
    assert VECTORS.ravel().tolist() == list(struct.unpack("<6f", response.packed))
    assert (3, 0) == (response.dimensions, len(response.embeddings))


def test_packed_vectors_equal_those_that_travel_as_values() -> None:
    values = [
        value for each in encoded(common_pb2.EMBEDDING_FORMAT_VALUES).embeddings for value in each.values
    ]
    packed = np.frombuffer(encoded(common_pb2.EMBEDDING_FORMAT_PACKED).packed, "<f4")
    assert values == packed.tolist()


@pytest.mark.parametrize(("text", "cost"), [("", 2), ("abcd" * 5, 7), ("水" * 20, 22)])
def test_a_texts_cost_is_about_its_tokens(text: str, cost: int) -> None:
    assert cost == EMBED_TEXT.cost(Call(text, EmbedParameters()))


def test_warm_up_runs_batches_of_equal_parameters_a_lone_call_among_them() -> None:
    assert 1 in [len(batch) for batch in EMBED_TEXT.warm_up]
    assert [] == [batch for batch in EMBED_TEXT.warm_up if len({call.parameters for call in batch}) != 1]
