"""One generic handler for every task whose answer is made piece by piece, by calls of their own."""

from __future__ import annotations

from typing import Any

from standpipe_server.engine.batcher import Answer, merged
from standpipe_server.errors import check_limit
from standpipe_server.interfaces import Output
from standpipe_server.rpc.handling import Handling
from standpipe_server.rpc.metadata import fill
from standpipe_server.rpc.status import Context
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
        task, handling = self._task.task, self._handling
        request = await handling.parsed(self._task.request, data)
        model = handling.registry.find(task.model_task, request.model)
        served = model.ready()
        queue = served.queue()
        calls = await handling.decoded(self._task.decode, request)
        check_limit(len(calls), calls[0].field, "max_items", handling.limits.max_items, "pieces")
        answers: list[Answer[Output]] = []
        with queue.accepted():
            for call in calls:
                answers.append(await handling.ask(task, call, queue, context))
                piece = self._task.piece(call, answers[-1].outputs[0])
                await handling.soon(context.write(piece.SerializeToString()), "read")
            outputs = [answer.outputs[0] for answer in answers]
            end: Any = self._task.end(outputs)
            tokens = sum(output.tokens for output in outputs)
            fill(end.metadata, model.spec.name, served.info, merged(answers), tokens)
            await handling.soon(context.write(end.SerializeToString()), "read")
