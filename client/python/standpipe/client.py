"""The synchronous client."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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


class Client:
    """Calls a Standpipe server; safe to share between threads.

    Args:
        address: ``host:port``, or any gRPC target.
        timeout: Seconds that a call may take unless it says otherwise.
        credentials: For TLS; None for plain text.
        retry: Retry calls that met UNAVAILABLE.
        metadata: Sent with every call, such as an authorization header.

    Every method raises CallError where the server, or the way to it, refuses.
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
            grpc.insecure_channel(address, options)
            if credentials is None
            else grpc.secure_channel(address, credentials, options)
        )
        self._timeout = timeout
        self._metadata = tuple(metadata)
        self._text = text_pb2_grpc.TextServiceStub(self.channel)
        self._models = models_pb2_grpc.ModelServiceStub(self.channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; calls in flight are cancelled."""
        self.channel.close()

    def embed_text(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[EmbedOptions]
    ) -> NDArray[np.float32]:
        """Vectors of texts, float32 (n, d), in order.

        Args:
            texts: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of EmbedTextRequest.
        """
        return vectors(self._call(self._text.EmbedText, embed_text_request(texts, **options), timeout))

    def embed_many(
        self,
        texts: Iterable[str],
        *,
        batch_size: int = 32,
        in_flight: int = 4,
        progress: bool = False,
        timeout: float | None = None,
        **options: Unpack[EmbedOptions],
    ) -> Iterator[NDArray[np.float32]]:
        """Vectors of as many texts as there are, one at a time, in order.

        Reads ahead by ``batch_size × in_flight`` texts at most, so the iterable may be longer than memory.

        Args:
            texts: Any iterable.
            batch_size: Texts in one call.
            in_flight: Calls under way at once.
            progress: Show a progress bar; needs rich.
            timeout: Seconds for each call.
            options: As the fields of EmbedTextRequest.
        """
        total = len(texts) if isinstance(texts, Sequence) else None
        pending: deque[Any] = deque()
        with progress_bar(progress, "embedding", total) as advance:
            try:
                for batch in batches(texts, batch_size):
                    request = embed_text_request(batch, **options)
                    pending.append(self._text.EmbedText.future(request, **self._context(timeout)))
                    if len(pending) >= in_flight:
                        yield from self._rows(pending, advance)
                while pending:
                    yield from self._rows(pending, advance)
            finally:
                for call in pending:
                    call.cancel()

    def list_tasks(self, *, timeout: float | None = None) -> list[models_pb2.Task]:
        """Every task that the server knows, served or not."""
        return list(self._call(self._models.ListTasks, models_pb2.ListTasksRequest(), timeout).tasks)

    def list_models(self, task: str = "", *, timeout: float | None = None) -> list[models_pb2.Model]:
        """The models, of one task or of all."""
        return list(
            self._call(self._models.ListModels, models_pb2.ListModelsRequest(task=task), timeout).models
        )

    def get_model(self, model: str, *, timeout: float | None = None) -> models_pb2.Model:
        """One model."""
        return self._call(self._models.GetModel, models_pb2.GetModelRequest(model=model), timeout).model

    def _rows(self, pending: deque[Any], advance: Callable[[int], None]) -> Iterator[NDArray[np.float32]]:
        try:
            rows = vectors(pending.popleft().result())
        except grpc.RpcError as error:
            raise CallError(error) from error
        advance(len(rows))
        yield from rows

    def _call(self, method: Callable[..., T], request: object, timeout: float | None) -> T:
        try:
            return method(request, **self._context(timeout))
        except grpc.RpcError as error:
            raise CallError(error) from error

    def _context(self, timeout: float | None) -> dict[str, Any]:
        return {"timeout": self._timeout if timeout is None else timeout, "metadata": self._metadata}
