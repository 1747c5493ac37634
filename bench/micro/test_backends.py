"""Times each backend's in-process path on the demo model: text in, vector out. Run by ``make bench``."""

from collections.abc import Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from standpipe_bench.payloads import texts
from standpipe_server import demo_models
from standpipe_server.backends.load import load
from standpipe_server.interfaces import BackendName, Call, EmbedParameters, LoadedModel, ModelSpec, Outcome


@pytest.fixture(scope="module", params=["openvino", "torch"])
def model(request: pytest.FixtureRequest) -> LoadedModel:
    recipe = demo_models.RECIPES[0]
    folder = demo_models.fetch(recipe, lambda done, total: None)
    backend: BackendName = request.param
    return load(ModelSpec(recipe.name, str(folder), recipe.task, backend=backend), lambda step: None)


@pytest.mark.parametrize("size", [1, 8, 32])
def test_embedding_a_batch(benchmark: BenchmarkFixture, model: LoadedModel, size: int) -> None:
    parameters = EmbedParameters()
    calls = [Call(text, parameters) for text in texts(size, words=17, seed=1)]

    def run() -> Sequence[Outcome]:
        return model.runners[0].run(calls, alone=True)

    outcomes = benchmark(run)
    assert len(outcomes) == size
    assert not any(isinstance(outcome, Exception) for outcome in outcomes)
