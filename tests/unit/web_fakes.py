"""Small sites on this machine: 127.0.0.1 counts as public, 127.0.0.2 as the server's own network."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from standpipe_server.media.fetching import Fetcher
from standpipe_server.media.network import Address, PublicNetwork, Resolve

PUBLIC = "127.0.0.1"
PRIVATE = "127.0.0.2"
NOBODY = "127.0.0.3"
FIELD = "images[1].uri"
CAT = b"\x89PNG cat"

Answer = Callable[[asyncio.StreamWriter], Coroutine[None, None, None]]


def sends(*parts: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(parts))

    return answer


def status(line: str, *headers: str, body: bytes = b"") -> Answer:
    head = "".join(f"{header}\r\n" for header in (*headers, f"Content-Length: {len(body)}"))
    return sends(f"HTTP/1.1 {line}\r\n{head}\r\n".encode(), body)


def redirects(location: str) -> Answer:
    return status("302 Found", f"Location: {location}")


async def writes_for_ever(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1000\r\n" + bytes(0x1000) + b"\r\n")
        await writer.drain()


async def drips(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def says_nothing(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@dataclass
class Site:
    """A server of one answer for each path; it closes after each."""

    answers: dict[str, Answer]
    requests: list[list[str]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    answering: set[asyncio.Future[None]] = field(default_factory=set)

    @asynccontextmanager
    async def listening(self, host: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
        server = await asyncio.start_server(self._serve, host, self.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            for each in self.answering:
                each.cancel()
            await asyncio.gather(*self.answering, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            self.requests.append(head)
            self.asked.set()
            answer = asyncio.ensure_future(self.answers[head[0].split()[1]](writer))
            self.answering.add(answer)
            await asyncio.wait([answer])
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever connected had no question
        finally:
            writer.close()


class Names:
    """A name server whose answers are given in turn, the last one again and again."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.answers.get(host, [[PUBLIC]])
        return answers.pop(0) if len(answers) > 1 else answers[0]


def admits(address: Address) -> bool:
    return str(address) in {PUBLIC, NOBODY}


@asynccontextmanager
async def closing(fetcher: Fetcher) -> AsyncIterator[Fetcher]:
    try:
        yield fetcher
    finally:
        await fetcher.close()


def fetching(
    allowed: Sequence[str],
    names: Resolve | None = None,
    *,
    max_bytes: int = 10_000,
    timeout: float = 5.0,
    side_by_side: int = 4,
) -> AbstractAsyncContextManager[Fetcher]:
    network = PublicNetwork(names or Names(), admits)
    return closing(
        Fetcher(allowed, max_bytes=max_bytes, timeout=timeout, side_by_side=side_by_side, network=network)
    )


@asynccontextmanager
async def serving(
    answer: Answer, *, max_bytes: int = 10_000, timeout: float = 5.0, side_by_side: int = 4
) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """A site with one answer, and how it is fetched."""
    async with Site({"/cat": answer}).listening(PUBLIC) as site:
        base = f"http://photos.test:{site.port}"
        limits = fetching([base], max_bytes=max_bytes, timeout=timeout, side_by_side=side_by_side)
        async with limits as fetcher:
            yield partial(fetcher.fetch, f"{base}/cat", FIELD, 5.0)
