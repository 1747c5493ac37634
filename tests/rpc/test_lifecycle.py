"""From the first byte of loading to the last answer, through real processes."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from standpipe import CallError, Client
from standpipe.v1 import models_pb2
from standpipe_bench.server_process import ServerProcess

SERVICES = ["", *(f"standpipe.v1.{name}Service" for name in ("Text", "Generation", "Tokenizer", "Model"))]
Health = health_pb2.HealthCheckResponse


def health(channel: grpc.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    check: Any = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined] # set at run time
    return int(check(request, timeout=5).status)


@pytest.mark.parametrize("service", SERVICES)
def test_a_ready_server_is_serving(client: Client, service: str) -> None:
    assert Health.SERVING == health(client.channel, service)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Loading = tuple[str, "subprocess.Popen[bytes]"]


@pytest.fixture
def loading(tiny_bert: Path) -> Iterator[Loading]:
    """Address and process of a server that has just begun to listen; its model is far from ready."""
    address = f"127.0.0.1:{free_port()}"
    options = ["--address", address, "--model", f"tiny={tiny_bert}", "--backend", "torch"]
    command = [sys.executable, "-m", "standpipe_server", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        until_open(address)
        yield address, process
        process.terminate()


def until_open(address: str) -> None:
    """Wait for the port; a channel that finds it closed would pause for a second before it tries again."""
    host, _, port = address.rpartition(":")
    give_up = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except ConnectionRefusedError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def test_while_a_model_loads_calls_are_unavailable_and_health_says_so(loading: Loading) -> None:
    with Client(loading[0], retry=False) as client:
        assert Health.NOT_SERVING == health(client.channel, "")
        assert models_pb2.MODEL_STATE_LOADING == client.get_model("tiny").state
        with pytest.raises(CallError) as refusal:
            client.embed_text(["too early"])
        assert (grpc.StatusCode.UNAVAILABLE, "MODEL_LOADING") == (refusal.value.code, refusal.value.reason)
        assert refusal.value.retry_after == 1.0


def test_sigterm_while_a_model_loads_ends_the_server(loading: Loading) -> None:
    address, process = loading
    with Client(address) as client:
        assert models_pb2.MODEL_STATE_LOADING == client.get_model("tiny").state
    process.terminate()
    assert 0 == process.wait(timeout=30)


def test_a_client_that_comes_too_early_gets_its_answer_by_retrying(loading: Loading) -> None:
    deadline = time.monotonic() + 60
    with Client(loading[0]) as client:
        while time.monotonic() < deadline:
            try:
                assert client.embed_text(["early"]).shape == (1, 32)
                return
            except CallError as error:
                # A channel retries five times at most; loading may take longer than that.
                if error.code is not grpc.StatusCode.UNAVAILABLE:
                    raise
    pytest.fail("the server never answered")


def test_sigterm_under_load_answers_everything_that_was_accepted(
    passing_to_be: Future[ServerProcess],
) -> None:
    """Each call is answered or refused with UNAVAILABLE, many of the first after the signal; exit code 0."""
    statuses: Counter[str] = Counter()
    after_signal: list[str] = []
    signalled = threading.Event()
    texts = ["the quick brown fox " * 12] * 256

    def caller(address: str) -> None:
        with Client(address, retry=False, timeout=30) as client:
            status = "OK"
            while status == "OK":
                try:
                    assert len(client.embed_text(texts)) == len(texts)
                except CallError as error:
                    status = f"{error.code.name} {error.reason}"
                statuses[status] += 1
                if signalled.is_set():
                    after_signal.append(status)

    server = passing_to_be.result()
    with ThreadPoolExecutor(8) as callers:
        running = [callers.submit(caller, server.address) for _ in range(8)]
        while statuses["OK"] < 16:
            time.sleep(0.01)
        signalled.set()
        server.process.send_signal(signal.SIGTERM)
        for future in running:
            future.result(timeout=60)
    assert server.process.wait(timeout=30) == 0
    assert "OK" in after_signal
    assert {"OK", "UNAVAILABLE SERVER_DRAINING", "UNAVAILABLE "} >= set(statuses)


VANISHING = """
import os, sys, threading
from standpipe import Client
client = Client(sys.argv[1])
much = ["the quick brown fox " * 16] * 1024
for _ in range(8):
    threading.Thread(target=client.embed_text, args=(much,), daemon=True).start()
client.embed_text(["the other calls are on their way"])
os._exit(1)
"""


def test_a_client_that_vanishes_in_the_middle_of_its_calls_hurts_nobody(
    tiny_server: ServerProcess, client: Client
) -> None:
    """What it left in the queue is dropped: the next caller needn't wait for it."""
    for _ in range(3):
        vanished = subprocess.run(
            [sys.executable, "-c", VANISHING, tiny_server.address], timeout=60, check=False
        )
        assert vanished.returncode == 1
        assert client.embed_text(["still here"], timeout=10).shape == (1, 32)


def test_a_taken_port_is_said_so(tiny_server: ServerProcess, tiny_bert: Path) -> None:
    options = ["serve", "--address", tiny_server.address, "--model", f"tiny={tiny_bert}"]
    ended = subprocess.run(
        [sys.executable, "-m", "standpipe_server", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert f"can't listen on {tiny_server.address}" in ended.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "m=/no/such/folder"], "there is no folder /no/such/folder"),
        (["--model", "m"], "'m' isn't NAME=SOURCE[:TASK[+TASK]]"),
        (["--dtype", "fp8"], "dtype: Input should be"),
        (["--config", "/no/such/file.toml"], "there is no configuration file /no/such/file.toml"),
    ],
)
def test_a_wrong_option_is_said_in_a_line(options: list[str], said: str) -> None:
    command = [sys.executable, "-m", "standpipe_server", "serve", "--address", "127.0.0.1:0", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
