"""One generic handler for every task: decode, find the model, submit, encode."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError, Message

from standpipe_server.engine.batcher import CallFailedError
from standpipe_server.engine.registry import Registry
from standpipe_server.errors import InvalidInputError
from standpipe_server.rpc.metadata import fill
from standpipe_server.rpc.status import Context, abort, failure
from standpipe_server.tasks import InputLimits, Task


class TaskCalls:
    """Answers one task's RPC.

    Args:
        task: What to do.
        registry: Where its models are.
        limits: What one call may hold.
        default_timeout: Seconds for a call whose client set no deadline: nobody waits for ever.
    """

    def __init__(self, task: Task, registry: Registry, limits: InputLimits, default_timeout: float) -> None:
        self._task = task
        self._registry = registry
        self._limits = limits
        self._default_timeout = default_timeout

    async def answer(self, data: bytes, context: Context) -> bytes:
        try:
            return await self._answer(data, context.time_remaining())
        except Exception as error:
            await abort(context, error, rpc=self._task.rpc)
            raise

    async def _answer(self, data: bytes, remaining: float | None) -> bytes:
        task = self._task
        request: Any = parse(task.request, data)
        model = self._registry.find(task.model_task, request.model, task.rather)
        served = model.ready()
        batcher = served.batcher_of_tokenizer() if task.model_task is None else served.batcher
        calls = task.decode(request, self._limits)
        timeout = self._default_timeout if remaining is None else remaining
        try:
            answer = await batcher.submit(
                calls, key=task.key(calls[0]), costs=[task.cost(call) for call in calls], timeout=timeout
            )
        except CallFailedError as error:
            raise failure(error, calls[error.index].field) from error
        response: Any = task.encode(answer.outputs, request)
        tokens = sum(output.tokens for output in answer.outputs)
        fill(response.metadata, model.spec.name, served.info, answer, tokens)
        answered: bytes = response.SerializeToString()
        return answered


def parse(kind: type[Message], data: bytes) -> Message:
    """Bytes to a message.

    Raises:
        InvalidInputError: They aren't one.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise InvalidInputError(f"the request isn't a {kind.DESCRIPTOR.full_name}: {error}") from error
