"""One generic handler for every task that answers while its request still comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from standpipe_server.engine.batcher import CallFailedError
from standpipe_server.engine.registry import Served
from standpipe_server.errors import DeadlinePassedError
from standpipe_server.rpc.handling import Handling, parse
from standpipe_server.rpc.metadata import fill
from standpipe_server.rpc.status import Context, abort, failure
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
        try:
            await self._answer(requests, context)
        except Exception as error:
            await abort(context, error, rpc=self._task.rpc)
            raise

    async def _answer(self, requests: AsyncIterator[bytes], context: Context) -> None:
        first = parse(self._task.request, await self._soon(anext(requests, b"")))
        model = self._handling.registry.find(self._task.task.model_task, first.model)
        served = model.ready()
        session = self._task.session(first, self._handling.limits)
        news = asyncio.Event()
        room = asyncio.Event()
        reading = asyncio.create_task(self._read(requests, session, news, room))
        try:
            while not session.done:
                call = session.next()
                if call is None:
                    await self._wait(news, reading)
                    continue
                messages, answer, tokens = await self._ask(call, session, served, context)
                if not session.full:
                    room.set()
                if session.done:
                    fill(messages[-1].metadata, model.spec.name, served.info, answer, tokens)
                for message in messages:
                    await context.write(message.SerializeToString())
        finally:
            reading.cancel()

    async def _read(
        self, requests: AsyncIterator[bytes], session: Session, news: asyncio.Event, room: asyncio.Event
    ) -> None:
        async for data in requests:
            session.add(parse(self._task.request, data))
            news.set()
            while session.full:
                room.clear()
                await room.wait()
        session.end()
        news.set()

    async def _wait(self, news: asyncio.Event, reading: asyncio.Task[None]) -> None:
        """Until more has come, or the reader failed."""
        waiting = asyncio.create_task(news.wait())
        try:
            await self._soon(asyncio.wait({waiting, reading}, return_when=asyncio.FIRST_COMPLETED))
        finally:
            waiting.cancel()
        news.clear()
        if reading.done():
            reading.result()

    async def _soon(self, awaited: Any) -> Any:
        """What is awaited, if it comes in time: nobody waits for ever for a caller who says nothing.

        Raises:
            DeadlinePassedError: It doesn't.
        """
        try:
            async with asyncio.timeout(self._handling.default_timeout):
                return await awaited
        except TimeoutError:
            raise DeadlinePassedError(
                f"nothing came for {self._handling.default_timeout:g} seconds"
            ) from None

    async def _ask(self, call: Any, session: Session, served: Served, context: Context) -> Any:
        task = self._task.task
        remaining = context.time_remaining()
        timeout = self._handling.default_timeout
        try:
            answer = await served.batcher.submit(
                [call],
                key=task.key(call),
                costs=[task.cost(call)],
                timeout=timeout if remaining is None else min(timeout, remaining),
            )
        except CallFailedError as error:
            raise failure(error, call.field) from error
        (output,) = answer.outputs
        return session.take(output), answer, output.tokens
