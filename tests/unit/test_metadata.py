"""What a response tells of its call."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration

from standpipe.v1 import common_pb2
from standpipe_server.engine.batcher import Answer
from standpipe_server.interfaces import ModelInfo, Output
from standpipe_server.rpc.metadata import fill

INFO = ModelInfo("torch", "cuda:0", "bf16", "because", "r1", 256, 384)


def metadata(**fields: Any) -> common_pb2.Metadata:
    """What is told of the model, and this."""
    return common_pb2.Metadata(
        model="m", revision="r1", backend="torch", device="cuda:0", dtype="bf16", **fields
    )


def told(answer: Answer[Output], tokens: int) -> common_pb2.Metadata:
    message = common_pb2.Metadata()
    fill(message, "m", INFO, answer, tokens)
    return message


def test_what_a_batch_took_is_told_and_nothing_of_generators() -> None:
    expected = metadata(
        batch_size=3,
        queue_duration=Duration(nanos=250_000_000),
        compute_duration=Duration(seconds=1, nanos=500_000_000),
        tokens=7,
    )
    assert expected == told(Answer([], batch_size=3, queue_seconds=0.25, compute_seconds=1.5), 7)


def test_what_a_generator_took_is_told() -> None:
    answer: Answer[Output] = Answer(
        [], batch_size=1, first_seconds=0.5, written=9, tokens_per_second=12.5, cached_tokens=0
    )
    expected = metadata(
        batch_size=1,
        queue_duration=Duration(),
        compute_duration=Duration(),
        tokens=7,
        time_to_first_token=Duration(nanos=500_000_000),
        tokens_per_second=12.5,
        cached_tokens=0,
    )
    assert expected == told(answer, 7)
