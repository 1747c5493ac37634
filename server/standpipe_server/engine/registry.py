"""Which models there are, and which one a call means.

Not aware of how models load or what they compute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from standpipe_server.engine.batcher import Answer, Batcher
from standpipe_server.engine.streams import Streams
from standpipe_server.errors import DrainingError, ModelLoadingError, ModelNotFoundError
from standpipe_server.interfaces import Call, ModelInfo, ModelSpec, Output


class ModelState(Enum):
    """Where a model is in its life."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"


class Answerer(Protocol):
    """What answers a model's calls: see ``Batcher`` and ``Streams``."""

    async def submit(
        self, calls: Sequence[Call], *, key: Hashable, costs: Sequence[int], timeout: float | None
    ) -> Answer[Output]: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Served:
    """What a READY model has.

    Attributes:
        info: What it is.
        batcher: What answers its calls; the model's own.
        load_seconds: From the start of loading to READY.
        tokenizer: What answers the calls of its tokenizer alone; None where it has none.
    """

    info: ModelInfo
    batcher: Answerer
    load_seconds: float
    tokenizer: Batcher[Call, Output] | None = None

    def batcher_of_tokenizer(self) -> Answerer:
        """What answers the calls of its tokenizer alone.

        Raises:
            ModelNotFoundError: It has no tokenizer of texts.
        """
        if self.tokenizer is None:
            raise ModelNotFoundError("the model has no tokenizer of texts")
        return self.tokenizer

    def queue(self) -> Batcher[Call, Output]:
        """What answers its calls one by one, for whoever makes several of them.

        Raises:
            ModelNotFoundError: It writes token by token.
        """
        if not isinstance(self.batcher, Batcher):
            raise ModelNotFoundError("the model writes token by token, which isn't asked piece by piece")
        return self.batcher

    def streams(self) -> Streams:
        """What answers its calls while it writes.

        Raises:
            ModelNotFoundError: It doesn't write token by token.
        """
        if not isinstance(self.batcher, Streams):
            raise ModelNotFoundError("the model doesn't write token by token")
        return self.batcher

    @property
    def batchers(self) -> Sequence[Answerer]:
        """All that it has."""
        return (self.batcher,) if self.tokenizer is None else (self.batcher, self.tokenizer)


class Model:
    """A model's name and life.

    Attributes:
        spec: What was asked for.
        served: None until it is READY.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.served: Served | None = None
        self._draining = False

    def serves(self, task: str | None) -> bool:
        """Whether it is there for a task; None stands for what any model does."""
        return task is None or task in self.spec.tasks

    @property
    def state(self) -> ModelState:
        """Where it is in its life."""
        if self._draining:
            return ModelState.DRAINING
        return ModelState.LOADING if self.served is None else ModelState.READY

    def ready(self) -> Served:
        """What answers its calls.

        Raises:
            ModelLoadingError: It isn't ready yet.
            DrainingError: It isn't any more.
        """
        if self._draining:
            raise DrainingError("the server is shutting down", retry_after=1.0, model=self.spec.name)
        if self.served is None:
            raise ModelLoadingError(
                f"model {self.spec.name!r} is still loading", retry_after=1.0, model=self.spec.name
            )
        return self.served

    async def drain(self) -> None:
        """Take nothing new, and return when everything accepted is answered."""
        self._draining = True
        if self.served is not None:
            await asyncio.gather(*(batcher.drain() for batcher in self.served.batchers))

    def close(self) -> None:
        """Give back what it holds."""
        if self.served is not None:
            for batcher in self.served.batchers:
                batcher.close()


class Registry:
    """The models by name, in the order in which they were configured."""

    def __init__(self, specs: Sequence[ModelSpec]) -> None:
        self._models = {spec.name: Model(spec) for spec in specs}

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def default(self, task: str | None, rather: str = "") -> Model | None:
        """The model that answers where a call names none: the first that was configured for the task.

        Args:
            task: None for what any model does.
            rather: A model for this task, too, comes before all others.
        """
        able = [model for model in self if model.serves(task)]
        return next((model for model in able if model.serves(rather)), able[0] if able else None)

    def get(self, name: str) -> Model:
        """The model of that name.

        Raises:
            ModelNotFoundError: There is none.
        """
        if name not in self._models:
            raise ModelNotFoundError(
                f"no model {name!r}; served: {', '.join(self._models) or 'none'}", model=name
            )
        return self._models[name]

    def find(self, task: str | None, name: str, rather: str = "") -> Model:
        """The model that a call means.

        Args:
            task: What the call wants done; None for what any model does.
            name: As the call names it; empty for the task's default.
            rather: As for ``default``.

        Raises:
            ModelNotFoundError: There is none, or it serves another task.
        """
        if not name:
            model = self.default(task, rather)
            if model is None:
                wanted = f" for the task {task}" if task else ""
                raise ModelNotFoundError(f"no model is served{wanted}", task=task or "any")
            return model
        model = self.get(name)
        if not model.serves(task):
            raise ModelNotFoundError(
                f"model {name!r} serves {', '.join(model.spec.tasks)}, not {task}",
                model=name,
                task=task or "any",
            )
        return model
