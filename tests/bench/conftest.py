"""A server that has nothing of this project."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from standpipe_bench.targets.grpc import Connection

FOREIGN = Path(__file__).parents[1] / "foreign"
PROTO = FOREIGN / "library.proto"

LibraryServer = Callable[[Sequence[str]], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def library_server(tmp_path_factory: pytest.TempPathFactory) -> LibraryServer:
    """Starts one with options and gives its address."""
    generated = tmp_path_factory.mktemp("library")
    compiler = [sys.executable, "-m", "grpc_tools.protoc", f"-I{FOREIGN}"]
    subprocess.run(
        [*compiler, f"--python_out={generated}", f"--grpc_python_out={generated}", str(PROTO)], check=True
    )

    @contextmanager
    def serve(options: Sequence[str] = ()) -> Iterator[str]:
        command = [sys.executable, str(FOREIGN / "server.py"), str(generated), *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield f"127.0.0.1:{int(process.stdout.readline())}"
            finally:
                process.terminate()

    return serve


@pytest.fixture(scope="session")
def library(library_server: LibraryServer) -> Iterator[Connection]:
    with library_server(["--reflection", "v1alpha"]) as address:
        yield Connection(address)


@pytest.fixture(scope="session")
def silent_library(library_server: LibraryServer) -> Iterator[Connection]:
    """It doesn't describe itself."""
    with library_server([]) as address:
        yield Connection(address)
