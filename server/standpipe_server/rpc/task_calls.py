"""One generic handler for every task: fetch, decode, find the model, submit, encode."""

from __future__ import annotations

from standpipe_server.engine.batcher import CallFailedError
from standpipe_server.engine.watching import Watch
from standpipe_server.rpc.handling import Handling
from standpipe_server.rpc.status import Context, failure
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
        task = self._task
        request = await self._handling.parsed(task.request, data)
        model = self._handling.registry.find(task.model_task, request.model, task.rather)
        served = model.ready()
        batcher = served.batcher_of_tokenizer() if task.model_task is None else served.batcher
        timeout = await self._handling.complete(request, context.time_remaining())
        calls = await self._handling.decoded(task.decode, request)
        watch = Watch() if task.long else None
        try:
            answer = await batcher.submit(
                watch.over(calls) if watch else calls,
                key=task.key(calls[0]),
                costs=[task.cost(call) for call in calls],
                timeout=timeout,
            )
        except CallFailedError as error:
            raise failure(error, calls[error.index].field) from error
        finally:
            if watch:
                watch.gone = True
        return await self._handling.encoded(task, request, answer, model.spec.name, served.info)
