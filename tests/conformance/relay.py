"""A way to a server that can be cut: to a client it looks as if the server had been killed."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread

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


class Relay:
    """Forwards connections.

    Args:
        server: ``host:port`` of the server.
        hiccup: When its connections are reset in between, if ever.

    Attributes:
        address: Where it listens.
    """

    def __init__(self, server: str, hiccup: Hiccup | None = None) -> None:
        host, _, port = server.rpartition(":")
        self._server = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._lock = Lock()
        self._doomed = Event()
        self._hiccup = hiccup
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        Thread(target=self._accept, daemon=True).start()

    def doom(self) -> None:
        """Be cut at the next byte that a client sends."""
        self._doomed.set()

    def cut(self) -> None:
        """Reset all connections, and take no new ones."""
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
                server = socket.create_connection(self._server)
                with self._lock:
                    self._ends += [client, server]
                Thread(target=self._forward, args=(client, server, True), daemon=True).start()
                Thread(target=self._forward, args=(server, client, False), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if from_client and self._doomed.is_set():
                    self.cut()
                    return
                if from_client and self._hiccup and self._hiccup.due(len(data)):
                    self._reset()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def relay(server: str, hiccup: Hiccup | None = None) -> Iterator[Relay]:
    """A relay, cut at the end.

    Args:
        server: ``host:port`` of the server.
        hiccup: When its connections are reset in between, if ever.
    """
    running = Relay(server, hiccup)
    try:
        yield running
    finally:
        running.cut()
