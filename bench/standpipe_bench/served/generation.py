"""What serving a causal model costs: streams of a server against the same engine in-process, in turns.

Not aware of the engine: how each side is measured is passed in, so that the arithmetic needs no model.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, cycle
from typing import Literal

import grpc

from standpipe.v1 import common_pb2, generation_pb2, generation_pb2_grpc
from standpipe_bench.load.driver import on_fast_loop
from standpipe_bench.served.neighbours import quietest
from standpipe_bench.served.streams import (
    SHORT,
    FirstTokens,
    Measured,
    Prompt,
    StreamFigures,
    StreamLoad,
    Written,
    check_same,
    figures,
    first_tokens,
)
from standpipe_bench.targets.grpc import Connection

STREAMS = (1, 16)
"""Side by side."""

LEAST_SHARE = 0.9
"""Of the engine's own tokens a second that a server is to give."""

MOST_LATER_MS = 3.0
"""That a lone stream's first token may come later."""

MOST_UNEVEN = 2.0
"""Times the usual time between two tokens that hardly any may take longer than."""

TURNS = 5
"""Of either side in a round, where a lone stream's first tokens are compared: a few milliseconds show only
between what was measured within the same seconds. Odd: so all that is measured changes its order by round."""

Side = Callable[[StreamLoad], Measured]
"""Measures one side."""


@dataclass(slots=True)
class Rounds:
    """What a number of streams showed, by round.

    Attributes:
        streams: Side by side.
        in_process: Figures of the engine alone.
        served: Figures of the server.
        first_ms: Medians of the milliseconds to a first token, in-process and served.
        later_ms: Median of the milliseconds that served first tokens come later, prompt by prompt.
        others: Share of the processor time that other processes took; of two measurements the larger.
    """

    streams: int
    in_process: list[StreamFigures] = field(default_factory=list)
    served: list[StreamFigures] = field(default_factory=list)
    first_ms: list[tuple[float, float]] = field(default_factory=list)
    later_ms: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    def add_first_tokens(self, found: FirstTokens) -> None:
        """Keep a round's."""
        alone, served = zip(*found, strict=True)
        self.first_ms.append((statistics.median(alone), statistics.median(served)))
        self.later_ms.append(statistics.median(late - early for early, late in found))


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure of both sides, and what it is to be.

    Attributes:
        streams: Side by side.
        figure: What was measured, with its unit.
        in_process: Medians over the rounds.
        served: The same.
        compared: By round: served against in-process, or less in-process, or served by itself.
        how: Which of these.
        wanted: What the median of ``compared`` is to be; None where nothing is wanted.
        at_least: Whether it is to be that or more; else that or less.
    """

    streams: int
    figure: str
    in_process: float
    served: float
    compared: Sequence[float]
    how: Literal["ratio", "difference", "served"]
    wanted: float | None = None
    at_least: bool = True

    def result(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.compared)

    def met(self) -> bool | None:
        """Whether it is as wanted; None where nothing is."""
        if self.wanted is None:
            return None
        return self.result() >= self.wanted if self.at_least else self.result() <= self.wanted


def compare(
    in_process: Side,
    served: Side,
    rounds: int,
    duration: float,
    watch: Callable[[], Callable[[], float]],
) -> list[Rounds]:
    """Measure both sides in turns, with the same prompts.

    Args:
        in_process: Measures the engine alone.
        served: Measures the server.
        rounds: How often.
        duration: Seconds of each measurement.
        watch: As ``neighbours.quietest`` takes it.

    Raises:
        RuntimeError: A side failed, the sides didn't do the same work, or it was too short to tell.
    """
    turns = _Turns(in_process, served, duration)
    found = [Rounds(streams) for streams in STREAMS]
    for _ in range(rounds):
        for kept in found:
            (alone, over_wire), share = quietest(partial(turns.long, kept.streams), watch)
            kept.in_process.append(figures(alone))
            kept.served.append(figures(over_wire))
            if kept.streams == 1:
                firsts, meanwhile = quietest(turns.short, watch)
                share = max(share, meanwhile)
            else:
                firsts = first_tokens(over_wire, alone, kept.streams)
            kept.add_first_tokens(firsts)
            kept.others.append(share)
    return found


class _Turns:
    """Both sides, one after the other, each with the same prompts."""

    def __init__(self, in_process: Side, served: Side, duration: float) -> None:
        self._in_process = in_process
        self._served = served
        self._duration = duration
        # Each try has prompts of its own, or what is measured again would find them in the prefix cache.
        self._seeds = count(1)
        # Whoever comes second may find the machine slower, or faster: each comes first as often.
        self._order = cycle((True, False))

    def long(self, streams: int) -> tuple[Measured, Measured]:
        return self._both(StreamLoad(streams, next(self._seeds), duration=self._duration))

    def short(self) -> FirstTokens:
        """Of a lone stream."""
        found: FirstTokens = []
        for _ in range(TURNS):
            # What is cold is so for the first text, which doesn't count anyway.
            turn = StreamLoad(
                1, next(self._seeds), warm_up=0.0, duration=self._duration / TURNS, tokens=SHORT
            )
            alone, over_wire = self._both(turn)
            found += first_tokens(over_wire, alone, streams=1)
        return found

    def _both(self, load: StreamLoad) -> tuple[Measured, Measured]:
        if next(self._order):
            alone, over_wire = self._in_process(load), self._served(load)
        else:
            over_wire, alone = self._served(load), self._in_process(load)
        check_same(over_wire, alone)
        return alone, over_wire


def findings(rounds: Rounds) -> list[Finding]:
    """What a number of streams is to show; one stream and several aren't asked the same."""
    lone = rounds.streams == 1
    found = [
        _finding(rounds, "tokens/s", lambda one: one.tokens_per_second, "ratio", LEAST_SHARE),
        _first_token(rounds, MOST_LATER_MS if lone else None),
        _finding(rounds, "gap p50, ms", lambda one: one.gap_p50_ms, "ratio"),
        _finding(rounds, "gap p99, ms", lambda one: one.gap_p99_ms, "ratio"),
    ]
    if not lone:
        uneven = _finding(
            rounds,
            "gap p99 / p50",
            StreamFigures.unevenness,
            "served",
            MOST_UNEVEN,
            at_least=False,
        )
        found.append(uneven)
    return [*found, _finding(rounds, "messages/s", lambda one: one.messages_per_second, "served")]


