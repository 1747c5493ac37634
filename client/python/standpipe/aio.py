"""The asynchronous client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Self, TypeVar, Unpack

import grpc
import numpy as np
from numpy.typing import NDArray

from standpipe.channel import channel_options
from standpipe.errors import CallError
from standpipe.progress import progress_bar
from standpipe.requests import EmbedOptions, batches, embed_text_request, vectors
from standpipe.v1 import models_pb2, models_pb2_grpc, text_pb2_grpc

T = TypeVar("T")


class AsyncClient:
    """Calls a Standpipe server from asyncio; the twin of Client, whose docstrings hold here.

    Args:
        address: ``host:port``, or any gRPC target.
        timeout: Seconds that a call may take unless it says otherwise.
        credentials: For TLS; None for plain text.
        retry: Retry calls that met UNAVAILABLE.
        metadata: Sent with every call, such as an authorization header.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:50051",
        *,
        timeout: float = 60.0,
        credentials: grpc.ChannelCredentials | None = None,
        retry: bool = True,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        options = channel_options(retry=retry)
        self.channel = (
            grpc.aio.insecure_channel(address, options)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options)
        )
        self._timeout = timeout
        self._metadata = tuple(metadata)
        self._text = text_pb2_grpc.TextServiceStub(self.channel)
        self._models = models_pb2_grpc.ModelServiceStub(self.channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection; calls in flight are cancelled."""
        await self.channel.close()

    async def embed_text(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[EmbedOptions]
    ) -> NDArray[np.float32]:
        """Vectors of texts, float32 (n, d), in order."""
        return vectors(await self._call(self._text.EmbedText, embed_text_request(texts, **options), timeout))

    async def embed_many(
        self,
        texts: Iterable[str],
        *,
        batch_size: int = 32,
        in_flight: int = 4,
        progress: bool = False,
        timeout: float | None = None,
        **options: Unpack[EmbedOptions],
    ) -> AsyncIterator[NDArray[np.float32]]:
        """Vectors of as many texts as there are, one at a time, in order, through bounded calls in flight."""
        total = len(texts) if isinstance(texts, Sequence) else None
        pending: deque[asyncio.Task[NDArray[np.float32]]] = deque()
        with progress_bar(progress, "embedding", total) as advance:
            try:
                for batch in batches(texts, batch_size):
                    pending.append(asyncio.create_task(self.embed_text(batch, timeout=timeout, **options)))
                    if len(pending) >= in_flight:
                        for row in await _next(pending, advance):
                            yield row
                while pending:
                    for row in await _next(pending, advance):
                        yield row
            finally:
                for task in pending:
                    task.cancel()
                await asyncio.gather(*pending, return_exceptions=True)

    async def list_tasks(self, *, timeout: float | None = None) -> list[models_pb2.Task]:
        """Every task that the server knows, served or not."""
        return list((await self._call(self._models.ListTasks, models_pb2.ListTasksRequest(), timeout)).tasks)

    async def list_models(self, task: str = "", *, timeout: float | None = None) -> list[models_pb2.Model]:
        """The models, of one task or of all."""
        request = models_pb2.ListModelsRequest(task=task)
        return list((await self._call(self._models.ListModels, request, timeout)).models)

    async def get_model(self, model: str, *, timeout: float | None = None) -> models_pb2.Model:
        """One model."""
        request = models_pb2.GetModelRequest(model=model)
        return (await self._call(self._models.GetModel, request, timeout)).model

    async def _call(self, method: Callable[..., Awaitable[T]], request: object, timeout: float | None) -> T:
        seconds = self._timeout if timeout is None else timeout
        try:
            return await method(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise CallError(error) from error


async def _next(pending: deque[asyncio.Task[Any]], advance: Callable[[int], None]) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = await pending.popleft()
    advance(len(rows))
    return rows
