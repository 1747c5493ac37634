"""Times the demo models' tokenizers, by the very functions through which the backends read.

An encoder's texts are read together: on the worker's own thread, or spread over all cores where the batch
runs alone. A causal model's prompts are read one by one. Not aware of what is computed from the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from transformers import AutoConfig

from standpipe_bench.in_process import demo_folder
from standpipe_bench.requests.texts import texts
from standpipe_server.backends.causal import CausalReader, generation_config
from standpipe_server.backends.engines import Job
from standpipe_server.backends.reading import TextReader
from standpipe_server.backends.sources import Source
from standpipe_server.programs import CausalPrompt, Cut, Encoding, Writing

pytestmark = [
    pytest.mark.benchmark(max_time=0.3, min_rounds=10),
    pytest.mark.parametrize("size", [1, 8, 32]),
    pytest.mark.parametrize("words", [17, 128], ids="{}-words".format),
]


@pytest.fixture(scope="module")
def encoders() -> TextReader:
    folder = demo_folder("feature-extraction")
    return TextReader(folder, AutoConfig.from_pretrained(folder))


@pytest.fixture(scope="module")
def chat_models() -> CausalReader:
    source = Source(demo_folder("text-generation"), "")
    return CausalReader(source, AutoConfig.from_pretrained(source.folder), generation_config(source))


@pytest.mark.parametrize("spread", [False, True], ids=["own-thread", "all-cores"])
def test_an_encoder_reads_texts(
    benchmark: BenchmarkFixture, encoders: TextReader, size: int, words: int, spread: bool
) -> None:
    benchmark.extra_info.update(items=size, unit="text")
    found, cuts = texts(size, words, seed=3), [Cut()] * size

    def run() -> Sequence[Encoding | Exception]:
        return encoders.encode(found, cuts, spread=spread)

    encodings = benchmark(run)
    assert not [one for one in encodings if isinstance(one, Exception)]


def test_a_chat_model_reads_prompts(
    benchmark: BenchmarkFixture, chat_models: CausalReader, size: int, words: int
) -> None:
    benchmark.extra_info.update(items=size, unit="prompt")
    prompts = [CausalPrompt(text) for text in texts(size, words, seed=3)]
    writing = Writing()

    def run() -> list[Job]:
        return [chat_models.job(prompt, writing) for prompt in prompts]

    jobs = benchmark(run)
    assert all(job.ids for job in jobs)
