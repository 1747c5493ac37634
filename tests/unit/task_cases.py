"""What a task makes of a request, and what it says to one that it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message

from standpipe_server.errors import InvalidInputError, LimitExceededError
from standpipe_server.interfaces import Call, Chunk, Output
from standpipe_server.tasks import STREAM_TASKS, TASKS, InputLimits, StreamTask, Task

LIMITS = InputLimits()
BY_RPC = {task.rpc.rpartition(".")[2]: task for task in TASKS}
"""The tasks by the short names of their RPCs."""
STREAMS_BY_RPC = {task.rpc.rpartition(".")[2]: task for task in STREAM_TASKS}
"""Likewise, of those whose answers are sent while they are written."""


def task_of(request: Message) -> Task:
    """The task that a request is for."""
    return BY_RPC[request.DESCRIPTOR.name.removesuffix("Request")]


def stream_task_of(request: Message) -> StreamTask | None:
    """The task that a request is for whose answer is a stream."""
    return STREAMS_BY_RPC.get(request.DESCRIPTOR.name.removesuffix("Request"))


def decoded(request: Message, limits: InputLimits = LIMITS) -> list[Call]:
    """The calls that a request becomes."""
    stream = stream_task_of(request)
    return task_of(request).decode(request, limits) if stream is None else [stream.decode(request, limits)]


def parameters_of(request: Message) -> Any:
    """The parameters that all calls of a request share."""
    (parameters,) = {call.parameters for call in decoded(request)}
    return parameters


def encoded(request: Message, *values: Any) -> Any:
    """The response to a request whose calls came to these values."""
    return task_of(request).encode([Output(value) for value in values], request)


def streamed(request: Message, *chunks: Chunk) -> list[Any]:
    """The messages to a request whose text is written in these chunks."""
    task = stream_task_of(request)
    assert task is not None
    encoder = task.encoder(request)
    return [message for chunk in chunks for message in encoder.add(chunk)]


def refusal(request: Message, limits: InputLimits = LIMITS) -> InvalidInputError:
    """What is said to a request that is refused."""
    with pytest.raises(InvalidInputError) as caught:
        decoded(request, limits)
    return caught.value


def exceeded(request: Message, limits: InputLimits = LIMITS) -> tuple[str, str, str]:
    """The field that exceeds a limit, the limit and its value."""
    error = refusal(request, limits)
    assert isinstance(error, LimitExceededError)
    assert f"{error.details['limit']} = {error.details['value']}" in str(error)
    return error.field, error.details["limit"], error.details["value"]
