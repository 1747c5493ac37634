"""Calls that are answered while they are written; every accepted one ends.

Generation is beside the batcher: a generator batches by itself, token by token. What is left is who may
begin, until when, and what it took. Pure asyncio; not aware of what is written, nor of how.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import aclosing, asynccontextmanager

from standpipe_server.engine.batcher import Answer, CallFailedError
from standpipe_server.errors import DeadlinePassedError, DrainingError, OverloadedError
from standpipe_server.interfaces import Call, Chunk, Finish, Generator, Output, TokenLogprob, Written


class Stream:
    """A call under way: an iterator over its chunks, and what it took until now.

    Attributes:
        answer: What it took; whole when the last chunk is there.
    """

    def __init__(self, chunks: AsyncIterator[Chunk], queue_seconds: float, now: Callable[[], float]) -> None:
        self.answer: Answer[Output] = Answer([], queue_seconds=queue_seconds)
        self._chunks = chunks
        self._now = now
        self._began = now()

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        chunk = await anext(self._chunks)
        elapsed = self._now() - self._began
        if self.answer.first_seconds is None:
            self.answer.first_seconds = elapsed
        if chunk.finish is not None:
            self._end(chunk.finish, elapsed)
        return chunk

    def _end(self, finish: Finish, elapsed: float) -> None:
        if not finish.generated_tokens and finish.reason != "cancelled":
            # Engines were seen that fail by writing nothing.
            raise RuntimeError("the engine ended a text without a token")
        answer = self.answer
        answer.compute_seconds = elapsed
        answer.written += finish.generated_tokens
        answer.tokens_per_second = answer.written / elapsed if elapsed else 0.0
        if finish.cached_tokens is not None:
            answer.cached_tokens = (answer.cached_tokens or 0) + finish.cached_tokens


class _Text:
    """A text that is gathered from its chunks."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.logprobs: list[TokenLogprob] = []
        self.finish: Finish | None = None

    def written(self) -> Written:
        tokens = self.finish.generated_tokens if self.finish else 0
        return Written("".join(self.parts), tokens, tuple(self.logprobs), self.finish)


class Streams:
    """One generator's callers.

    Args:
        generator: What writes.
        max_queue: Calls that may wait until others end.
        now: Seconds, monotonic.
    """

    def __init__(
        self, generator: Generator, max_queue: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._generator = generator
        self._max_queue = max_queue
        self._now = now
        self._slots = asyncio.Semaphore(generator.max_sequences)
        self._running: set[Stream] = set()
        self._accepted = 0
        self._draining = False
        self._drained = asyncio.Event()
        self._usual_seconds = 0.0

    @property
    def waiting(self) -> int:
        """Calls that wait for others to end."""
        return self._accepted - len(self._running)

    @asynccontextmanager
    async def open(self, call: Call, timeout: float | None) -> AsyncIterator[Stream]:
        """Begin a call, and end it when the context is left, at the latest when its time is over.

        Args:
            call: What to write.
            timeout: Seconds for all of it, the caller's own reading included; None for no end.

        Raises:
            OverloadedError: Too many calls wait already.
            DrainingError: Nothing new is taken.
            DeadlinePassedError: The timeout ended first.
            InvalidInputError: The call is at fault.
        """
        self._admit(1, timeout)
        self._accepted += 1
        arrived = self._now()
        try:
            async with asyncio.timeout(timeout) as deadline, self._slots:
                began = self._now()
                async with aclosing(self._generator.stream(call)) as chunks:  # type: ignore[type-var] # a generator
                    stream = Stream(chunks, began - arrived, self._now)
                    self._beside(stream)
                    try:
                        yield stream
                    finally:
                        self._running.discard(stream)
                        self._usual_seconds += 0.1 * (self._now() - began - self._usual_seconds)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise DeadlinePassedError("the deadline passed before the text was written") from error
        finally:
            self._accepted -= 1
            if self._draining and not self._accepted:
                self._drained.set()

    async def submit(
        self, calls: Sequence[Call], *, key: Hashable, costs: Sequence[int], timeout: float | None
    ) -> Answer[Output]:
        """Write calls to their ends, side by side; as ``Batcher.submit``.

        Each output's value is a tuple of ``Written``, one for each text of the call.

        Raises:
            OverloadedError: They don't all fit into the queue; none is begun.
            DrainingError: Nothing new is taken.
            DeadlinePassedError: The timeout had ended before.
            CallFailedError: A call failed; the others are given up.
        """
        self._admit(len(calls), timeout)
        began = self._now()
        tasks = [asyncio.ensure_future(self._collect(call, timeout)) for call in calls]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            # They end at once: none outlives its request, or keeps an error that nobody reads.
            await asyncio.gather(*tasks, return_exceptions=True)
        for index, task in enumerate(tasks):
            error = task.exception() if task in done and not task.cancelled() else None
            if error is not None:
                raise CallFailedError(index) from error
        return _together([task.result() for task in tasks], self._now() - began)

    async def drain(self) -> None:
        """Take nothing new, and return when everything accepted has ended."""
        self._draining = True
        if self._accepted:
            await self._drained.wait()

    def close(self) -> None:
        """End what is still written: its readers get what there is."""
        self._generator.close()

    def _admit(self, count: int, timeout: float | None) -> None:
        if self._draining:
            raise DrainingError("the server is shutting down", retry_after=1.0)
        if timeout is not None and timeout <= 0:
            raise DeadlinePassedError("the deadline had passed when the call arrived")
        slots = self._generator.max_sequences
        if self._accepted + count > slots + self._max_queue:
            raise OverloadedError(
                f"{len(self._running)} calls are being answered, {self.waiting} wait and {count} more "
                f"don't fit: the queue holds {self._max_queue}",
                retry_after=max(0.05, self.waiting * self._usual_seconds / slots),
            )

    def _beside(self, stream: Stream) -> None:
        """Each knows the most that ran beside it."""
        self._running.add(stream)
        for one in self._running:
            one.answer.batch_size = max(one.answer.batch_size, len(self._running))

    async def _collect(self, call: Call, timeout: float | None) -> Answer[Output]:
        texts: dict[int, _Text] = {}
        async with self.open(call, timeout) as stream:
            async for chunk in stream:
                text = texts.setdefault(chunk.sequence, _Text())
                text.parts.append(chunk.text)
                text.logprobs += chunk.logprobs
                text.finish = chunk.finish
        written = tuple(texts[sequence].written() for sequence in sorted(texts))
        first = written[0].finish
        stream.answer.outputs = [Output(written, first.prompt_tokens if first else 0)]
        return stream.answer


def _together(answers: Sequence[Answer[Output]], seconds: float) -> Answer[Output]:
    """What calls took that ran side by side.

    Args:
        answers: One for each call.
        seconds: From the first one's arrival to the last one's end.
    """
    queued = max(answer.queue_seconds for answer in answers)
    written = sum(answer.written for answer in answers)
    cached = [answer.cached_tokens for answer in answers if answer.cached_tokens is not None]
    spent = seconds - min(answer.queue_seconds for answer in answers)
    return Answer(
        outputs=[output for answer in answers for output in answer.outputs],
        batch_size=max(answer.batch_size for answer in answers),
        queue_seconds=queued,
        compute_seconds=sum(answer.compute_seconds for answer in answers),
        first_seconds=max(answer.first_seconds or 0.0 for answer in answers),
        written=written,
        tokens_per_second=written / spent if spent > 0 else 0.0,
        cached_tokens=sum(cached) if cached else None,
    )
