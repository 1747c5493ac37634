"""One generic handler for every task that takes long, and tells meanwhile how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from google.protobuf.message import Message

from standpipe_server.engine.batcher import Answer, CallFailedError
from standpipe_server.engine.registry import Served
from standpipe_server.engine.watching import Watch
from standpipe_server.interfaces import Call, Output
from standpipe_server.rpc.handling import Handling
from standpipe_server.rpc.status import Context, failure
from standpipe_server.tasks import Task
from standpipe_server.tasks.base import StepEncoder


class StepCalls:
    """Answers one RPC; its calls are batched with everybody's.

    Args:
        task: What to do.
        steps: Makes what tells how far so many calls are.
        handling: What all handlers share.
    """

    def __init__(self, task: Task, steps: Callable[[int], StepEncoder], handling: Handling) -> None:
        self._task = task
        self._steps = steps
        self._handling = handling

    async def answer(self, data: bytes, context: Context) -> None:
        task, handling = self._task, self._handling
        request = await handling.parsed(task.request, data)
        model = handling.registry.find(task.model_task, request.model)
        served = model.ready()
        timeout = await handling.complete(request, context.time_remaining())
        calls = await handling.decoded(task.decode, request)
        answer = await self._asked(calls, served, timeout, context)
        last = await handling.encoded(task, request, answer, model.spec.name, served.info)
        await handling.soon(context.write(last), "read")

    async def _asked(
        self, calls: list[Call], served: Served, timeout: float, context: Context
    ) -> Answer[Output]:
        """What becomes of the calls; how far they are is written meanwhile."""
        task, watch = self._task, Watch()
        costs = [task.cost(call) for call in calls]
        submitted = served.batcher.submit(
            watch.over(calls), key=task.key(calls[0]), costs=costs, timeout=timeout
        )
        asked = asyncio.ensure_future(submitted)
        asked.add_done_callback(watch.end)
        encoder = self._steps(len(calls))
        try:
            async for index, step in watch.steps():
                for message in encoder.add(index, step):
                    await self._write(message, context)
            return await asked
        except CallFailedError as error:
            raise failure(error, calls[error.index].field) from error
        finally:
            watch.gone = True
            asked.cancel()
            # It ends at once, and its error is nobody's any more.
            await asyncio.gather(asked, return_exceptions=True)

    async def _write(self, message: Message, context: Context) -> None:
        await self._handling.soon(context.write(message.SerializeToString()), "read")
