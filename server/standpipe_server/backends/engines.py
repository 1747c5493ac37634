"""What an engine of causal models is: jobs go in, chunks come out, step by step.

Nothing of a model library, so that an engine's own process needn't load one. Not aware of how an engine
computes, nor of who reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from standpipe_server.interfaces import Chunk
from standpipe_server.programs import Writing


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine is to do for a call.

    Attributes:
        ids: The prompt's tokens.
        options: Keyword arguments of ``generate``, always with ``max_new_tokens``.
        writing: The rest of what the call asks for.
        inputs: What the model reads beside tokens, by the names of its arguments: an image's pixels.
    """

    ids: list[int]
    options: dict[str, Any]
    writing: Writing
    inputs: Mapping[str, Any] = field(default_factory=dict)


_numbers = count()


class Ticket(ABC):
    """A job under way; what becomes of it is handed over by its kind.

    Attributes:
        number: No other of this process has it.
        job: What to do.
        cancelled: The reader has gone; the engine looks at it between two steps.
    """

    def __init__(self, job: Job) -> None:
        self.number = next(_numbers)
        self.job = job
        self.cancelled = False

    def put(self, chunk: Chunk | Exception) -> None:
        """Hand over one chunk, or why there will be none."""
        deliver([(self, chunk)])

    @abstractmethod
    def hand_over(self, deliveries: Sequence[Delivery]) -> None:
        """Hand over chunks of several tickets of this one's kind."""


Delivery = tuple[Ticket, Chunk | Exception]


def deliver(deliveries: Sequence[Delivery]) -> None:
    """Hand over what a step gave, all at once: waking the readers' side costs more than the rest."""
    if deliveries:
        deliveries[0][0].hand_over(deliveries)


class Inbox(Protocol):
    """New jobs for an engine, such as a queue."""

    def empty(self) -> bool:
        """Whether ``get`` would wait."""
        ...

    def get(self) -> Ticket | None:
        """The next ticket; None is the end.

        Each comes once with what to do, unless its reader has gone before, and once more, cancelled, when its
        reader goes: for an engine that can't see the first one.
        """
        ...


class Engine(Protocol):
    """Writes texts, on the one thread that ever touches it."""

    def work(self, inbox: Inbox) -> None:
        """Take jobs and write, until the inbox says that it is the end.

        Each job that is taken ends with a chunk with a finish for each of its texts, or with an exception,
        unless it is cancelled; a cancelled one costs no further step.
        """
        ...
