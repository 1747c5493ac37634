"""An engine of causal models in a process of its own.

A step of openvino-genai keeps Python's lock from its beginning to its end: beside it no call could be read,
and no token sent, but between two steps. In a process of its own it keeps nobody waiting; and should it
crash, it takes nobody with it: its texts fail, and it is started anew. Not aware of what the engine is.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from weakref import WeakValueDictionary

from standpipe_server.backends.engines import Engine, Inbox, Job, Ticket, deliver
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import Chunk
from standpipe_server.programs import Writing

log = logging.getLogger(__name__)

_NOTHING = Job([], {}, Writing())
# Seconds that a process may take to end what it writes.
_LAST_WORDS = 10.0


Told = tuple[int, Job | None]
"""A job by its number, or that its reader has gone."""


class ProcessEngine:
    """Stands for an engine in another process; see ``engines.Engine``.

    Args:
        make: Makes the engine, in the other process: it and what it holds travel there.

    Raises:
        ModelLoadError: The engine can't be made.
    """

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._tickets: dict[int, Ticket] = {}
        # That the process lives, and knows of every ticket.
        self._alive = threading.Lock()
        self._closing = False
        self._error: Exception | None = None
        self._connection, self._process = _start(make)

    @property
    def pid(self) -> int | None:
        """Of the other process."""
        return self._process.pid

    def work(self, inbox: Inbox) -> None:
        name = f"{threading.current_thread().name}-reader"
        reader = threading.Thread(target=self._read, name=name, daemon=True)
        reader.start()
        while (ticket := inbox.get()) is not None:
            with self._alive:
                self._take(ticket)
        self._closing = True
        self._tell(None)
        reader.join(_LAST_WORDS)
        self._process.join(_LAST_WORDS)

    def _take(self, ticket: Ticket) -> None:
        number = ticket.number
        if ticket.cancelled:
            if self._tickets.pop(number, None) is not None:
                self._tell((number, None))
        elif self._error is not None:
            # Not itself: with each raising an exception holds more of its callers.
            error = RuntimeError("the engine's process can't be started anew")
            error.__cause__ = self._error
            ticket.put(error)
        else:
            self._tickets[number] = ticket
            self._tell((number, ticket.job))

    def _tell(self, told: Told | None) -> None:
        # Where the process has just died the reader fails its tickets.
        with contextlib.suppress(OSError):
            self._connection.send(told)

    def _read(self) -> None:
        while self._error is None:
            try:
                self._hand_on(self._connection.recv())
            except (EOFError, OSError):
                if self._closing:
                    return
                # What comes meanwhile waits.
                with self._alive:
                    self._start_anew()

    def _hand_on(self, told: Sequence[tuple[int, Chunk | Exception]]) -> None:
        tickets = ((self._tickets.get(number), chunk) for number, chunk in told)
        deliver([(ticket, chunk) for ticket, chunk in tickets if ticket is not None])

    def _start_anew(self) -> None:
        self._process.join()
        error = RuntimeError(f"the engine's process has ended with {self._process.exitcode}")
        log.error("%s; it is started anew", error)
        tickets, self._tickets = self._tickets, {}
        deliver([(ticket, error) for ticket in tickets.values()])
        try:
            self._connection, self._process = _start(self._make)
        except ModelLoadError as worse:
            log.exception("the engine's process can't be started anew")
            self._error = worse


def _start(make: Callable[[], Engine]) -> tuple[Connection, BaseProcess]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, make), daemon=True)
    process.start()
    theirs.close()
    try:
        problem = ours.recv()
    except EOFError:
        process.join()
        problem = f"its engine's process ended with {process.exitcode} while it loaded"
    if problem:
        raise ModelLoadError(problem)
    return ours, process


def _run(connection: Connection, make: Callable[[], Engine]) -> None:
    """The other process, which lives as long as its connection."""
    # Whoever stops the server stops this through it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        engine = make()
    except Exception as error:
        connection.send(str(error) or type(error).__name__)
        return
    connection.send("")
    try:
        engine.work(_PipeInbox(connection))
    except (EOFError, BrokenPipeError):
        # The server is gone.
        return


class _PipeInbox:
    """The engine's inbox at the other end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Those that the engine still has.
        self._tickets: WeakValueDictionary[int, _PipeTicket] = WeakValueDictionary()

    def empty(self) -> bool:
        return not self._connection.poll()

    def get(self) -> Ticket | None:
        told: Told | None = self._connection.recv()
        if told is None:
            return None
        number, job = told
        if job is not None:
            ticket = self._tickets[number] = _PipeTicket(number, job, self._connection)
            return ticket
        gone = self._tickets.get(number) or _PipeTicket(number, _NOTHING, self._connection)
        gone.cancelled = True
        return gone


class _PipeTicket(Ticket):
    """A job under way whose reader is in the server's process."""

    def __init__(self, number: int, job: Job, connection: Connection) -> None:
        super().__init__(job)
        self._number = number
        self._connection = connection

    def hand_over(self, deliveries: Sequence[tuple[Ticket, Chunk | Exception]]) -> None:
        numbered = [
            (ticket._number, chunk) for ticket, chunk in deliveries if isinstance(ticket, _PipeTicket)
        ]
        self._connection.send(numbered)
