"""Two servers behind Envoy, as deploy/envoy.yaml sets it up: one is killed under load."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from conformance.envoy import envoy
from conformance.languages import WANTED
from servers import Starting
from standpipe import CallError, Client
from standpipe.v1 import text_pb2
from standpipe_bench.server_process import ServerProcess

CALLERS = 16
REQUEST = text_pb2.EmbedTextRequest(texts=["the quick brown fox " * 12] * 16)

pytestmark = pytest.mark.skipif(WANTED not in os.environ, reason=f"{WANTED} isn't set: make conformance")


class Load:
    """Callers that call again as soon as they were answered.

    Args:
        address: Of what they call. Their clients don't retry.

    Attributes:
        answered: By which model, and how often.
        lost: When a call began that failed, and its status.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.answered: Counter[str] = Counter()
        self.lost: list[tuple[float, grpc.StatusCode]] = []
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def until_answered(self, more: int) -> None:
        """Wait until so many more calls have been answered."""
        wanted, give_up = self.answered.total() + more, time.monotonic() + 60
        while self.answered.total() < wanted:
            assert time.monotonic() < give_up, self.answered
            time.sleep(0.01)

    def _call(self) -> None:
        with Client(self._address, retry=False, timeout=30) as client:
            while not self._ended.is_set():
                began = time.monotonic()
                try:
                    response = client.call(client.text.EmbedText, REQUEST)
                except CallError as error:
                    with self._lock:
                        self.lost.append((began, error.code))
                else:
                    with self._lock:
                        self.answered[response.metadata.model] += 1


@pytest.fixture
def two(tiny_bert: Path, starting: Starting) -> list[ServerProcess]:
    """Two servers of one model, under two names: so an answer tells whose it is."""
    options = ["--backend", "torch", "--dtype", "fp32", "--threads", "1"]
    begun = [starting(["--model", f"{name}={tiny_bert}", *options]) for name in ("first", "second")]
    return [server.result() for server in begun]


@contextmanager
def killed_under_load(
    two: list[ServerProcess], folder: Path, *, retries: bool
) -> Iterator[tuple[Load, float]]:
    """Load on both, of which the first is killed; and when it was dead. The other has answered since."""
    with envoy([server.address for server in two], retries=retries, folder=folder) as address:
        with Load(address) as load:
            load.until_answered(200)
            both = dict(load.answered)
            two[0].process.kill()
            two[0].process.wait()
            died = time.monotonic()
            load.until_answered(200)
        assert all(both[name] > 50 for name in ("first", "second")), both
        yield load, died


def test_only_calls_in_flight_are_lost_and_each_is_told_unavailable(
    two: list[ServerProcess], tmp_path: Path
) -> None:
    with killed_under_load(two, tmp_path, retries=False) as (load, died):
        assert 0 < len(load.lost) <= CALLERS
        assert {grpc.StatusCode.UNAVAILABLE} == {code for _, code in load.lost}
        assert all(began <= died for began, _ in load.lost)


def test_with_the_retry_policy_no_call_is_lost(two: list[ServerProcess], tmp_path: Path) -> None:
    with killed_under_load(two, tmp_path, retries=True) as (load, _):
        assert [] == load.lost
