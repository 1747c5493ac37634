"""Connections to public addresses only: which ones are public, and no way round the check.

Not aware of HTTP, of URIs, or of why something is fetched.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpcore

Address = IPv4Address | IPv6Address

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host and port; none where nothing has that name."""

# What the standard library's ``is_global`` lets through, depending on its version, and shouldn't here.
_NOT_PUBLIC_V4 = (
    ip_network("168.63.129.16/32"),  # Azure's host, seen from its guests
    ip_network("192.0.0.0/24"),  # protocol assignments: the nearest gateway, and metadata at Oracle
    ip_network("192.88.99.0/24"),  # the nearest 6to4 relay
    ip_network("224.0.0.0/4"),  # multicast
)
_NOT_PUBLIC_V6 = (
    ip_network("2001::/23"),  # protocol assignments, Teredo among them: an IPv4 address within
    ip_network("2002::/16"),  # 6to4: an IPv4 address within
    ip_network("3fff::/20"),  # documentation
)
_UNICAST_V6 = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")

_MOST_ADDRESSES = 4

# What getaddrinfo says where the name is wrong, and not the name server.
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class NotPublicError(Exception):
    """A host has no address, or one that isn't public; which of the two is nobody's business outside."""


def is_public(address: Address) -> bool:
    """Whether an address is on the open internet, for all that can be told from its number.

    IPv6 that carries IPv4 (mapped, 6to4, Teredo) is never public; NAT64 is how networks without IPv4 reach
    the rest of the world, and counts as the address that it carries.
    """
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_V4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(IPv4Address(address.packed[-4:]))
    return (
        address in _UNICAST_V6
        and address.is_global
        and not any(address in network for network in _NOT_PUBLIC_V6)
    )


async def look_up(threads: Executor, host: str, port: int) -> Sequence[str]:
    """Ask the machine's resolver.

    Args:
        threads: To wait on: a lookup can't be interrupted, and may take half a minute.
        host: A name or an address.
        port: Where to connect.

    Returns:
        Addresses, the best first; none where nothing has that name.

    Raises:
        httpcore.ConnectError: There is no telling just now.
    """
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = await asyncio.get_running_loop().run_in_executor(threads, ask)
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            return []
        raise httpcore.ConnectError(str(error)) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to what has public addresses only.

    A name is looked up once for a connection, and what was checked is what is connected to, so that a name
    server has no second answer to give. One address that isn't public is enough to refuse the name.

    Args:
        resolve: Finds addresses.
        admits: Which of them may be connected to.
    """

    def __init__(self, resolve: Resolve, admits: Callable[[Address], bool] = is_public) -> None:
        self._resolve = resolve
        self._admits = admits
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look a host up, check its addresses, and connect to the first that answers.

        Raises:
            NotPublicError: There is none that may be connected to.
            httpcore.ConnectError: None answers.
            httpcore.ConnectTimeout: None answers in time.
        """
        addresses = [ip_address(address) for address in await self._resolve(host, port)]
        if not addresses or not all(map(self._admits, addresses)):
            raise NotPublicError(host)
        tried = addresses[:_MOST_ADDRESSES]
        each = None if timeout is None else timeout / len(tried)
        failure: Exception | None = None
        for address in tried:
            try:
                return await self._sockets.connect_tcp(
                    str(address), port, each, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(host)
