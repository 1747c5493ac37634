"""What ``standpipe-bench generation`` reckons with: its streams, its turns, its ratios. No model."""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from rich.console import Console

from standpipe.v1 import generation_pb2
from standpipe_bench.served.engine import write
from standpipe_bench.served.generation import Rounds, compare, drive_streams, findings
from standpipe_bench.served.streams import (
    LONG,
    SHORT,
    Measured,
    StreamFigures,
    StreamLoad,
    Written,
    check_same,
    figures,
    first_tokens,
)
from standpipe_bench.served.tables import findings_table
from standpipe_bench.targets.grpc import Connection


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a millisecond each time that it is looked at: a busy machine fails no test."""
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(ticks) / 1000)
    monkeypatch.setattr("standpipe_bench.served.engine.time", clock)
    monkeypatch.setattr("standpipe_bench.served.generation.time", clock)


def prompts(load: StreamLoad, count: int) -> list[Any]:
    return list(itertools.islice(load.prompts(), count))


def test_the_same_seed_gives_the_same_prompts_and_another_gives_others() -> None:
    assert prompts(StreamLoad(4, seed=1), 50) == prompts(StreamLoad(4, seed=1), 50)
    texts = {prompt.text for seed in (1, 2) for prompt in prompts(StreamLoad(4, seed), 50)}
    assert 100 == len(texts)


def test_prompts_are_of_20_to_60_tokens_and_answers_of_64_on_average() -> None:
    found = prompts(StreamLoad(1, seed=1), 500)
    # A word is a token.
    lengths = [len(prompt.text.split()) for prompt in found]
    assert (20, 60) == (min(lengths), max(lengths))
    assert (48, 80) == (min(prompt.tokens for prompt in found), max(prompt.tokens for prompt in found))
    assert 62 <= sum(prompt.tokens for prompt in found) / 500 <= 66
    assert list(range(500)) == [prompt.number for prompt in found]


def test_the_first_texts_of_the_streams_end_one_after_the_other() -> None:
    first = [prompt.tokens for prompt in prompts(StreamLoad(16, seed=1), 16)]
    assert first[0] <= 5
    assert all(tokens <= 80 * (number + 1) / 16 for number, tokens in enumerate(first))


# Two texts in the counted second from 10 to 11: one runs into it, one begins in it.
RUNNING = Written(0, 9.0, (9.5, 9.9, 10.1, 10.3), read=5, tokens=8, messages=12)
BEGUN = Written(1, 10.2, (10.25, 10.5, 11.5, 12.0), read=7, tokens=4, messages=5)
MEASURED = Measured([RUNNING, BEGUN], begin=10.0, end=11.0)


def test_figures_count_what_comes_in_the_counted_time() -> None:
    found = figures(MEASURED)
    # Half of the pieces of either came then.
    assert 8 / 2 + 4 / 2 == found.tokens_per_second
    assert 12 / 2 + 5 / 2 == found.messages_per_second
    # Only the second one's first token is known to have been waited for in the counted time.
    assert 1 == found.texts
    # 0.2, 0.2 and 0.25 seconds; the gaps that end before or after don't count.
    assert pytest.approx(200.0) == found.gap_p50_ms
    assert pytest.approx(249.0) == found.gap_p99_ms
    assert pytest.approx(249 / 200) == found.unevenness()


def test_too_short_a_measurement_says_so() -> None:
    with pytest.raises(RuntimeError, match="measure for longer"):
        figures(Measured([RUNNING], begin=10.0, end=11.0))
    with pytest.raises(RuntimeError, match="measure for longer"):
        first_tokens(MEASURED, Measured([RUNNING], begin=10.0, end=11.0), streams=1)


def test_first_tokens_are_compared_prompt_by_prompt() -> None:
    def measured(firsts: dict[int, float]) -> Measured:
        texts = [Written(prompt, 1.0, (1.0 + first,), 1, 1) for prompt, first in firsts.items()]
        return Measured(texts, begin=0.0, end=9.0)

    # The first two are those that begin together.
    alone = measured({0: 0.1, 1: 0.1, 2: 0.1, 3: 0.5, 4: 0.2})
    served = measured({0: 5.0, 1: 5.0, 3: 0.502, 4: 0.203, 2: 0.104, 5: 9.0})
    found = first_tokens(served, alone, streams=2)
    assert [(100.0, 104.0), (500.0, 502.0), (200.0, 203.0)] == [pytest.approx(pair) for pair in found]


@pytest.mark.parametrize(("read", "tokens"), [(6, 8), (5, 9)])
def test_sides_that_read_or_write_otherwise_are_not_compared(read: int, tokens: int) -> None:
    other = Written(0, 3.0, (3.5,), read, tokens)
    with pytest.raises(RuntimeError, match="not the same work"):
        check_same(Measured([other], 0.0, 9.0), MEASURED)


def test_what_only_one_side_came_to_may_differ() -> None:
    check_same(Measured([Written(7, 3.0, (3.5,), 1, 1)], 0.0, 9.0), MEASURED)


class CountingEngine:
    """Writes a token of each text a step, the number of the step; notes how many were under way."""

    def __init__(self, gives_up: bool = False) -> None:
        self.most = 0
        self.decoded: list[list[int]] = []
        self._left: list[int] = []
        self._read: list[int] = []
        self._gives_up = gives_up

    def encode(self, text: str) -> list[int]:
        return list(range(len(text.split())))

    def decode(self, ids: list[int]) -> str:
        self.decoded.append(list(ids))
        return ""

    def begin(self, ids: list[int], tokens: int) -> int:
        self._left.append(tokens)
        self._read.append(tokens)
        return len(self._left) - 1

    def step(self) -> None:
        self.most = max(self.most, sum(left > 0 for left in self._left))
        self._left = [max(0, left - 1) for left in self._left]

    def read(self, handle: int) -> list[int]:
        if self._gives_up:
            raise RuntimeError("the engine gave up")
        self._read[handle] -= 1
        return [handle]


@pytest.mark.usefixtures("ticking")
def test_the_engine_is_driven_in_a_closed_loop_and_every_text_is_written_whole() -> None:
    engine = CountingEngine()
    load = StreamLoad(3, seed=1, warm_up=0.5, duration=1.0)
    measured = write(engine, load)
    wanted = {prompt.number: prompt for prompt in prompts(load, len(measured.texts))}
    assert 3 == engine.most
    assert 3 < len(measured.texts)
    for text in measured.texts:
        prompt = wanted[text.prompt]
        assert (len(prompt.text.split()), prompt.tokens) == (text.read, text.tokens)
        assert prompt.tokens == len(text.times)
        assert text.began <= text.times[0]
    # The first token, and the whole: of one token both are the same.
    assert 2 * len(measured.texts) == len(engine.decoded)
    assert figures(measured).tokens_per_second > 0


def test_an_engine_that_gives_up_ends_the_measurement() -> None:
    with pytest.raises(RuntimeError, match="gave up"):
        write(CountingEngine(gives_up=True), StreamLoad(2, seed=1, warm_up=0.0, duration=0.01))


class FakeGeneration:
    """StreamGenerateText: streams a piece for each token, an empty one first.

    Args:
        missing: Tokens that it writes less than it should.
        fails: With this status.
    """

    def __init__(self, missing: int = 0, fails: grpc.StatusCode | None = None) -> None:
        self.requests: list[generation_pb2.StreamGenerateTextRequest] = []
        self.most = 0
        self._active = 0
        self._missing = missing
        self._fails = fails

    async def stream(
        self,
        request: generation_pb2.StreamGenerateTextRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[generation_pb2.StreamGenerateTextResponse]:
        if self._fails:
            await context.abort(self._fails, "too much")
        self.requests.append(request)
        self._active += 1
        self.most = max(self.most, self._active)
        tokens = request.parameters.max_new_tokens - self._missing
        yield generation_pb2.StreamGenerateTextResponse(delta=generation_pb2.TextDelta())
        for _ in range(tokens):
            # Others get a turn, or the fake would serve one stream after the other.
            await asyncio.sleep(0)
            yield generation_pb2.StreamGenerateTextResponse(delta=generation_pb2.TextDelta(text=" a"))
        usage = generation_pb2.Usage(
            prompt_tokens=len(request.prompt.split()), generated_tokens=max(0, tokens)
        )
        self._active -= 1
        yield generation_pb2.StreamGenerateTextResponse(end=generation_pb2.StreamEnd(usage=usage))


@asynccontextmanager
async def channel_to(servicer: FakeGeneration) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(
        servicer.stream,
        request_deserializer=generation_pb2.StreamGenerateTextRequest.FromString,
        response_serializer=generation_pb2.StreamGenerateTextResponse.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler(
        "standpipe.v1.GenerationService", {"StreamGenerateText": handler}
    )
    server.add_generic_rpc_handlers([service])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = Connection(f"127.0.0.1:{port}").channel()
    try:
        yield channel
    finally:
        await channel.close()
        await server.stop(1.0)


@pytest.mark.usefixtures("ticking")
async def test_streams_of_a_server_are_driven_in_a_closed_loop() -> None:
    servicer = FakeGeneration()
    load = StreamLoad(4, seed=1, warm_up=0.5, duration=1.0)
    async with channel_to(servicer) as channel:
        measured = await drive_streams(channel, "chat", load)
    assert 4 == servicer.most
    assert 4 < len(measured.texts) == len(servicer.requests)
    wanted = {prompt.number: prompt for prompt in prompts(load, len(measured.texts))}
    assert {prompt.text for prompt in wanted.values()} == {request.prompt for request in servicer.requests}
    for request in servicer.requests:
        assert ("chat", False) == (request.model, request.parameters.do_sample)
        assert request.parameters.min_new_tokens == request.parameters.max_new_tokens
    for text in measured.texts:
        tokens = wanted[text.prompt].tokens
        # The piece without text is a message, but no token.
        assert (tokens, tokens, tokens + 2) == (text.tokens, len(text.times), text.messages)
        assert len(wanted[text.prompt].text.split()) == text.read
    found = figures(measured)
    assert found.messages_per_second > found.tokens_per_second > 0


@pytest.mark.parametrize(
    ("servicer", "said"),
    [
        (FakeGeneration(missing=1), "the server wrote"),
        (FakeGeneration(missing=99), "the server wrote"),
        (FakeGeneration(fails=grpc.StatusCode.RESOURCE_EXHAUSTED), "too much"),
    ],
)
async def test_a_stream_that_fails_or_ends_early_ends_the_measurement(
    servicer: FakeGeneration, said: str
) -> None:
    async with channel_to(servicer) as channel:
        with pytest.raises(RuntimeError, match=said):
            await drive_streams(channel, "", StreamLoad(3, seed=1, warm_up=0.0, duration=5.0))


def steady(load: StreamLoad, gap: float, first: float) -> Measured:
    """Two texts of each stream, a token every ``gap`` seconds."""
    texts = []
    for prompt in prompts(load, 2 * load.streams):
        times = tuple(first + number * gap for number in range(10))
        texts.append(Written(prompt.number, 0.0, times, 5, 10, messages=11))
    return Measured(texts, begin=0.0, end=first + 10 * gap)


def test_a_round_measures_both_sides_with_the_same_prompts_and_no_two_share_any() -> None:
    loads: list[tuple[str, StreamLoad]] = []

    def side(name: str, gap: float, first: float) -> Callable[[StreamLoad], Measured]:
        def measure(load: StreamLoad) -> Measured:
            loads.append((name, load))
            return steady(load, gap, first)

        return measure

    # The first measurement is disturbed, and taken again; a lone stream's first tokens are one of their own.
    shares = iter([0.5, 0.05, 0.02, 0.0, 0.0, 0.09, 0.03])
    found = compare(
        side("alone", 0.1, 0.2), side("served", 0.125, 0.202), 2, 7.0, watch=lambda: lambda: next(shares)
    )
    # Each comes first as often.
    assert ["alone", "served", "served", "alone"] * 7 + ["alone", "served"] == [name for name, _ in loads]
    assert [load for _, load in loads[::2]] == [load for _, load in loads[1::2]]
    seen = [load for _, load in loads[::2]]
    short, long = (1, pytest.approx(1.4), SHORT), (1, 7.0, LONG)
    expected = [long, long, *[short] * 5, (16, 7.0, LONG), long, *[short] * 5, (16, 7.0, LONG)]
    assert expected == [(load.streams, load.duration, load.tokens) for load in seen]
    assert len(seen) == len({load.seed for load in seen})
    assert [[0.05, 0.09], [0.0, 0.03]] == [rounds.others for rounds in found]
    for rounds in found:
        assert [pytest.approx(2.0)] * 2 == rounds.later_ms
        assert [pytest.approx((200.0, 202.0))] * 2 == rounds.first_ms


def shown(tokens: float, p50: float, p99: float, messages: float = 0.0) -> StreamFigures:
    return StreamFigures(9, tokens, messages, p50, p99)


ROUNDS = Rounds(
    16,
    in_process=[shown(100, 10, 30), shown(50, 20, 50), shown(80, 12, 30)],
    served=[shown(95, 11, 33, 97), shown(40, 25, 30, 41), shown(72, 13, 26, 75)],
    first_ms=[(40, 60), (80, 90), (50, 70)],
    later_ms=[21.0, 12.0, 19.0],
    others=[0.0, 0.0, 0.0],
)


def test_findings_compare_within_a_round() -> None:
    found = {one.figure: one for one in findings(ROUNDS)}
    tokens = found["tokens/s"]
    assert ([0.95, 0.8, 0.9], 0.9, True) == (tokens.compared, tokens.result(), tokens.met())
    assert (80, 72) == (tokens.in_process, tokens.served)
    uneven = found["gap p99 / p50"]
    assert ([3.0, 1.2, 2.0], 2.0, True) == (uneven.compared, uneven.result(), uneven.met())
    assert (2.5, 2.0) == (uneven.in_process, uneven.served)
    first = found["first token, ms"]
    assert (50, 70, 19.0, None) == (first.in_process, first.served, first.result(), first.met())
    assert (75.0, None) == (found["messages/s"].result(), found["messages/s"].met())


@pytest.mark.parametrize(("later", "met"), [(2.9, True), (3.1, False)])
def test_a_lone_stream_is_to_wait_little_for_its_first_token(later: float, met: bool) -> None:
    alone, served = [shown(10, 10, 30)], [shown(8, 10, 30, 9)]
    rounds = Rounds(1, alone, served, [(40, 43)], [later], [0.0])
    found = {one.figure: one for one in findings(rounds)}
    assert met is found["first token, ms"].met()
    assert found["tokens/s"].met() is False
    assert "gap p99 / p50" not in found


@pytest.mark.parametrize("quiet", [True, False])
def test_the_table_claims_nothing_of_a_busy_machine(quiet: bool) -> None:
    console = Console(width=160, file=io.StringIO(), color_system=None)
    console.print(findings_table(findings(ROUNDS), quiet=quiet))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0.90" in said
    assert "+12.0–+21.0" in said
    assert "≥ 0.9" in said
    assert quiet is ("≥ 0.9 met" in said)
    assert quiet is ("met" in said)
