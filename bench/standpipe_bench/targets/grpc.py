"""RPCs of any gRPC server, called with requests that were serialized beforehand.

Nothing is retried: an error is an error. Not aware of message types: bytes go out, and of the answers only a
server of this project's own contract is asked for more than their size (``reading``).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from standpipe.channel import channel_options
from standpipe_bench.targets import Answer, Target
from standpipe_bench.targets.reading import Reader, reader

_CONNECTING = 5.0
"""Seconds that a server may take to accept a connection."""


@dataclass(frozen=True, slots=True)
class Requests:
    """What is sent, over and over.

    Attributes:
        messages: Serialized.
        items: Inputs in each of them.
        about: Where they come from, for results.
    """

    messages: Sequence[bytes]
    items: Sequence[int]
    about: str = ""

    def __len__(self) -> int:
        return len(self.messages)


@dataclass(frozen=True, slots=True)
class Connection:
    """How a server is reached.

    Attributes:
        address: ``host:port``, or anything that gRPC resolves.
        tls: Encrypted.
        roots: Certificates to trust, PEM; the usual ones unless given.
        headers: Sent with each call, in lower case.
    """

    address: str
    tls: bool = False
    roots: Path | None = None
    headers: Sequence[tuple[str, str]] = ()

    def credentials(self) -> grpc.ChannelCredentials | None:
        """None without encryption.

        Raises:
            OSError: The certificates can't be read.
        """
        if not self.tls:
            return None
        return grpc.ssl_channel_credentials(self.roots.read_bytes() if self.roots else None)

    def channel(self) -> grpc.aio.Channel:
        """With the client's message sizes and without its retries."""
        options = channel_options(retry=False)
        credentials = self.credentials()
        if credentials is None:
            return grpc.aio.insecure_channel(self.address, options)
        return grpc.aio.secure_channel(self.address, credentials, options)

    def blocking_channel(self) -> grpc.Channel:
        """The same, for calls outside an event loop."""
        options = channel_options(retry=False)
        credentials = self.credentials()
        if credentials is None:
            return grpc.insecure_channel(self.address, options)
        return grpc.secure_channel(self.address, credentials, options)


@dataclass(frozen=True, slots=True)
class Grpc:
    """An RPC of a server.

    Attributes:
        connection: To the server.
        rpc: Full name: "standpipe.v1.TextService.EmbedText".
        requests: What it is called with.
        streaming: It answers with a stream.
        response: Full name of its answers' message, by which they may be read.
        timeout: Seconds that a call may take.
    """

    connection: Connection
    rpc: str
    requests: Requests = field(repr=False)
    streaming: bool = False
    response: str = ""
    timeout: float = 60.0

    remote = True

    @property
    def name(self) -> str:
        return self.rpc

    @property
    def sent(self) -> str:
        return self.requests.about

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Target]:
        channel = self.connection.channel()
        kind = _Stream if self.streaming else _Unary
        try:
            try:
                await asyncio.wait_for(channel.channel_ready(), _CONNECTING)
            except TimeoutError:
                raise RuntimeError(
                    f"no server answers at {self.connection.address} within {_CONNECTING:.0f} s"
                ) from None
            yield kind(channel, self)
        finally:
            await channel.close()


class _Calls:
    """What both kinds of calls need."""

    def __init__(self, source: Grpc) -> None:
        self._path = method_path(source.rpc)
        self._requests = source.requests
        self._sending: dict[str, Any] = {
            "timeout": source.timeout,
            "metadata": tuple(source.connection.headers) or None,
        }
        self._read: Reader | None = reader(source.response)

    def _next(self, index: int) -> tuple[bytes, Answer]:
        place = index % len(self._requests.messages)
        return self._requests.messages[place], Answer(items=self._requests.items[place])


class _Unary(_Calls):
    """A call, an answer."""

    def __init__(self, channel: grpc.aio.Channel, source: Grpc) -> None:
        super().__init__(source)
        self._call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(self._path)

    async def call(self, index: int) -> Answer:
        request, answer = self._next(index)
        try:
            message = await self._call(request, **self._sending)
        except grpc.aio.AioRpcError as error:
            return _failed(answer, error)
        answer.size = len(message)
        if self._read is not None:
            self._read(message, answer)
        return answer


class _Stream(_Calls):
    """A call, and messages as they come."""

    def __init__(self, channel: grpc.aio.Channel, source: Grpc) -> None:
        super().__init__(source)
        self._call: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(self._path)

    async def call(self, index: int) -> Answer:
        request, answer = self._next(index)
        times: list[float] = []
        answer.times = times
        try:
            async for message in self._call(request, **self._sending):
                now = time.perf_counter()
                answer.size += len(message)
                # What ends a stream of ours is no token: it comes right behind the last one.
                if self._read is None or self._read(message, answer):
                    times.append(now)
        except grpc.aio.AioRpcError as error:
            _failed(answer, error)
        answer.first = times[0] if times else math.nan
        return answer


def _failed(answer: Answer, error: grpc.aio.AioRpcError) -> Answer:
    answer.status = error.code().value[0]
    answer.detail = error.details() or ""
    return answer


def method_path(rpc: str) -> str:
    """The path of an RPC on the wire: "/standpipe.v1.TextService/EmbedText"."""
    service, _, method = rpc.rpartition(".")
    return f"/{service}/{method}"
