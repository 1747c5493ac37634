"""The asynchronous client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, Self, TypeVar, Unpack

import grpc
import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from standpipe import calls
from standpipe.calls import Rpc
from standpipe.channel import channel_options
from standpipe.errors import CallError
from standpipe.options import (
    AnswerOptions,
    ChatOptions,
    ClassifyOptions,
    ClassifyTokensOptions,
    DetokenizeOptions,
    EmbedOptions,
    FillOptions,
    RerankOptions,
    TableOptions,
    TokenizeOptions,
    TranslateOptions,
    WriteOptions,
    ZeroShotOptions,
)
from standpipe.progress import progress_bar
from standpipe.requests import batches
from standpipe.results import Answer, ChatPrompt, Entity, Fill, Label, Ranked, TableAnswer, Tokens
from standpipe.v1 import models_pb2, models_pb2_grpc, text_pb2_grpc, tokenizers_pb2, tokenizers_pb2_grpc

P = ParamSpec("P")
R = TypeVar("R")
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
        self.text = text_pb2_grpc.TextServiceStub(self.channel)
        self.tokenizers = tokenizers_pb2_grpc.TokenizerServiceStub(self.channel)
        self.models = models_pb2_grpc.ModelServiceStub(self.channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection; calls in flight are cancelled."""
        await self.channel.close()

    async def call(
        self, method: Callable[..., Awaitable[T]], request: Message, *, timeout: float | None = None
    ) -> T:
        """The response of any RPC, with all that the contract has."""
        seconds = self._timeout if timeout is None else timeout
        try:
            return await method(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise CallError(error) from error

    async def embed_text(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[EmbedOptions]
    ) -> NDArray[np.float32]:
        """Vectors of texts, float32 (n, d), in order."""
        return await self._make(calls.EMBED_TEXT, timeout, texts, **options)

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

    async def rerank_text(
        self,
        query: str,
        texts: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[RerankOptions],
    ) -> list[Ranked]:
        """Texts by their relevance to a query, best first."""
        return await self._make(calls.RERANK_TEXT, timeout, query, texts, **options)

    async def classify_text(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None = None,
        *,
        timeout: float | None = None,
        **options: Unpack[ClassifyOptions],
    ) -> list[list[Label]]:
        """The labels of each text, or pair of texts, best first."""
        return await self._make(calls.CLASSIFY_TEXT, timeout, texts, text_pairs, **options)

    async def classify_text_zero_shot(
        self,
        texts: Sequence[str],
        candidate_labels: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[ZeroShotOptions],
    ) -> list[list[Label]]:
        """The candidate labels for each text, best first."""
        return await self._make(calls.CLASSIFY_TEXT_ZERO_SHOT, timeout, texts, candidate_labels, **options)

    async def classify_tokens(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[ClassifyTokensOptions]
    ) -> list[list[Entity]]:
        """The tokens of each text that have a label, or the entities that they form, in order."""
        return await self._make(calls.CLASSIFY_TOKENS, timeout, texts, **options)

    async def answer_question(
        self,
        inputs: Sequence[tuple[str, str]],
        *,
        timeout: float | None = None,
        **options: Unpack[AnswerOptions],
    ) -> list[list[Answer]]:
        """The answers to each question, best first: one, or as many as ``top_k`` says and there are."""
        return await self._make(calls.ANSWER_QUESTION, timeout, inputs, **options)

    async def answer_table_question(
        self,
        table: Mapping[str, Sequence[str]],
        questions: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[TableOptions],
    ) -> list[TableAnswer]:
        """The answer to each question about a table."""
        return await self._make(calls.ANSWER_TABLE_QUESTION, timeout, table, questions, **options)

    async def fill_mask(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[FillOptions]
    ) -> list[list[list[Fill]]]:
        """The proposals for each mask of each text, best first."""
        return await self._make(calls.FILL_MASK, timeout, texts, **options)

    async def summarize_text(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[WriteOptions]
    ) -> list[str]:
        """A summary of each text."""
        return await self._make(calls.SUMMARIZE_TEXT, timeout, texts, **options)

    async def translate_text(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[TranslateOptions]
    ) -> list[str]:
        """A translation of each text."""
        return await self._make(calls.TRANSLATE_TEXT, timeout, texts, **options)

    async def transform_text(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[WriteOptions]
    ) -> list[str]:
        """What the model makes of each text."""
        return await self._make(calls.TRANSFORM_TEXT, timeout, texts, **options)

    async def tokenize(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None = None,
        *,
        timeout: float | None = None,
        **options: Unpack[TokenizeOptions],
    ) -> list[Tokens]:
        """The tokens of each text, or pair of texts."""
        return await self._make(calls.TOKENIZE, timeout, texts, text_pairs, **options)

    async def detokenize(
        self,
        sequences: Sequence[Sequence[int]],
        *,
        timeout: float | None = None,
        **options: Unpack[DetokenizeOptions],
    ) -> list[str]:
        """The text of each sequence of token ids."""
        return await self._make(calls.DETOKENIZE, timeout, sequences, **options)

    async def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any] | tokenizers_pb2.ChatMessage],
        *,
        timeout: float | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatPrompt:
        """A conversation as the model reads it."""
        return await self._make(calls.APPLY_CHAT_TEMPLATE, timeout, messages, **options)

    async def list_tasks(self, *, timeout: float | None = None) -> list[models_pb2.Task]:
        """Every task that the server knows, served or not."""
        return await self._make(calls.LIST_TASKS, timeout)

    async def list_models(self, task: str = "", *, timeout: float | None = None) -> list[models_pb2.Model]:
        """The models, of one task or of all."""
        return await self._make(calls.LIST_MODELS, timeout, task)

    async def get_model(self, model: str, *, timeout: float | None = None) -> models_pb2.Model:
        """One model."""
        return await self._make(calls.GET_MODEL, timeout, model)

    async def _make(
        self, rpc: Rpc[P, Any, Any, R], timeout: float | None, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        # On a channel of grpc.aio the stub's methods are coroutines, whatever their declared type says.
        method: Any = rpc.method(self)
        return rpc.result(await self.call(method, rpc.request(*args, **kwargs), timeout=timeout))


async def _next(pending: deque[asyncio.Task[Any]], advance: Callable[[int], None]) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = await pending.popleft()
    advance(len(rows))
    return rows
