"""A gRPC server whose behaviour is known, to measure the bench by: ``python -m standpipe_bench.synthetic``.

Each request says how long its answer takes. Stalls come at moments that are known too: a server that stands
still takes calls, and answers none.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import grpc
import numpy as np
import numpy.typing as npt

from standpipe_bench.load.driver import on_fast_loop
from standpipe_bench.targets.grpc import Connection, Grpc, Requests

RPC = "standpipe.bench.Synthetic.Answer"

_REQUEST = struct.Struct("<dI")
_BLOCK = bytes(1 << 14)

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stalls:
    """When a server stands still: ``length`` seconds of every ``period``, the first time at ``first``.

    Attributes:
        first: On ``time.perf_counter``, which all processes of a machine share on Linux.
        period: Seconds from one beginning to the next.
        length: Seconds; 0 for a server that never stands still.
    """

    first: float
    period: float
    length: float

    def left(self, moments: Times) -> Times:
        """Seconds until a server that is asked then goes on."""
        since = (moments - self.first) % self.period
        within = (moments >= self.first) & (since < self.length)
        rest: Times = np.where(within, self.length - since, 0.0)
        return rest


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A running one.

    Attributes:
        address: ``host:port``.
        pid: Of its process.
        stalls: Its own.
    """

    address: str
    pid: int
    stalls: Stalls

    def source(self, seconds: Sequence[float] = (0.0,), work: int = 0) -> Grpc:
        """Calls of it, in turns.

        Args:
            seconds: That the answers take, at least.
            work: Blocks of 16 KiB that are hashed for each: processor time, which a busy machine lengthens.
        """
        messages = [_REQUEST.pack(time, work) for time in seconds]
        return Grpc(Connection(self.address), RPC, Requests(messages, [1] * len(messages), "synthetic"))


@contextmanager
def synthetic(*, stall: float = 0.0, period: float = 10.0, slower: float = 1.0) -> Iterator[Synthetic]:
    """A server for as long as the context lasts.

    Args:
        stall: Seconds that it stands still, each ``period``.
        period: From one stall to the next; the first comes half a period after the start.
        slower: Times the work that it is asked for.

    Raises:
        RuntimeError: It ended before it listened.
    """
    first = time.perf_counter() + period / 2
    options = {"first": first, "stall": stall, "period": period, "slower": slower}
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "standpipe_bench.synthetic", *flags]
    # Ctrl-C is for whoever asked: it ends this one with the context.
    process = subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError("the synthetic server ended before it listened; what it said is above")
        yield Synthetic(address, process.pid, Stalls(first, period, stall))
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class _Handler(grpc.GenericRpcHandler):
    """Answers any RPC."""

    def __init__(self, stalls: Stalls, slower: float) -> None:
        self._stalls = stalls
        self._slower = slower
        self._method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._answer)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return self._method

    async def _answer(self, request: bytes, context: object) -> bytes:
        seconds, work = _REQUEST.unpack(request)
        if self._stalls.length:
            seconds += float(self._stalls.left(np.array([time.perf_counter()]))[0])
        if seconds:
            await asyncio.sleep(seconds)
        for _ in range(round(work * self._slower)):
            hashlib.sha256(_BLOCK)
        return b""


async def _serve(stalls: Stalls, slower: float) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Handler(stalls, slower),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells that a parent has gone
        await asyncio.sleep(1)


def main() -> None:
    """Serve until killed, or until nobody is left who would."""
    parser = ArgumentParser(description=__doc__)
    for name in ("first", "stall", "period", "slower"):
        parser.add_argument(f"--{name}", type=float, required=True)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        on_fast_loop(_serve(Stalls(options.first, options.period, options.stall), options.slower))


if __name__ == "__main__":
    main()
