"""Media that requests name by URI: fetched, within bounds, from where the operator's list admits.

A URI is a caller's way to make the server talk to others. So nothing is fetched that the list doesn't admit,
redirects included (``media.uris``), and nothing at all from addresses that aren't public (``media.network``).
Underneath is httpcore and not httpx: it has no cookies, no proxies of the environment, no redirects and no
decompression that would have to be turned off. Not aware of what the bytes are, nor of gRPC.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urljoin

import httpcore

from standpipe_server.errors import (
    DeadlinePassedError,
    InvalidInputError,
    LimitExceededError,
    MediaUnavailableError,
)
from standpipe_server.media.network import NotPublicError, PublicNetwork, look_up
from standpipe_server.media.uris import INSTEAD, Place, RefusedError, parse_allowed, parse_uri

__all__ = ["Fetcher", "parse_allowed"]

_MOST_REDIRECTS = 3
_RETRY_SECONDS = 1.0
_KEPT_SECONDS = 2.0  # less than servers commonly wait before they close an idle connection

_WITH_BODY = {200, 203}
_REDIRECTS = {301, 302, 303, 307, 308}
_PASSING = {408, 425, 429}  # of those that blame the caller, what time mends

_UNREACHABLE = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, ssl.SSLError)


class _TooLargeError(Exception):
    """A URI names more than is taken."""


class _UnavailableError(Exception):
    """What a URI names can't be had just now."""


@dataclass(frozen=True, slots=True)
class _Redirect:
    """An answer that is elsewhere."""

    location: str


class Fetcher:
    """Fetches what URIs name, so many side by side, so large, and for so long.

    Args:
        allowed: Entries as ``parse_allowed`` reads them; without one every URI is refused.
        max_bytes: The most that is taken from one URI.
        timeout: Seconds that a fetch may take, and that it may wait for others to end before.
        side_by_side: Fetches at a time.
        network: Makes connections; by default to public addresses only, found by the machine's resolver.

    Raises:
        ValueError: An entry isn't one.
    """

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        max_bytes: int,
        timeout: float = 10.0,
        side_by_side: int = 16,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allowed = tuple(map(parse_allowed, allowed))
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._side_by_side = side_by_side
        self._slots = asyncio.Semaphore(side_by_side)
        # Threads of its own: slow name servers may hold all of them, and nobody else waits.
        self._names = ThreadPoolExecutor(side_by_side, "standpipe-names")
        self._connections = httpcore.AsyncConnectionPool(
            ssl_context=httpcore.default_ssl_context(),
            max_connections=side_by_side,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=network or PublicNetwork(partial(look_up, self._names)),
        )

    async def fetch(self, uri: str, field: str, timeout: float) -> bytes:
        """Fetch what a URI names.

        Args:
            uri: As the request has it.
            field: Where the request has it.
            timeout: Seconds that are left of the caller's time.

        Raises:
            InvalidInputError: The URI is wrong, isn't admitted, or names nothing.
            LimitExceededError: It names too much.
            MediaUnavailableError: It can't be had just now.
            DeadlinePassedError: The caller's time ended first.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            return await self._fetch(self._admitted(uri), deadline)
        except RefusedError as error:
            raise InvalidInputError(str(error), field) from None
        except _TooLargeError as error:
            most = str(self._max_bytes)
            raise LimitExceededError(str(error), field, limit="max_media_bytes", value=most) from None
        except _UnavailableError as error:
            raise MediaUnavailableError(f"{field}: {error}", _RETRY_SECONDS) from error

    async def close(self) -> None:
        """End what is still fetched; nothing can be fetched any more."""
        self._names.shutdown(wait=False)
        await self._connections.aclose()

    def _admitted(self, uri: str) -> Place:
        if not self._allowed:
            raise RefusedError(f"this server fetches no URIs: {INSTEAD}")
        place = parse_uri(uri)
        if not any(entry.admits(place) for entry in self._allowed):
            raise RefusedError(
                f"{place.origin} with this path isn't among what this server may fetch: {INSTEAD}"
            )
        return place

    async def _fetch(self, place: Place, deadline: float) -> bytes:
        async with self._within(deadline, f"{self._side_by_side} URIs are being fetched already"):
            await self._slots.acquire()
        try:
            async with self._within(deadline, f"{place.origin} takes too long"):
                return await self._follow(place)
        finally:
            self._slots.release()

    @asynccontextmanager
    async def _within(self, deadline: float, why: str) -> AsyncIterator[None]:
        """Bound what is done by the server's time and the caller's; which ends first says how it fails."""
        left = deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(self._timeout, left)) as limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            if left <= self._timeout:
                raise DeadlinePassedError(f"the deadline passed while media were fetched: {why}") from error
            raise _UnavailableError(f"{why}: given up after {self._timeout:g} s") from error

    async def _follow(self, place: Place) -> bytes:
        for _ in range(_MOST_REDIRECTS + 1):
            try:
                answer = await self._ask(place)
            except NotPublicError:
                raise RefusedError(f"{place.host} has no public address") from None
            except _UNREACHABLE as error:
                raise _UnavailableError(f"{place.origin} can't be reached, or broke off") from error
            if isinstance(answer, bytes):
                return answer
            place = self._redirected(place, answer.location)
        raise RefusedError(f"more than {_MOST_REDIRECTS} redirects, the last one to {place.origin}")

    def _redirected(self, place: Place, location: str) -> Place:
        try:
            return self._admitted(urljoin(place.uri, location))
        except ValueError as error:
            raise RefusedError(f"{place.origin} redirects to what is refused: {error}") from None

    async def _ask(self, place: Place) -> bytes | _Redirect:
        url = httpcore.URL(scheme=place.scheme, host=place.host, port=place.port, target=place.target)
        headers = (
            ("Host", place.authority),
            ("User-Agent", "standpipe"),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
        )
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        extensions = {"timeout": timeouts}
        async with self._connections.stream("GET", url, headers=headers, extensions=extensions) as answer:
            about = {name.lower(): value.decode("utf-8", "replace") for name, value in answer.headers}
            if answer.status in _REDIRECTS and b"location" in about:
                return _Redirect(about[b"location"])
            _check_answer(place, answer.status, about.get(b"content-encoding", "identity"))
            self._check_size(int(about.get(b"content-length", "0")), place)
            body = bytearray()
            async for part in answer.aiter_stream():
                body += part
                self._check_size(len(body), place)
            return bytes(body)

    def _check_size(self, size: int, place: Place) -> None:
        if size > self._max_bytes:
            raise _TooLargeError(
                f"what {place.origin} sends exceeds the limit max_media_bytes = {self._max_bytes}"
            )


def _check_answer(place: Place, status: int, encoding: str) -> None:
    """Refuse an answer that isn't the media themselves."""
    if status >= 500 or status in _PASSING:
        raise _UnavailableError(f"{place.origin} answers with status {status}")
    if status not in _WITH_BODY:
        raise RefusedError(f"{place.origin} answers with status {status}")
    if encoding.lower() != "identity":
        # Unpacked it may be of any size, and media are packed already.
        raise RefusedError(f"{place.origin} sends packed bytes ({encoding}), unasked: {INSTEAD}")
