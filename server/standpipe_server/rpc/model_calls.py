"""ModelService: what this server serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from standpipe.v1 import models_pb2
from standpipe_server.engine.registry import Model, ModelState, Registry
from standpipe_server.rpc.handling import parse
from standpipe_server.rpc.status import Context
from standpipe_server.tasks import TASKS

_STATES = {
    ModelState.LOADING: models_pb2.MODEL_STATE_LOADING,
    ModelState.READY: models_pb2.MODEL_STATE_READY,
    ModelState.DRAINING: models_pb2.MODEL_STATE_DRAINING,
}


class ModelCalls:
    """Answers one RPC of ModelService.

    Args:
        rpc: Its full name.
        registry: What it tells about.
    """

    def __init__(self, rpc: str, registry: Registry) -> None:
        self._registry = registry
        self._request, self._reply = MODEL_CALLS[rpc]

    async def answer(self, data: bytes, context: Context) -> bytes:
        return self._reply(parse(self._request, data), self._registry).SerializeToString()


def _list_tasks(_: models_pb2.ListTasksRequest, registry: Registry) -> models_pb2.ListTasksResponse:
    response = models_pb2.ListTasksResponse()
    for task in sorted(TASKS, key=lambda task: task.name):
        wanted = task.model_task
        default = registry.default(wanted, task.rather)
        response.tasks.add(
            name=task.name,
            rpc=task.rpc,
            default_model=task.default[0],
            default_revision=task.default[1],
            served=any(model.state is ModelState.READY for model in registry if model.serves(wanted)),
            served_model=default.spec.name if default else "",
        )
    return response


def _list_models(request: models_pb2.ListModelsRequest, registry: Registry) -> models_pb2.ListModelsResponse:
    models = (model for model in registry if model.serves(request.task or None))
    return models_pb2.ListModelsResponse(models=map(_describe, models))


def _get_model(request: models_pb2.GetModelRequest, registry: Registry) -> models_pb2.GetModelResponse:
    return models_pb2.GetModelResponse(model=_describe(registry.get(request.model)))


def _describe(model: Model) -> models_pb2.Model:
    message = models_pb2.Model(
        name=model.spec.name, tasks=model.spec.tasks, state=_STATES[model.state], source=model.spec.source
    )
    if model.served is not None:
        info = model.served.info
        message.revision = info.revision
        message.backend = info.backend
        message.device = info.device
        message.dtype = info.dtype
        message.reason = info.reason
        message.load_duration.FromNanoseconds(int(model.served.load_seconds * 1e9))
        message.max_tokens = info.max_tokens
        message.dimensions = info.dimensions
    return message


MODEL_CALLS: dict[str, tuple[type[Message], Callable[[Any, Registry], Message]]] = {
    "standpipe.v1.ModelService.ListTasks": (models_pb2.ListTasksRequest, _list_tasks),
    "standpipe.v1.ModelService.ListModels": (models_pb2.ListModelsRequest, _list_models),
    "standpipe.v1.ModelService.GetModel": (models_pb2.GetModelRequest, _get_model),
}
