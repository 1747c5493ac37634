"""Which models there are, and which one a call means.

Not aware of how models load or what they compute.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from enum import Enum

from standpipe_server.engine.batcher import Answer, Batcher
from standpipe_server.errors import DrainingError, ModelLoadingError, ModelNotFoundError
from standpipe_server.interfaces import Call, ModelInfo, ModelSpec, Output


class ModelState(Enum):
    """Where a model is in its life."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"


class Model:
    """A model and, once it is READY, the batcher before it.

    Attributes:
        info: None until it is READY.
        load_seconds: From the start of loading to READY.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.state = ModelState.LOADING
        self.info: ModelInfo | None = None
        self.load_seconds = 0.0
        self._batcher: Batcher[Call, Output] | None = None

    def open(self, info: ModelInfo, batcher: Batcher[Call, Output], load_seconds: float) -> None:
        """Begin to answer calls; the batcher is the model's own from now on."""
        self.info = info
        self._batcher = batcher
        self.load_seconds = load_seconds
        self.state = ModelState.READY

    def ready(self) -> ModelInfo:
        """What it is.

        Raises:
            ModelLoadingError: It isn't ready yet.
            DrainingError: It isn't any more.
        """
        if self.state is ModelState.DRAINING:
            raise DrainingError("the server is shutting down", retry_after=1.0, model=self.spec.name)
        if self.info is None:
            raise ModelLoadingError(
                f"model {self.spec.name!r} is still loading", retry_after=1.0, model=self.spec.name
            )
        return self.info

    async def submit(
        self, calls: Sequence[Call], *, key: Hashable, costs: Sequence[int], timeout: float | None
    ) -> Answer[Output]:
        """Run calls; see ``Batcher.submit``. Call ``ready`` first."""
        if self._batcher is None:
            raise ModelLoadingError(f"model {self.spec.name!r} is still loading", retry_after=1.0)
        return await self._batcher.submit(calls, key=key, costs=costs, timeout=timeout)

    async def drain(self) -> None:
        """Take nothing new, and return when everything accepted is answered."""
        self.state = ModelState.DRAINING
        if self._batcher is not None:
            await self._batcher.drain()

    def close(self) -> None:
        """Give back what it holds."""
        if self._batcher is not None:
            self._batcher.close()


class Registry:
    """The models by name, in the order in which they were configured."""

    def __init__(self, specs: Sequence[ModelSpec]) -> None:
        self._models = {spec.name: Model(spec) for spec in specs}

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def default(self, task: str) -> Model | None:
        """The model that answers where a call names none: the first that was configured for the task."""
        return next((model for model in self if model.spec.task == task), None)

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

    def find(self, task: str, name: str) -> Model:
        """The model that a call means.

        Args:
            task: What the call wants done.
            name: As the call names it; empty for the task's default.

        Raises:
            ModelNotFoundError: There is none, or it serves another task.
        """
        if not name:
            model = self.default(task)
            if model is None:
                raise ModelNotFoundError(f"no model is served for the task {task}", task=task)
            return model
        model = self.get(name)
        if model.spec.task != task:
            raise ModelNotFoundError(
                f"model {name!r} serves the task {model.spec.task}, not {task}", model=name, task=task
            )
        return model
