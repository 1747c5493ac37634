"""Requests from Python arguments, and Python values from responses; shared by both clients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from standpipe.v1 import text_pb2

PoolingName = Literal["mean", "cls", "max", "last_token"]
SideName = Literal["left", "right"]

_POOLING: dict[PoolingName, text_pb2.Pooling.ValueType] = {
    "mean": text_pb2.POOLING_MEAN,
    "cls": text_pb2.POOLING_CLS,
    "max": text_pb2.POOLING_MAX,
    "last_token": text_pb2.POOLING_LAST_TOKEN,
}
_SIDE: dict[SideName, text_pb2.TruncationDirection.ValueType] = {
    "left": text_pb2.TRUNCATION_DIRECTION_LEFT,
    "right": text_pb2.TRUNCATION_DIRECTION_RIGHT,
}

_ENUMS: dict[str, Mapping[Any, int]] = {"pooling": _POOLING, "truncation_direction": _SIDE}


class EmbedOptions(TypedDict, total=False):
    """The optional fields of EmbedTextRequest; its comments say what each means."""

    model: str
    normalize: bool
    truncate: bool
    truncation_direction: SideName
    prompt_name: str
    pooling: PoolingName
    dimensions: int


def embed_text_request(texts: Sequence[str], **options: Unpack[EmbedOptions]) -> text_pb2.EmbedTextRequest:
    """A request for packed vectors.

    Raises:
        TypeError: ``texts`` is one string: each of its letters would be a text.
        ValueError: An option's value is none of those there are.
    """
    if isinstance(texts, str):
        raise TypeError("texts is one string; send a list: embed_text([text])")
    fields: dict[str, Any] = dict(options)
    for name, table in _ENUMS.items():
        if name in fields:
            fields[name] = _known(table, fields[name], name)
    return text_pb2.EmbedTextRequest(texts=texts, format=text_pb2.EMBEDDING_FORMAT_PACKED, **fields)


def _known(table: Mapping[Any, int], value: object, name: str) -> int:
    if value not in table:
        raise ValueError(f"{name} is {value!r}; it may be: {', '.join(table)}")
    return table[value]


def vectors(response: text_pb2.EmbedTextResponse) -> NDArray[np.float32]:
    """The packed vectors, float32 (n, d)."""
    packed = np.frombuffer(response.packed, dtype="<f4").astype(np.float32)
    return packed.reshape(-1, response.dimensions)


def batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of ``size`` texts, the last one shorter."""
    iterator = iter(texts)
    while batch := list(islice(iterator, size)):
        yield batch
