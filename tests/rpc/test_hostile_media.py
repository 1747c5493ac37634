"""Broken pictures, films and sounds, and addresses that lead inwards, through a real server process."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import islice

import grpc
import pytest

from hostile_media import hostile_files, hostile_server, memory, sees, send
from standpipe import CallError, Client
from standpipe_bench.server_process import ServerProcess

# What is freed isn't given back at once.
MOST_MEGABYTES = 100


@pytest.fixture(scope="module")
def inside() -> Iterator[socket.socket]:
    """Somebody on the server's own machine who listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, inside: socket.socket) -> Iterator[ServerProcess]:
    allowed = f"http://localhost:{inside.getsockname()[1]}"
    with hostile_server(tmp_path_factory.mktemp("hostile"), ["--allow-uri", allowed]) as server:
        yield server


def test_broken_files_are_answered_or_refused_with_a_field(hostile: ServerProcess) -> None:
    assert sees(hostile)
    before = memory(hostile)["VmHWM"]
    found = send(hostile, islice(hostile_files(seed=7), 300))
    assert ([], []) == (found.others, found.unnamed)
    assert 300 == found.answers.total()
    # Else nothing was tried.
    assert {"OK", "INVALID_ARGUMENT INVALID_INPUT"} <= set(found.answers)
    assert hostile.process.poll() is None
    assert sees(hostile)
    assert memory(hostile)["VmHWM"] - before < MOST_MEGABYTES


def test_an_address_that_leads_inwards_is_refused_even_where_the_list_has_it(
    hostile: ServerProcess, inside: socket.socket
) -> None:
    uri = f"http://localhost:{inside.getsockname()[1]}/cat.png"
    with Client(hostile.address, retry=False) as client, pytest.raises(CallError) as caught:
        client.classify_image([uri])
    assert (grpc.StatusCode.INVALID_ARGUMENT, ["images[0].uri"]) == (
        caught.value.code,
        list(caught.value.fields),
    )
    assert "localhost has no public address" in str(caught.value)
    with pytest.raises(BlockingIOError):  # nobody came
        inside.accept()
