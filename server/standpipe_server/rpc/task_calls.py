"""One generic handler for every task: fetch, decode, find the model, submit, encode."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from standpipe_server.engine.batcher import CallFailedError
from standpipe_server.rpc.handling import Handling
from standpipe_server.rpc.metadata import fill
from standpipe_server.rpc.status import Context, abort, failure
from standpipe_server.tasks import Task


class TaskCalls:
    """Answers one task's RPC.

    Args:
        task: What to do.
        handling: What all handlers share.
    """

    def __init__(self, task: Task, handling: Handling) -> None:
        self._task = task
        self._handling = handling

    async def answer(self, data: bytes, context: Context) -> bytes:
        try:
            return await self._answer(data, context.time_remaining())
        except Exception as error:
            await abort(context, error, rpc=self._task.rpc)
            raise

    async def _answer(self, data: bytes, remaining: float | None) -> bytes:
        task = self._task
        request = await self._handling.parsed(task.request, data)
        model = self._handling.registry.find(task.model_task, request.model, task.rather)
        served = model.ready()
        batcher = served.batcher_of_tokenizer() if task.model_task is None else served.batcher
        timeout = await self._handling.complete(request, remaining)
        calls = await self._handling.decoded(task.decode, request)
        try:
            answer = await batcher.submit(
                calls, key=task.key(calls[0]), costs=[task.cost(call) for call in calls], timeout=timeout
            )
        except CallFailedError as error:
            raise failure(error, calls[error.index].field) from error
        values = [output.value for output in answer.outputs]
        # What the model's thread made ready to send may be large: masks, depth, sounds.
        size = sum(value.ByteSize() for value in values if isinstance(value, Message))

        def encoded() -> bytes:
            response: Any = task.encode(answer.outputs, request)
            tokens = sum(output.tokens for output in answer.outputs)
            fill(response.metadata, model.spec.name, served.info, answer, tokens)
            whole: bytes = response.SerializeToString()
            return whole

        return await self._handling.aside(size, encoded)
