"""Times each backend on the demo models: text in, vector out, and prompt in, eight tokens out.

Not aware of batching, messages or gRPC.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from standpipe.v1 import common_pb2, generation_pb2
from standpipe_bench.in_process import demo_folder
from standpipe_bench.requests.texts import texts
from standpipe_server.backends.choice import choose
from standpipe_server.backends.load import load
from standpipe_server.backends.machine import Machine
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import (
    BackendName,
    Call,
    DtypeName,
    Generator,
    LoadedModel,
    ModelSpec,
    Outcome,
)
from standpipe_server.tasks import InputLimits, program_for
from standpipe_server.tasks.base import texts_to_calls
from standpipe_server.tasks.embed_text import EmbedParameters
from standpipe_server.tasks.generate_text import GENERATE_TEXT

pytestmark = pytest.mark.benchmark(max_time=2.0, min_rounds=5)

BACKENDS: tuple[BackendName, ...] = ("openvino", "torch")
DTYPES: tuple[DtypeName, ...] = ("fp32", "bf16")
TOKENS = 8
# Nothing but what every engine has: with min_new_tokens torch writes the texts one after the other.
BRIEFLY = common_pb2.GenerationParameters(max_new_tokens=TOKENS, do_sample=False)


def demo_model(task: str, backend: BackendName, dtype: DtypeName = "auto") -> LoadedModel:
    """A demo model, or the reason why this machine can't run it so; what fails beyond that fails the test."""
    # Prompts come round again: from a prefix cache only the first round would be read.
    spec = ModelSpec(
        "demo", str(demo_folder(task)), (task,), backend=backend, dtype=dtype, prefix_cache=False
    )
    try:
        choose(spec, Machine())
    except ModelLoadError as refusal:
        pytest.skip(str(refusal))
    return load(spec, program_for(spec.tasks), lambda step: None)


@pytest.fixture(
    scope="module",
    params=[(backend, dtype) for backend in BACKENDS for dtype in DTYPES],
    ids="-".join,
)
def encoder(request: pytest.FixtureRequest) -> LoadedModel:
    backend, dtype = request.param
    return demo_model("feature-extraction", backend, dtype)


@pytest.fixture(scope="module", params=BACKENDS)
def generator(request: pytest.FixtureRequest) -> Iterator[Generator]:
    made = demo_model("text-generation", request.param).generator
    assert made is not None
    yield made
    made.close()


@pytest.mark.parametrize("size", [1, 8, 32])
def test_embedding_a_batch(benchmark: BenchmarkFixture, encoder: LoadedModel, size: int) -> None:
    benchmark.extra_info.update(items=size, unit="text")
    calls = texts_to_calls(texts(size, words=17, seed=3), EmbedParameters())

    def run() -> Sequence[Outcome]:
        return encoder.runners[0].run(calls, alone=True)

    run()  # the first of a size prepares what later ones find there
    outcomes = benchmark(run)
    assert size == len(outcomes)
    assert not any(isinstance(outcome, Exception) for outcome in outcomes)


@pytest.mark.parametrize("side_by_side", [1, 8])
def test_writing_eight_tokens(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, generator: Generator, side_by_side: int
) -> None:
    benchmark.extra_info.update(items=side_by_side * TOKENS, unit="token")
    prompts = texts(side_by_side, words=17, seed=3)
    request = generation_pb2.GenerateTextRequest(prompts=prompts, parameters=BRIEFLY)
    calls = GENERATE_TEXT.decode(request, InputLimits())

    async def write(call: Call) -> int:
        ends = [chunk.finish async for chunk in generator.stream(call)]
        return sum(end.generated_tokens for end in ends if end is not None)

    async def work() -> int:
        return sum(await asyncio.gather(*map(write, calls)))

    def run() -> int:
        return loop.run_until_complete(work())

    run()  # the first of a size prepares what later ones find there
    assert side_by_side * TOKENS == benchmark(run)
