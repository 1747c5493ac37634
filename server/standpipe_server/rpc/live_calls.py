"""One generic handler for every task that answers while its request still comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from standpipe_server.engine.batcher import Answer, merged
from standpipe_server.interfaces import Output
from standpipe_server.rpc.handling import Handling
from standpipe_server.rpc.metadata import fill
from standpipe_server.rpc.status import Context
from standpipe_server.tasks import LiveTask, Session


class LiveCalls:
    """Answers one RPC; a caller who sends faster than the model reads is held up by gRPC's flow control.

    Args:
        task: What to do.
        handling: What all handlers share.
    """

    def __init__(self, task: LiveTask, handling: Handling) -> None:
        self._task = task
        self._handling = handling

    async def answer(self, requests: AsyncIterator[bytes], context: Context) -> None:
        handling = self._handling
        data = await handling.soon(anext(requests, b""), "came")
        first = await handling.parsed(self._task.request, data)
        model = handling.registry.find(self._task.task.model_task, first.model)
        served = model.ready()
        queue = served.queue()
        session = self._task.session(first, handling.limits)
        line = _Line(requests, self._task, session, handling)
        answers: list[Answer[Output]] = []
        try:
            with queue.accepted():
                while not session.done:
                    call = session.next()
                    if call is None:
                        await handling.soon(line.more(), "came")
                        continue
                    answers.append(await handling.ask(self._task.task, call, queue, context))
                    messages = session.take(answers[-1].outputs[0])
                    line.look()
                    if session.done:
                        tokens = sum(answer.outputs[0].tokens for answer in answers)
                        fill(messages[-1].metadata, model.spec.name, served.info, merged(answers), tokens)
                    for message in messages:
                        await handling.soon(context.write(message.SerializeToString()), "read")
        finally:
            await line.close()


class _Line:
    """Takes messages into a session as they come, while that has room for them.

    Args:
        requests: Further messages.
        task: What they are for.
        session: Takes them in.
        handling: What all handlers share.
    """

    def __init__(
        self, requests: AsyncIterator[bytes], task: LiveTask, session: Session, handling: Handling
    ) -> None:
        self._requests = requests
        self._task = task
        self._session = session
        self._handling = handling
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def more(self) -> None:
        """Return when more has come, or the end.

        Raises:
            InvalidInputError: What came is at fault.
        """
        news = asyncio.create_task(self._news.wait())
        try:
            await asyncio.wait({news, self._reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        self._news.clear()
        if self._reading.done():
            self._reading.result()

    def look(self) -> None:
        """See whether there is room again."""
        if not self._session.full:
            self._room.set()

    async def close(self) -> None:
        """Read no more."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for data in self._requests:
            self._session.add(await self._handling.parsed(self._task.request, data))
            self._news.set()
            while self._session.full:
                self._room.clear()
                await self._room.wait()
        self._session.end()
        self._news.set()
