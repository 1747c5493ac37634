"""Servers, and other processes, that start beside tests: each needs many seconds of one core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from standpipe_bench.server_process import ServerProcess, server_process


class Starting(Protocol):
    """Starts a server."""

    def __call__(
        self, options: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Future[ServerProcess]:
        """A server that will be ready.

        Args:
            options: Of ``standpipe serve``.
            environment: Variables that it has beside those of this process.
        """
        ...


@contextmanager
def starter(at_once: int | None = None) -> Iterator[Starting]:
    """What starts them; they are stopped at the end.

    Args:
        at_once: How many start side by side.
    """
    with ExitStack() as running, ThreadPoolExecutor(at_once) as starters:

        def start(
            options: Sequence[str], environment: Mapping[str, str] | None = None
        ) -> Future[ServerProcess]:
            return starters.submit(running.enter_context, server_process(options, environment=environment))

        yield start
        # Nobody needs those any more that haven't begun.
        starters.shutdown(cancel_futures=True)


def begin_ahead(request: pytest.FixtureRequest, folder: Path) -> None:
    """Begin what tests of a folder will wait for: each fixture ``…_to_be`` that one of them needs."""
    tests = (item for item in request.session.items if item.path.is_relative_to(folder))
    for name in dict.fromkeys(name for test in tests for name in getattr(test, "fixturenames", ())):
        if name.endswith("_to_be"):
            request.getfixturevalue(name)
