"""ModelService's methods."""

from __future__ import annotations

from standpipe import calls
from standpipe.aio.connection import AsyncConnection
from standpipe.v1 import (
    models_pb2,
)


class AsyncModelMethods(AsyncConnection):
    """The methods of ModelService."""

    async def list_tasks(self, *, timeout: float | None = None) -> list[models_pb2.Task]:
        """Every task that the server knows, served or not."""
        return await self._make(calls.LIST_TASKS, timeout)

    async def list_models(self, task: str = "", *, timeout: float | None = None) -> list[models_pb2.Model]:
        """The models, of one task or of all."""
        return await self._make(calls.LIST_MODELS, timeout, task)

    async def get_model(self, model: str, *, timeout: float | None = None) -> models_pb2.Model:
        """One model."""
        return await self._make(calls.GET_MODEL, timeout, model)
