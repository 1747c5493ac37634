"""Servers of a tiny causal model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from standpipe import Client
from standpipe_bench.server_process import ServerProcess, server_process
from tiny_models import save_tiny_llama

TASKS = "text-generation+summarization+translation"
MAX_TOKENS = 32_768

LlamaServer = Callable[[Sequence[str]], AbstractContextManager[ServerProcess]]


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It can write for seconds."""
    return save_tiny_llama(tmp_path_factory.mktemp("tiny-llama") / "model", max_tokens=MAX_TOKENS)


@pytest.fixture(scope="session")
def llama_server(tiny_llama: Path) -> LlamaServer:
    """A server of a tiny Llama on OpenVINO in fp32; the export is kept beside the model."""

    @contextmanager
    def serve(options: Sequence[str]) -> Iterator[ServerProcess]:
        shared = ["--backend", "openvino", "--dtype", "fp32", "--max-new-tokens", str(MAX_TOKENS)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STANDPIPE_CACHE", str(tiny_llama.parent / "cache"))
            with server_process(["--model", f"openvino={tiny_llama}:{TASKS}", *shared, *options]) as server:
                yield server

    return serve


@pytest.fixture(scope="session")
def generation_server(
    tiny_llama: Path, tiny_bert: Path, llama_server: LlamaServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """The model on OpenVINO and on torch, and one that doesn't write."""
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STANDPIPE_CACHE", str(tiny_llama.parent / "cache"))
        options = ["--config", str(config), "--dtype", "fp32", "--max-new-tokens", str(MAX_TOKENS)]
        with server_process(options) as server:
            yield server


@pytest.fixture
def writer(generation_server: ServerProcess) -> Iterator[Client]:
    with Client(generation_server.address, retry=False) as client:
        yield client
