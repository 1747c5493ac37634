"""The gRPC server: handlers from the protos' descriptors, health, reflection, and the way down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from standpipe.v1 import (
    audio_pb2,
    generation_pb2,
    image_generation_pb2,
    models_pb2,
    text_pb2,
    tokenizers_pb2,
    vision_pb2,
)
from standpipe_server.engine.registry import Registry
from standpipe_server.media.fetching import Fetcher
from standpipe_server.rpc.handling import Handling
from standpipe_server.rpc.live_calls import LiveCalls
from standpipe_server.rpc.model_calls import MODEL_CALLS, ModelCalls
from standpipe_server.rpc.piece_calls import PieceCalls
from standpipe_server.rpc.status import Context, stated
from standpipe_server.rpc.step_calls import StepCalls
from standpipe_server.rpc.stream_calls import StreamCalls
from standpipe_server.rpc.task_calls import TaskCalls
from standpipe_server.tasks import LIVE_TASKS, PIECE_TASKS, STREAM_TASKS, TASKS, InputLimits

SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for file in (
        audio_pb2,
        generation_pb2,
        image_generation_pb2,
        models_pb2,
        text_pb2,
        tokenizers_pb2,
        vision_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
)
_Answer: TypeAlias = Callable[[Any, Context], Awaitable[bytes | None]]
# By whether requests are a stream, and whether responses are.
_MAKERS: Mapping[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
_LINGER = 0.5
# They hold Python's lock while they parse: more of them would only wait for each other.
_READERS = 2
_REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"


@dataclass(frozen=True, slots=True)
class RpcLimits:
    """What the wire may carry.

    Attributes:
        input: What one call of a task may hold.
        max_message_bytes: Of one message; gRPC itself refuses larger ones with RESOURCE_EXHAUSTED.
        default_timeout: Seconds for a call whose client set no deadline.
        allowed_uris: Where media may be fetched from, as ``media.fetching.parse_allowed`` reads it.
    """

    input: InputLimits = field(default_factory=InputLimits)
    max_message_bytes: int = 64 << 20
    default_timeout: float = 60.0
    allowed_uris: tuple[str, ...] = ()


class RpcServer:
    """Serves every RPC of ``SERVICES`` on one address.

    Args:
        address: ``host:port``; port 0 takes a free one.
        registry: The models, loaded or not yet.
        limits: What the wire may carry.
    """

    def __init__(self, address: str, registry: Registry, limits: RpcLimits) -> None:
        self._registry = registry
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limits.max_message_bytes),
                ("grpc.max_send_message_length", limits.max_message_bytes),
                # Two servers must not share a port by accident.
                ("grpc.so_reuseport", 0),
            ]
        )
        self._fetcher = Fetcher(limits.allowed_uris, max_bytes=limits.input.max_media_bytes)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="requests")
        handling = Handling(registry, limits.input, limits.default_timeout, self._fetcher, self._readers)
        answers = _answers(handling)
        self._server.add_generic_rpc_handlers([_handlers(service, answers) for service in SERVICES])
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._add_reflection()
        self.port = self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Listen; health is NOT_SERVING until ``serving``."""
        await self._set_health(serving=False)
        await self._server.start()

    async def serving(self) -> None:
        """Tell the world that the models are ready."""
        await self._set_health(serving=True)

    async def stop(self, grace: float) -> bool:
        """Refuse new calls with UNAVAILABLE, finish the accepted ones, then close.

        Args:
            grace: Seconds that accepted calls may take.

        Returns:
            Whether all of them were answered in time.
        """
        await self._health.enter_graceful_shutdown()
        models = list(self._registry)
        try:
            async with asyncio.timeout(grace):
                await asyncio.gather(*(model.drain() for model in models))
            finished = True
        except TimeoutError:
            finished = False
            # Whoever reads a text that is still written gets its end now: what there is, and that it was cut.
            for model in models:
                model.close()
        # gRPC cancels the calls that reach it while it stops. Whoever was just answered calls again at once,
        # and is refused in words if the door stays open for a moment more.
        await asyncio.sleep(_LINGER)
        await self._server.stop(grace=1.0)
        for model in models:
            model.close()
        await self._fetcher.close()
        self._readers.shutdown(wait=False)
        return finished

    async def _set_health(self, *, serving: bool) -> None:
        states = health_pb2.HealthCheckResponse
        status = states.SERVING if serving else states.NOT_SERVING
        for name in ("", *(service.full_name for service in SERVICES)):
            await self._health.set(name, status)

    def _add_reflection(self) -> None:
        names = [service.full_name for service in SERVICES]
        names += [health.SERVICE_NAME, reflection.SERVICE_NAME, _REFLECTION_V1]
        reflection.enable_server_reflection(names, self._server)
        # Version 1 is version 1alpha under another name; grpcio-reflection has only the older one.
        servicer = reflection.aio.ReflectionServicer(service_names=names)
        handler = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(_REFLECTION_V1, {"ServerReflectionInfo": handler})]
        )


def _handlers(service: ServiceDescriptor, answers: Mapping[str, _Answer]) -> grpc.GenericRpcHandler:
    """A handler for each RPC of a service; bytes in and out, so that all errors are ours."""
    return grpc.method_handlers_generic_handler(
        service.full_name,
        {method.name: _handler(method, answers[method.full_name]) for method in service.methods},
    )


def _handler(method: MethodDescriptor, answer: _Answer) -> grpc.RpcMethodHandler[bytes, bytes]:
    made = _MAKERS[method.client_streaming, method.server_streaming]
    handler: grpc.RpcMethodHandler[bytes, bytes] = made(stated(method.full_name, answer))
    return handler


def _answers(handling: Handling) -> dict[str, _Answer]:
    """What answers each RPC, by its full name."""
    return {
        **{task.rpc: TaskCalls(task, handling).answer for task in TASKS if not task.steps},
        **{task.rpc: StepCalls(task, task.steps, handling).answer for task in TASKS if task.steps},
        **{task.rpc: StreamCalls(task, handling).answer for task in STREAM_TASKS},
        **{task.rpc: PieceCalls(task, handling).answer for task in PIECE_TASKS},
        **{task.rpc: LiveCalls(task, handling).answer for task in LIVE_TASKS},
        **{rpc: ModelCalls(rpc, handling.registry).answer for rpc in MODEL_CALLS},
    }
