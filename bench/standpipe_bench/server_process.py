"""A Standpipe server as a process of its own, on a free port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Thread

_LISTENING = re.compile(r"listening on (\S+)")


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server.

    Attributes:
        address: ``host:port`` that it listens on.
        process: Its process; ``process.send_signal`` stops it early.
    """

    address: str
    process: subprocess.Popen[str]


@contextmanager
def server_process(
    options: Sequence[str] = (),
    *,
    timeout: float = 600.0,
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", "standpipe_server"),
) -> Iterator[ServerProcess]:
    """Start ``standpipe serve`` on a free port, and stop it at the end.

    Args:
        options: Of ``standpipe serve``.
        timeout: Seconds until it must be ready; fetching and exporting included.
        environment: Variables that it has beside those of this process.
        program: What Python runs.

    Yields:
        The server, once its models are ready.

    Raises:
        RuntimeError: It ended, or wasn't ready in time.
    """
    command = [sys.executable, *program, "serve", "--address", "127.0.0.1:0", *options]
    variables = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables)  # noqa: S603
    lines: Queue[str] = Queue()
    assert process.stdout is not None  # noqa: S101 - it was asked for
    reader = Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        yield ServerProcess(_address(lines, timeout), process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(timeout=5)
        process.stdout.close()


def _read(stream: Iterator[str], lines: Queue[str]) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def _address(lines: Queue[str], timeout: float) -> str:
    while True:
        try:
            line = lines.get(timeout=timeout)
        except Empty:
            raise RuntimeError(f"the server wasn't ready within {timeout:.0f} s") from None
        if not line:
            raise RuntimeError("the server ended before it was ready; what it said is above")
        if found := _LISTENING.search(line):
            return found.group(1)
