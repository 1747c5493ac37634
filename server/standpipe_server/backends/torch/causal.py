"""Which of torch's engines writes what.

Continuous batching has its own module of the model, which holds the same weights: attention by pages is set
on the module for good. Not aware of how an engine computes.
"""

from __future__ import annotations

import copy
import logging
import queue
import threading
from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol
from weakref import WeakSet

from standpipe_server.backends.causal import CausalReader
from standpipe_server.backends.constraints import Constraints
from standpipe_server.backends.engines import Engine, Inbox, Job, Ticket
from standpipe_server.backends.torch.continuous import ContinuousEngine
from standpipe_server.backends.torch.generate import PlainEngine
from standpipe_server.interfaces import ModelSpec

log = logging.getLogger(__name__)

# Where the library batches continuously; elsewhere texts are written one after the other.
_CONTINUOUS = ("cuda", "cpu")


class CheckingEngine(Engine, Protocol):
    """An engine that says what it can't do."""

    def check(self, job: Job) -> None:
        """As ``causal.ThreadGenerator`` takes it."""
        ...


class ChoosyEngine(CheckingEngine, Protocol):
    """An engine that doesn't have all that a job may ask for."""

    def obstacle(self, job: Job) -> str:
        """Why it can't do a job; empty where it can."""
        ...


class FirstAble:
    """Several engines as one: of those that can do a job the first does it; see ``engines.Engine``.

    Args:
        engines: Each works on a thread of its own; the last one can do any job.
    """

    def __init__(self, engines: Sequence[ChoosyEngine]) -> None:
        self._engines = engines

    def check(self, job: Job) -> None:
        self._engines[self._choice(job)].check(job)

    def work(self, inbox: Inbox) -> None:
        inboxes = [_Inbox() for _ in self._engines]
        threads = [
            threading.Thread(
                target=_work, args=one, name=f"{threading.current_thread().name}-{index}", daemon=True
            )
            for index, one in enumerate(zip(self._engines, inboxes, strict=True))
        ]
        for thread in threads:
            thread.start()
        while (ticket := inbox.get()) is not None:
            inboxes[self._choice(ticket.job)].put(ticket)
        for one in inboxes:
            one.put(None)
        for thread in threads:
            thread.join()

    def _choice(self, job: Job) -> int:
        return next(index for index, engine in enumerate(self._engines) if not engine.obstacle(job))


def engine(model: Any, reader: CausalReader, spec: ModelSpec) -> CheckingEngine:
    """The engine of a model: continuous batching, with plain ``generate`` for whatever that can't do.

    Args:
        model: On its device.
        reader: Of the model.
        spec: Settled.
    """
    plain = plain_engine(model, reader)
    if model.device.type not in _CONTINUOUS:
        return plain
    try:
        return FirstAble([ContinuousEngine(twin(model), reader, spec), plain])
    except Exception as error:  # whatever the library doesn't know of a model
        log.warning("model %s writes its texts one after the other: %s", spec.name, error)
        return plain


def plain_engine(model: Any, reader: CausalReader) -> PlainEngine:
    """Plain ``generate``, which can do anything."""
    vocabulary = model.config.get_text_config().vocab_size
    return PlainEngine(model, reader, Constraints(reader.tokenizer, vocabulary, reader.ends))


def twin(model: Any) -> Any:
    """Another module with the same weights: not copies, the same."""
    weights = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    other = copy.deepcopy(model, weights)
    # What was compiled for the one would compute with the one.
    vars(other).pop("forward", None)
    return other


class _Inbox:
    """What waits for one of the engines, and what that has taken."""

    def __init__(self) -> None:
        self.taken: WeakSet[Ticket] = WeakSet()
        self._queue: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self.put = self._queue.put
        self.empty = self._queue.empty

    def get(self) -> Ticket | None:
        ticket = self._queue.get()
        if ticket is not None:
            self.taken.add(ticket)
        return ticket


def _work(engine: Engine, inbox: _Inbox) -> None:
    try:
        engine.work(inbox)
    except Exception as error:
        # An engine that can't go on: nobody may wait for it.
        log.exception("an engine of a causal model has ended")
        for ticket in inbox.taken:
            ticket.put(error)
        while (late := inbox.get()) is not None:
            late.put(error)
