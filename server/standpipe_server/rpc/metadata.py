"""What answered a call, and where its time went, as every response tells it."""

from __future__ import annotations

from standpipe.v1 import common_pb2
from standpipe_server.engine.batcher import Answer
from standpipe_server.interfaces import ModelInfo, Output


def fill(
    metadata: common_pb2.Metadata, name: str, info: ModelInfo, answer: Answer[Output], tokens: int
) -> None:
    """Write it into a response.

    Args:
        metadata: The response's.
        name: The model's.
        info: What the model is.
        answer: What the call took.
        tokens: That the model read for it.
    """
    metadata.model = name
    metadata.revision = info.revision
    metadata.backend = info.backend
    metadata.device = info.device
    metadata.dtype = info.dtype
    metadata.batch_size = answer.batch_size
    metadata.queue_duration.FromNanoseconds(int(answer.queue_seconds * 1e9))
    metadata.compute_duration.FromNanoseconds(int(answer.compute_seconds * 1e9))
    metadata.tokens = tokens
    if answer.first_seconds is not None:
        metadata.time_to_first_token.FromNanoseconds(int(answer.first_seconds * 1e9))
    if answer.tokens_per_second is not None:
        metadata.tokens_per_second = answer.tokens_per_second
    if answer.cached_tokens is not None:
        metadata.cached_tokens = answer.cached_tokens
