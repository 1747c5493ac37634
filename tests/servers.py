"""Servers that start side by side: until it is ready each needs many seconds of one core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from standpipe_bench.server_process import ServerProcess, server_process

Starting = Callable[[Sequence[str]], Future[ServerProcess]]
"""Starts a server with options of ``standpipe serve``."""


@contextmanager
def starter() -> Iterator[Starting]:
    """What starts them; they are stopped at the end."""
    with ExitStack() as running, ThreadPoolExecutor() as starters:

        def start(options: Sequence[str]) -> Future[ServerProcess]:
            return starters.submit(running.enter_context, server_process(options))

        yield start
