"""Vectors as they travel: how the contract has them, and at length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from standpipe.v1 import common_pb2
from standpipe_server.programs import Floats

PACKED: dict[int, bool] = {
    common_pb2.EMBEDDING_FORMAT_UNSPECIFIED: False,
    common_pb2.EMBEDDING_FORMAT_VALUES: False,
    common_pb2.EMBEDDING_FORMAT_PACKED: True,
}
"""Whether vectors travel end to end in one field."""


def to_fields(vectors: Sequence[Floats], *, packed: bool) -> dict[str, Any]:
    """The fields of a response that has ``embeddings``, ``packed`` and ``dimensions``."""
    dimensions = len(vectors[0])
    if packed:
        content = b"".join(np.asarray(vector, "<f4").tobytes() for vector in vectors)
        return {"packed": content, "dimensions": dimensions}
    # tolist first: a repeated field takes a list of floats six times faster than an array.
    embeddings = [common_pb2.Embedding(values=vector.tolist()) for vector in vectors]
    return {"embeddings": embeddings, "dimensions": dimensions}


def normalize(vectors: Floats) -> Floats:
    """Each vector at Euclidean length 1, along the last axis."""
    lengths = np.sqrt(np.einsum("...d,...d->...", vectors, vectors))[..., None]
    unit: Floats = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit
