"""Times each backend's in-process path on the demo model: text in, vector out. Run by ``make bench``."""

from collections.abc import Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from standpipe_bench.in_process import demo_folder
from standpipe_bench.payloads import texts
from standpipe_server.backends.load import load
from standpipe_server.interfaces import BackendName, Call, LoadedModel, ModelSpec, Outcome
from standpipe_server.tasks import program_for
from standpipe_server.tasks.embed_text import EmbedParameters

TASK = "feature-extraction"


@pytest.fixture(scope="module", params=["openvino", "torch"])
def model(request: pytest.FixtureRequest) -> LoadedModel:
    backend: BackendName = request.param
    spec = ModelSpec("demo", str(demo_folder(TASK)), (TASK,), backend=backend)
    return load(spec, program_for(spec.tasks), lambda step: None)


@pytest.mark.parametrize("size", [1, 8, 32])
def test_embedding_a_batch(benchmark: BenchmarkFixture, model: LoadedModel, size: int) -> None:
    parameters = EmbedParameters()
    calls = [Call(text, parameters) for text in texts(size, words=17, seed=1)]

    def run() -> Sequence[Outcome]:
        return model.runners[0].run(calls, alone=True)

    outcomes = benchmark(run)
    assert len(outcomes) == size
    assert not any(isinstance(outcome, Exception) for outcome in outcomes)
