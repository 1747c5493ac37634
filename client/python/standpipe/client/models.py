"""ModelService's methods."""

from __future__ import annotations

from standpipe import calls
from standpipe.client.connection import Connection
from standpipe.v1 import (
    models_pb2,
)


class ModelMethods(Connection):
    """The methods of ModelService."""

    def list_tasks(self, *, timeout: float | None = None) -> list[models_pb2.Task]:
        """Every task that the server knows, served or not."""
        return self._make(calls.LIST_TASKS, timeout)

    def list_models(self, task: str = "", *, timeout: float | None = None) -> list[models_pb2.Model]:
        """The models, of one task or of all."""
        return self._make(calls.LIST_MODELS, timeout, task)

    def get_model(self, model: str, *, timeout: float | None = None) -> models_pb2.Model:
        """One model."""
        return self._make(calls.GET_MODEL, timeout, model)
