"""What is measured: something that can be called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import grpc

from standpipe.channel import channel_options


class Target(Protocol):
    """Something that answers calls.

    Attributes:
        name: For tables.
        items: Inputs in one call.
    """

    name: str
    items: int

    async def call(self) -> str:
        """Make one call; returns the name of its status, such as "OK" or "UNAVAILABLE"."""
        ...


class NullTarget:
    """Answers at once: what is measured of it is the tool's own overhead."""

    name = "null"
    items = 1

    async def call(self) -> str:
        return "OK"


class GrpcTarget:
    """A unary RPC of any gRPC server, called with requests that are serialized beforehand.

    Responses are taken off the wire but not parsed, so that little of the machine goes to the tool. Nothing
    is retried: an error is an error.

    Args:
        channel: To the server.
        rpc: Full name: "standpipe.v1.TextService.EmbedText".
        requests: Serialized requests, without end.
        items: Inputs in each of them.
    """

    def __init__(self, channel: grpc.aio.Channel, rpc: str, requests: Iterator[bytes], items: int) -> None:
        self.name = rpc
        self.items = items
        self._call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method_path(rpc))
        self._requests = requests

    async def call(self) -> str:
        try:
            await self._call(next(self._requests), timeout=60)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"


def method_path(rpc: str) -> str:
    """The path of an RPC on the wire: "/standpipe.v1.TextService/EmbedText"."""
    service, _, method = rpc.rpartition(".")
    return f"/{service}/{method}"


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel with the client's message sizes and without its retries."""
    return grpc.aio.insecure_channel(address, channel_options(retry=False))
