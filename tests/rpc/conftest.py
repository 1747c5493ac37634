"""Servers of tiny models that start while other tests run, most of them of one that writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from servers import Starting, begin_ahead, starter
from standpipe import Client
from standpipe_bench.server_process import ServerProcess
from tiny_models import save_tiny_llama

TASKS = "text-generation+summarization+translation"
MAX_TOKENS = 32_768

Starter = Callable[[Sequence[str]], Future[ServerProcess]]


@pytest.fixture(scope="session", autouse=True)
def _servers_start_ahead(request: pytest.FixtureRequest) -> None:
    """While one test runs, the servers of later ones start."""
    begin_ahead(request, Path(__file__).parent)


@pytest.fixture(scope="session")
def ahead() -> Iterator[Starting]:
    """Starts servers one after the other: the other core is the tests'."""
    with starter(at_once=1) as start:
        yield start


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It can write for seconds."""
    return save_tiny_llama(tmp_path_factory.mktemp("tiny-llama") / "model", max_tokens=MAX_TOKENS)


@pytest.fixture(scope="session")
def llama_environment(tiny_llama: Path) -> Mapping[str, str]:
    """The export is kept beside the model."""
    return {"STANDPIPE_CACHE": str(tiny_llama.parent / "cache")}


@pytest.fixture(scope="session")
def generation_server_to_be(
    tiny_llama: Path,
    tiny_bert: Path,
    llama_environment: Mapping[str, str],
    ahead: Starting,
    tmp_path_factory: pytest.TempPathFactory,
) -> Future[ServerProcess]:
    config = tmp_path_factory.mktemp("config") / "standpipe.toml"
    models = [
        ("openvino", tiny_llama, TASKS, "openvino"),
        ("torch", tiny_llama, TASKS, "torch"),
        ("bert", tiny_bert, "feature-extraction", "torch"),
    ]
    config.write_text(
        "\n".join(
            f'[[model]]\nname = "{name}"\nsource = "{source}"\ntask = "{task}"\nbackend = "{backend}"'
            for name, source, task, backend in models
        ),
        encoding="utf-8",
    )
    options = ["--config", str(config), "--dtype", "fp32", "--max-new-tokens", str(MAX_TOKENS)]
    return ahead(options, llama_environment)


@pytest.fixture(scope="session")
def generation_server(generation_server_to_be: Future[ServerProcess]) -> ServerProcess:
    """The model on OpenVINO and on torch, and one that doesn't write."""
    return generation_server_to_be.result()


@pytest.fixture(scope="session")
def llama_server(tiny_llama: Path, llama_environment: Mapping[str, str], ahead: Starting) -> Starter:
    """Starts a server of the model on OpenVINO in fp32 with further options."""
    usual = ["--model", f"openvino={tiny_llama}:{TASKS}", "--backend", "openvino", "--dtype", "fp32"]
    usual += ["--max-new-tokens", str(MAX_TOKENS)]
    return lambda options: ahead([*usual, *options], llama_environment)


@pytest.fixture(scope="session")
def narrow_to_be(llama_server: Starter) -> Future[ServerProcess]:
    """It writes one text while one waits."""
    return llama_server(["--max-sequences", "1", "--max-queue", "1", "--max-items", "1"])


@pytest.fixture(scope="session")
def patient_to_be(llama_server: Starter) -> Future[ServerProcess]:
    """It waits for all texts when it is told to stop, as a test does."""
    return llama_server([])


@pytest.fixture(scope="session")
def impatient_to_be(llama_server: Starter) -> Future[ServerProcess]:
    """It doesn't, and writes two at once."""
    return llama_server(["--drain-timeout", "0.2", "--max-sequences", "2"])


@pytest.fixture(scope="session")
def passing_to_be(tiny_bert: Path, ahead: Starting) -> Future[ServerProcess]:
    """A test stops it."""
    return ahead(["--model", f"tiny={tiny_bert}", "--backend", "torch", "--threads", "1"])


@pytest.fixture(scope="session")
def strict_to_be(tiny_bert: Path, brittle_roberta: Path, ahead: Starting) -> Future[ServerProcess]:
    """Few items may wait, all of which may go into one batch."""
    models = ["--model", f"brittle={brittle_roberta}", "--model", f"tiny={tiny_bert}"]
    usual = ["--backend", "torch", "--threads", "1"]
    return ahead([*models, *usual, "--max-queue", "64", "--max-items", "64", "--max-batch-cost", "100000"])


@pytest.fixture
def writer(generation_server: ServerProcess) -> Iterator[Client]:
    with Client(generation_server.address, retry=False) as client:
        yield client
