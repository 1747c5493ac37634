"""A server that has nothing of this project, and a command that takes long."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from servers import begin_ahead
from standpipe_bench.targets.grpc import Connection

FOREIGN = Path(__file__).parents[1] / "foreign"
PROTO = FOREIGN / "library.proto"

LibraryServer = Callable[[Sequence[str]], AbstractContextManager[str]]


@pytest.fixture(scope="session", autouse=True)
def _the_matrix_runs_beside_other_tests(request: pytest.FixtureRequest) -> None:
    begin_ahead(request, Path(__file__).parent)


@pytest.fixture(scope="session")
def matrix_to_be(
    tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """``standpipe-bench matrix`` of a tiny model, and the file that it writes."""
    result = tmp_path_factory.mktemp("matrix") / "matrix.json"
    options = ["--device", "cpu,cuda,mps", "--backend", "torch", "--dtype", "fp32", "--batch", "1,3"]
    options += ["--words", "5", "--duration", "0.3", "--warm-up", "0.1", "--json", str(result)]
    command = [sys.executable, "-m", "standpipe_bench", "matrix"]
    command += ["--model", f"tiny={tiny_bert}:feature-extraction", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        yield process, result
        process.terminate()


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
