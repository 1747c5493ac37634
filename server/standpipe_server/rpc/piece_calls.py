"""One generic handler for every task whose answer is made piece by piece, by calls of their own."""

from __future__ import annotations

from typing import Any

from standpipe_server.engine.batcher import CallFailedError
from standpipe_server.rpc.handling import Handling
from standpipe_server.rpc.metadata import fill
from standpipe_server.rpc.status import Context, abort, failure
from standpipe_server.tasks import PieceTask


class PieceCalls:
    """Answers one RPC; a piece is asked for when the one before has gone out.

    Args:
        task: What to do.
        handling: What all handlers share.
    """

    def __init__(self, task: PieceTask, handling: Handling) -> None:
        self._task = task
        self._handling = handling

    async def answer(self, data: bytes, context: Context) -> None:
        try:
            await self._answer(data, context)
        except Exception as error:
            await abort(context, error, rpc=self._task.rpc)
            raise

    async def _answer(self, data: bytes, context: Context) -> None:
        task = self._task.task
        request = await self._handling.parsed(self._task.request, data)
        model = self._handling.registry.find(task.model_task, request.model)
        served = model.ready()
        calls = await self._handling.decoded(self._task.decode, request)
        outputs: list[Any] = []
        answer = None
        for call in calls:
            remaining = context.time_remaining()
            timeout = self._handling.default_timeout if remaining is None else remaining
            try:
                answer = await served.batcher.submit(
                    [call], key=task.key(call), costs=[task.cost(call)], timeout=timeout
                )
            except CallFailedError as error:
                raise failure(error, call.field) from error
            outputs += answer.outputs
            await context.write(self._task.piece(call, outputs[-1]).SerializeToString())
        end: Any = self._task.end(outputs)
        if answer is not None:
            tokens = sum(output.tokens for output in outputs)
            fill(end.metadata, model.spec.name, served.info, answer, tokens)
        await context.write(end.SerializeToString())
