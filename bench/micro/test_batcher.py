"""Times what the batcher adds: calls go in, a worker's thread answers at once, and their callers go on.

Each run answers ``CALLS`` calls, so many at a time, and the table's figures are of all of them; the list of
medians by item has what one call took. Beside the batcher that is an asyncio task for each caller and a timer
for its deadline, which a server has too. Not aware of gRPC or of models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from standpipe_bench.requests.texts import texts
from standpipe_server.engine.batcher import Answer, Batcher
from standpipe_server.engine.queue import BatchLimits
from standpipe_server.engine.worker import ThreadWorker
from standpipe_server.interfaces import Call, Outcome, Output
from standpipe_server.tasks.base import texts_to_calls
from standpipe_server.tasks.embed_text import EMBED_TEXT, EmbedParameters

pytestmark = pytest.mark.benchmark(max_time=1.0, min_rounds=5)

CALLS = 1024
# As of an encoder on a processor: about 18 texts of this length in a batch.
LIMITS = BatchLimits(max_cost=448)
TIMEOUT = 60.0
ANSWER = Output(None, tokens=24)


class AtOnce:
    """A runner that has nothing to do."""

    def run(self, calls: Sequence[Call], *, alone: bool) -> Sequence[Outcome]:
        return [ANSWER] * len(calls)


@pytest.fixture
def batcher(loop: asyncio.AbstractEventLoop) -> Iterator[Batcher[Call, Output]]:
    async def make() -> Batcher[Call, Output]:
        return Batcher([ThreadWorker(AtOnce(), "at-once", loop)], LIMITS)

    made = loop.run_until_complete(make())
    yield made
    made.close()


async def ask(batcher: Batcher[Call, Output], calls: Sequence[Call]) -> Answer[Output]:
    """What a server does with a decoded request."""
    costs = [EMBED_TEXT.cost(call) for call in calls]
    return await batcher.submit(calls, key=EMBED_TEXT.key(calls[0]), costs=costs, timeout=TIMEOUT)


def requests(count: int, of: int) -> list[list[Call]]:
    """So many requests of so many texts each."""
    calls = texts_to_calls(texts(count * of, words=17, seed=3), EmbedParameters())
    return [calls[start : start + of] for start in range(0, len(calls), of)]


@pytest.mark.parametrize("together", [1, 64, 1024])
def test_so_many_callers_of_one_call_each(
    benchmark: BenchmarkFixture,
    loop: asyncio.AbstractEventLoop,
    batcher: Batcher[Call, Output],
    together: int,
) -> None:
    benchmark.extra_info.update(items=CALLS, unit="call")
    asked = requests(together, of=1)

    async def work() -> int:
        answered = 0
        for _ in range(CALLS // together):
            answered += len(await asyncio.gather(*(ask(batcher, calls) for calls in asked)))
        return answered

    assert CALLS == benchmark(lambda: loop.run_until_complete(work()))


@pytest.mark.parametrize("size", [64, 1024])
def test_one_caller_of_so_many_calls(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, batcher: Batcher[Call, Output], size: int
) -> None:
    benchmark.extra_info.update(items=CALLS, unit="call")
    (calls,) = requests(1, of=size)

    async def work() -> int:
        answered = 0
        for _ in range(CALLS // size):
            answered += len((await ask(batcher, calls)).outputs)
        return answered

    assert CALLS == benchmark(lambda: loop.run_until_complete(work()))
