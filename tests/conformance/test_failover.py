"""Two servers behind Envoy, as deploy/envoy.yaml sets it up: one is killed under load."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.envoy import envoy
from conformance.languages import WANTED
from servers import Starting
from standpipe import CallError, Client
from standpipe_bench.server_process import ServerProcess

CALLERS = 16
TEXTS = ["the quick brown fox " * 12] * 16

pytestmark = pytest.mark.skipif(WANTED not in os.environ, reason=f"{WANTED} isn't set: make conformance")


class Load:
    """Callers that call again as soon as they were answered.

    Args:
        address: Of what they call.
        retry: Whether their clients retry.

    Attributes:
        statuses: How often calls ended how.
    """

    def __init__(self, address: str, *, retry: bool) -> None:
        self._address, self._retry = address, retry
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.statuses: Counter[str] = Counter()
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
        wanted, give_up = self.statuses["OK"] + more, time.monotonic() + 60
        while self.statuses["OK"] < wanted:
            assert time.monotonic() < give_up, self.statuses
            time.sleep(0.01)

    def _call(self) -> None:
        with Client(self._address, retry=self._retry, timeout=30) as client:
            while not self._ended.is_set():
                try:
                    client.embed_text(TEXTS)
                    status = "OK"
                except CallError as error:
                    status = error.code.name
                with self._lock:
                    self.statuses[status] += 1


@pytest.fixture
def two(tiny_bert: Path, starting: Starting) -> list[ServerProcess]:
    """Two servers of the same model."""
    options = ["--model", f"tiny={tiny_bert}", "--backend", "torch", "--dtype", "fp32", "--threads", "1"]
    return [server.result() for server in [starting(options), starting(options)]]


def answered(server: ServerProcess) -> float:
    """Seconds of a processor that a server has taken."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def killed_under_load(two: list[ServerProcess], folder: Path, *, retries: bool) -> Iterator[Load]:
    """Load on both, of which one is killed; ends when the other has answered for a while."""
    addresses = [server.address for server in two]
    with envoy(addresses, retries=retries, folder=folder) as address:
        with Load(address, retry=False) as load:
            load.until_answered(100)
            two[0].process.kill()
            load.until_answered(200)
        yield load


def test_only_calls_in_flight_are_lost_and_each_is_told_unavailable(
    two: list[ServerProcess], tmp_path: Path
) -> None:
    with killed_under_load(two, tmp_path, retries=False) as load:
        lost = sum(load.statuses.values()) - load.statuses["OK"]
        assert {"OK", "UNAVAILABLE"} == load.statuses.keys()
        assert 0 < lost <= CALLERS


def test_with_the_retry_policy_no_call_is_lost(two: list[ServerProcess], tmp_path: Path) -> None:
    with killed_under_load(two, tmp_path, retries=True) as load:
        assert {"OK"} == load.statuses.keys()
