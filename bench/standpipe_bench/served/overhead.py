"""What serving costs: the same model called in-process and over the wire, in turns, as ratios."""

from __future__ import annotations

import asyncio
import statistics
import time
from itertools import cycle

import grpc

from standpipe.v1 import text_pb2
from standpipe_bench.in_process.elsewhere import Ask, Latency, Throughput
from standpipe_bench.load.driver import Timing
from standpipe_bench.load.schedules import Closed
from standpipe_bench.measure import figures_here
from standpipe_bench.payloads import EMBED_TEXT, embed_requests
from standpipe_bench.served.comparison import Comparison
from standpipe_bench.targets.grpc import Connection, Grpc, method_path

WORDS = 17
"""About 22 tokens with MiniLM's tokenizer."""

LIMITS = tuple(
    Throughput(together, items, WORDS, seconds=2.0)
    for together, items in ((True, 32), (True, 16), (False, 32))
)
"""In-process settings; the fastest of a round is its limit."""

LOADS = ((64, 1), (16, 1), (4, 32), (1, 32))
"""Concurrency and texts per call."""

PAUSES = (0.0, 0.002, 0.01)
"""Seconds of idling between lone calls."""

LONE_TURNS, LONE_CALLS = 8, 50


async def compare(address: str, ask: Ask, rounds: int) -> tuple[list[Comparison], list[Comparison]]:
    """Throughputs (texts/s) and lone latencies (median, ms), in-process and served, in turns."""
    throughput = [Comparison(f"{calls} callers × {items} text{'s' * (items > 1)}") for calls, items in LOADS]
    latency = [Comparison(f"1 caller, {pause * 1e3:g} ms pause") for pause in PAUSES]
    for _ in range(rounds):
        limit = max([await _ask(ask, setting) for setting in LIMITS])
        for line, (calls, items) in zip(throughput, LOADS, strict=True):
            line.in_process.append(limit)
            line.served.append(await _throughput(address, calls, items))
        for line, pause in zip(latency, PAUSES, strict=True):
            alone, served = await asyncio.to_thread(_lone, address, ask, pause)
            line.in_process.append(alone)
            line.served.append(served)
    return throughput, latency


async def _ask(ask: Ask, question: Throughput | Latency) -> float:
    # In a thread, as all that blocks.
    return await asyncio.to_thread(ask, question)


async def _throughput(address: str, calls: int, items: int) -> float:
    source = Grpc(Connection(address), EMBED_TEXT, embed_requests(items, WORDS, seed=1))
    return (await figures_here(source, Closed(calls), Timing(3.0, 0.5))).items_per_second


def _lone(address: str, ask: Ask, pause: float) -> tuple[float, float]:
    """Median time of a lone call in ms, in-process and served, in short turns.

    The caller blocks, as a caller does that has nothing else to do. The model idles while a call is on the
    wire, too; idling alone makes the next run slower, so the in-process calls must idle as long.
    """
    requests = cycle(embed_requests(1, WORDS, seed=1).messages)
    in_process, served = [], []
    with Connection(address).blocking_channel() as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, text_pb2.EmbedTextResponse] = channel.unary_unary(
            method_path(EMBED_TEXT), response_deserializer=text_pb2.EmbedTextResponse.FromString
        )
        for _ in range(LONE_TURNS):
            times, computing = [], []
            for _ in range(LONE_CALLS):
                time.sleep(pause)
                request = next(requests)
                sent = time.perf_counter()
                response = call(request, timeout=60)
                times.append(time.perf_counter() - sent)
                computing.append(response.metadata.compute_duration.nanos / 1e9)
            # The first calls of a turn find everything cold.
            median = statistics.median(times[LONE_CALLS // 5 :])
            idle = pause + median - statistics.median(computing[LONE_CALLS // 5 :])
            served.append(median * 1e3)
            in_process.append(ask(Latency(WORDS, idle, LONE_CALLS)))
    return statistics.median(in_process), statistics.median(served)