def served_streams(address: str, model: str, load: StreamLoad) -> Measured:
    """Measure StreamGenerateText of a running server.

    Args:
        address: ``host:port``.
        model: Its name.
        load: What to ask for.

    Raises:
        RuntimeError: A call failed, or wrote less or more than it was asked for.
    """

    async def work() -> Measured:
        channel = Connection(address).channel()
        try:
            return await drive_streams(channel, model, load)
        finally:
            await channel.close()

    return on_fast_loop(work())


async def drive_streams(channel: grpc.aio.Channel, model: str, load: StreamLoad) -> Measured:
    """As ``served_streams``, on a channel."""
    stub: generation_pb2_grpc.GenerationServiceAsyncStub = generation_pb2_grpc.GenerationServiceStub(channel)
    prompts = load.prompts()
    begin = time.perf_counter() + load.warm_up
    end = begin + load.duration
    texts: list[Written] = []
    failed: BaseExceptionGroup[BaseException] | None = None

    async def stream() -> None:
        while time.perf_counter() < end:
            texts.append(await _stream(stub, model, prompts))

    try:
        async with asyncio.TaskGroup() as streams:
            for _ in range(load.streams):
                streams.create_task(stream())
    except* (grpc.aio.AioRpcError, RuntimeError) as errors:
        # Raised after the block: Python 3.11.2 would wrap what is raised in it.
        failed = errors
    if failed is not None:
        # One says enough: what ails one stream mostly ails all.
        raise RuntimeError(f"a stream failed: {failed.exceptions[0]}") from failed
    return Measured(texts, begin, end)


async def _stream(
    stub: generation_pb2_grpc.GenerationServiceAsyncStub, model: str, prompts: Iterator[Prompt]
) -> Written:
    prompt = next(prompts)
    # Before the clock: the engine's own arguments aren't made of messages either.
    request = _request(model, prompt)
    times: list[float] = []
    messages = 0
    usage = generation_pb2.Usage()
    began = time.perf_counter()
    async for message in stub.StreamGenerateText(request, timeout=600):
        now = time.perf_counter()
        messages += 1
        if message.delta.text:
            times.append(now)
        elif message.HasField("end"):
            usage = message.end.usage
    if usage.generated_tokens != prompt.tokens or not times:
        raise RuntimeError(f"asked for {prompt.tokens} tokens, the server wrote {usage.generated_tokens}")
    return Written(prompt.number, began, tuple(times), usage.prompt_tokens, usage.generated_tokens, messages)


def _request(model: str, prompt: Prompt) -> generation_pb2.StreamGenerateTextRequest:
    return generation_pb2.StreamGenerateTextRequest(
        model=model,
        prompt=prompt.text,
        parameters=common_pb2.GenerationParameters(
            do_sample=False, min_new_tokens=prompt.tokens, max_new_tokens=prompt.tokens
        ),
    )


def _finding(
    rounds: Rounds,
    figure: str,
    read: Callable[[StreamFigures], float],
    how: Literal["ratio", "served"],
    wanted: float | None = None,
    *,
    at_least: bool = True,
) -> Finding:
    alone, served = [read(one) for one in rounds.in_process], [read(one) for one in rounds.served]
    compared = served if how == "served" else [b / a for a, b in zip(alone, served, strict=True)]
    medians = statistics.median(alone), statistics.median(served)
    return Finding(rounds.streams, figure, *medians, compared, how, wanted, at_least)


def _first_token(rounds: Rounds, wanted: float | None) -> Finding:
    alone, served = map(statistics.median, zip(*rounds.first_ms, strict=True))
    return Finding(
        rounds.streams,
        "first token, ms",
        alone,
        served,
        rounds.later_ms,
        "difference",
        wanted,
        at_least=False,
    )
