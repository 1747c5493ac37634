"""What a server of this project says of a model, for results; nothing of any other server."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict

from standpipe import contract
from standpipe.v1 import models_pb2, models_pb2_grpc
from standpipe_bench.targets.grpc import Connection

_SECONDS = 5.0


def described_model(connection: Connection, rpc: str, name: str) -> dict[str, Any]:
    """The model that answers an RPC, as GetModel describes it; empty where nothing is known.

    Args:
        connection: To the server.
        rpc: A name of it.
        name: The model's; empty for the default one.
    """
    try:
        wanted = contract.find(rpc).full_name
    except LookupError:
        return {}
    with connection.blocking_channel() as channel:
        stub = models_pb2_grpc.ModelServiceStub(channel)
        try:
            tasks = stub.ListTasks(models_pb2.ListTasksRequest(), timeout=_SECONDS).tasks
            models = stub.ListModels(models_pb2.ListModelsRequest(), timeout=_SECONDS).models
        except grpc.RpcError:
            # Not ours, or not ready: whoever measures will find out.
            return {}
    answering = name or next((task.served_model for task in tasks if task.rpc == wanted), "")
    return next(
        (
            MessageToDict(model, preserving_proto_field_name=True)
            for model in models
            if model.name == answering
        ),
        {},
    )
