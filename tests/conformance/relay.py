"""A way to a server that can be cut: to a client it looks as if the server had been killed."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Thread

# Closing resets the connection, as a killed process's does where something is still unread.
_RESET = struct.pack("ii", 1, 0)


class Hiccup:
    """Once, after so many bytes that clients sent through the relays which share it.

    Args:
        after: How many.

    Attributes:
        happened: Whether it has.
    """

    def __init__(self, after: int) -> None:
        self._left = after
        self._lock = Lock()
        self.happened = False

    def due(self, sent: int) -> bool:
        """Whether it is, with so many bytes more."""
        with self._lock:
            self._left -= sent
            due = self._left < 0 and not self.happened
            self.happened |= due
            return due


class Frames:
    """What a client sends of HTTP/2: how many requests begin in it."""

    _PREFACE, _HEADER, _HEADERS = 24, 9, 1

    def __init__(self) -> None:
        self._skipped = self._PREFACE
        self._begun = b""

    def headers(self, data: bytes) -> int:
        """Frames of type HEADERS that begin in the next piece of what is sent."""
        found = 0
        while data:
            if self._skipped:
                data, self._skipped = data[self._skipped :], max(0, self._skipped - len(data))
                continue
            wanted = self._HEADER - len(self._begun)
            self._begun, data = self._begun + data[:wanted], data[wanted:]
            if len(self._begun) == self._HEADER:
                found += self._begun[3] == self._HEADERS
                self._skipped, self._begun = int.from_bytes(self._begun[:3], "big"), b""
        return found


class Relay:
    """Forwards connections.

    Args:
        server: ``host:port`` of the server.
        hiccup: When its connections are reset in between, if ever.
        requests: With which request it is cut for good, counted over all connections; never where None.

    Attributes:
        address: Where it listens.
        was_cut: Whether it was, for good.
    """

    def __init__(self, server: str, hiccup: Hiccup | None = None, requests: int | None = None) -> None:
        host, _, port = server.rpartition(":")
        self._server = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._lock = Lock()
        self._requests = requests
        self._hiccup = hiccup
        self.was_cut = False
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset all connections, and take no new ones."""
        self.was_cut = True
        # A thread that waits in accept holds the port open till it is told.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._reset()

    def _reset(self) -> None:
        with self._lock:
            for end in self._ends:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RD)
                end.close()
            self._ends.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._server)
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._ends += [client, server]
                Thread(target=self._forward, args=(client, server, True), daemon=True).start()
                Thread(target=self._forward, args=(server, client, False), daemon=True).start()

    def _asked(self, requests: int) -> bool:
        """Whether these were the ones with which it is cut."""
        if self._requests is None or not requests:
            return False
        with self._lock:
            self._requests -= requests
            return self._requests <= 0

    def _forward(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        frames = Frames()
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if from_client and self._asked(frames.headers(data)):
                    self.cut()
                    return
                if from_client and self._hiccup and self._hiccup.due(len(data)):
                    self._reset()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def relay(server: str, hiccup: Hiccup | None = None, requests: int | None = None) -> Iterator[Relay]:
    """A relay, cut at the end.

    Args:
        server: ``host:port`` of the server.
        hiccup: When its connections are reset in between, if ever.
        requests: With which request it is cut for good, if ever.
    """
    running = Relay(server, hiccup, requests)
    try:
        yield running
    finally:
        running.cut()
