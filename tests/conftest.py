"""What tests share: no hub, a tiny model, real server processes."""

from __future__ import annotations

import os

# For this process and the servers that it starts; the libraries read it when they are imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["DIFFUSERS_VERBOSITY"] = "error"

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from hypothesis import settings

from servers import Starting, starter
from standpipe import Client
from standpipe_bench.server_process import ServerProcess, server_process
from tiny_models import save_tiny_encoder

# Deterministic, and without a clock: a shared machine must not make a test fail.
settings.register_profile("standpipe", deadline=None, derandomize=True, database=None)
settings.load_profile("standpipe")


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain encoder with random weights: 32 dimensions, 64 tokens."""
    return save_tiny_encoder(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def brittle_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that raises on long texts: RoBERTa needs two positions more than its files give it here."""
    return save_tiny_encoder(tmp_path_factory.mktemp("brittle"), kind="roberta", max_tokens=256)


@pytest.fixture(scope="session")
def tiny_server(tiny_bert: Path) -> Iterator[ServerProcess]:
    """A server of the tiny model on torch, with its own limits."""
    options = ["--model", f"tiny={tiny_bert}", "--backend", "torch", "--dtype", "fp32"]
    # Two threads of torch would wait for each other most of the time on a busy machine.
    options += ["--threads", "1", "--max-text-bytes", "100000"]
    with server_process(options) as server:
        yield server


@pytest.fixture(scope="session")
def starting() -> Iterator[Starting]:
    with starter() as start:
        yield start


@pytest.fixture(scope="session")
def default_server_to_be(starting: Starting) -> Future[ServerProcess]:
    return starting(["--log-level", "warning"])


@pytest.fixture(scope="session")
def default_server(default_server_to_be: Future[ServerProcess]) -> ServerProcess:
    """What a newcomer starts: the demo models, each as this machine serves it best."""
    return default_server_to_be.result()


@pytest.fixture
def client(tiny_server: ServerProcess) -> Iterator[Client]:
    with Client(tiny_server.address, retry=False) as client:
        yield client
