"""The synchronous client."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


class Client:
    """Calls a Standpipe server; safe to share between threads.

    Args:
        address: ``host:port``, or any gRPC target.
        timeout: Seconds that a call may take unless it says otherwise.
        credentials: For TLS; None for plain text.
        retry: Retry calls that met UNAVAILABLE.
        metadata: Sent with every call, such as an authorization header.

    Every method raises CallError where the server, or the way to it, refuses, ValueError for a word that the
    contract doesn't have, and TypeError for one string where a list is meant. What is returned keeps the
    order of what was given.

    The methods return what was asked for. The whole response (``metadata``: which model, how long, how many
    tokens) comes from ``call`` with a message of ``standpipe.v1`` and a method of a generated stub; these are
    the attributes ``text``, ``tokenizers`` and ``models``:

    >>> request = text_pb2.ClassifyTextRequest(texts=["Fine."])  # doctest: +SKIP
    >>> client.call(client.text.ClassifyText, request).metadata.compute_duration  # doctest: +SKIP
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
        self.text = text_pb2_grpc.TextServiceStub(self.channel)
        self.tokenizers = tokenizers_pb2_grpc.TokenizerServiceStub(self.channel)
        self.models = models_pb2_grpc.ModelServiceStub(self.channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; calls in flight are cancelled."""
        self.channel.close()

    def call(self, method: Callable[..., T], request: Message, *, timeout: float | None = None) -> T:
        """The response of any RPC, with all that the contract has.

        Args:
            method: Of a stub, such as ``client.text.ClassifyText``.
            request: Its request message.
            timeout: Seconds; the client's own where None.
        """
        try:
            return method(request, **self._context(timeout))
        except grpc.RpcError as error:
            raise CallError(error) from error

    def embed_text(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[EmbedOptions]
    ) -> NDArray[np.float32]:
        """Vectors of texts, float32 (n, d), in order.

        Args:
            texts: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of EmbedTextRequest.
        """
        return self._make(calls.EMBED_TEXT, timeout, texts, **options)

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
                    request = calls.EMBED_TEXT.request(batch, **options)
                    pending.append(self.text.EmbedText.future(request, **self._context(timeout)))
                    if len(pending) >= in_flight:
                        yield from self._rows(pending, advance)
                while pending:
                    yield from self._rows(pending, advance)
            finally:
                for call in pending:
                    call.cancel()

    def rerank_text(
        self,
        query: str,
        texts: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[RerankOptions],
    ) -> list[Ranked]:
        """Texts by their relevance to a query, best first.

        Args:
            query: What is looked for.
            texts: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of RerankTextRequest.
        """
        return self._make(calls.RERANK_TEXT, timeout, query, texts, **options)

    def classify_text(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None = None,
        *,
        timeout: float | None = None,
        **options: Unpack[ClassifyOptions],
    ) -> list[list[Label]]:
        """The labels of each text, or pair of texts, best first.

        Args:
            texts: At least one.
            text_pairs: The second text of each pair, for models that read pairs.
            timeout: Seconds; the client's own where None.
            options: As the fields of ClassifyTextRequest.
        """
        return self._make(calls.CLASSIFY_TEXT, timeout, texts, text_pairs, **options)

    def classify_text_zero_shot(
        self,
        texts: Sequence[str],
        candidate_labels: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[ZeroShotOptions],
    ) -> list[list[Label]]:
        """The candidate labels for each text, best first.

        Args:
            texts: At least one.
            candidate_labels: The labels to choose from.
            timeout: Seconds; the client's own where None.
            options: As the fields of ClassifyTextZeroShotRequest.
        """
        return self._make(calls.CLASSIFY_TEXT_ZERO_SHOT, timeout, texts, candidate_labels, **options)

    def classify_tokens(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[ClassifyTokensOptions]
    ) -> list[list[Entity]]:
        """The tokens of each text that have a label, or the entities that they form, in order.

        Args:
            texts: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of ClassifyTokensRequest.
        """
        return self._make(calls.CLASSIFY_TOKENS, timeout, texts, **options)

    def answer_question(
        self,
        inputs: Sequence[tuple[str, str]],
        *,
        timeout: float | None = None,
        **options: Unpack[AnswerOptions],
    ) -> list[list[Answer]]:
        """The answers to each question, best first: one, or as many as ``top_k`` says and there are.

        Args:
            inputs: Pairs of a question and the context that holds its answer.
            timeout: Seconds; the client's own where None.
            options: As the fields of AnswerQuestionRequest.
        """
        return self._make(calls.ANSWER_QUESTION, timeout, inputs, **options)

    def answer_table_question(
        self,
        table: Mapping[str, Sequence[str]],
        questions: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[TableOptions],
    ) -> list[TableAnswer]:
        """The answer to each question about a table.

        Args:
            table: The cells of each column, by its heading; numbers are written as text.
            questions: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of AnswerTableQuestionRequest.
        """
        return self._make(calls.ANSWER_TABLE_QUESTION, timeout, table, questions, **options)

    def fill_mask(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[FillOptions]
    ) -> list[list[list[Fill]]]:
        """The proposals for each mask of each text, best first.

        Args:
            texts: Each with the model's mask token at least once, such as ``[MASK]``.
            timeout: Seconds; the client's own where None.
            options: As the fields of FillMaskRequest.
        """
        return self._make(calls.FILL_MASK, timeout, texts, **options)

    def summarize_text(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[WriteOptions]
    ) -> list[str]:
        """A summary of each text.

        Args:
            texts: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of SummarizeTextRequest and of GenerationParameters.
        """
        return self._make(calls.SUMMARIZE_TEXT, timeout, texts, **options)

    def translate_text(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[TranslateOptions]
    ) -> list[str]:
        """A translation of each text.

        Args:
            texts: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of TranslateTextRequest and of GenerationParameters.
        """
        return self._make(calls.TRANSLATE_TEXT, timeout, texts, **options)

    def transform_text(
        self, texts: Sequence[str], *, timeout: float | None = None, **options: Unpack[WriteOptions]
    ) -> list[str]:
        """What the model makes of each text.

        Args:
            texts: At least one, with whatever instruction the model was trained on.
            timeout: Seconds; the client's own where None.
            options: As the fields of TransformTextRequest and of GenerationParameters.
        """
        return self._make(calls.TRANSFORM_TEXT, timeout, texts, **options)

    def tokenize(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None = None,
        *,
        timeout: float | None = None,
        **options: Unpack[TokenizeOptions],
    ) -> list[Tokens]:
        """The tokens of each text, or pair of texts.

        Args:
            texts: At least one.
            text_pairs: The second text of each pair.
            timeout: Seconds; the client's own where None.
            options: As the fields of TokenizeRequest.
        """
        return self._make(calls.TOKENIZE, timeout, texts, text_pairs, **options)

    def detokenize(
        self,
        sequences: Sequence[Sequence[int]],
        *,
        timeout: float | None = None,
        **options: Unpack[DetokenizeOptions],
    ) -> list[str]:
        """The text of each sequence of token ids.

        Args:
            sequences: Token ids, a sequence for each text.
            timeout: Seconds; the client's own where None.
            options: As the fields of DetokenizeRequest.
        """
        return self._make(calls.DETOKENIZE, timeout, sequences, **options)

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any] | tokenizers_pb2.ChatMessage],
        *,
        timeout: float | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatPrompt:
        """A conversation as the model reads it.

        Args:
            messages: The conversation: ``{"role": "user", "content": "…"}``, …
            timeout: Seconds; the client's own where None.
            options: As the fields of ApplyChatTemplateRequest.
        """
        return self._make(calls.APPLY_CHAT_TEMPLATE, timeout, messages, **options)

    def list_tasks(self, *, timeout: float | None = None) -> list[models_pb2.Task]:
        """Every task that the server knows, served or not."""
        return self._make(calls.LIST_TASKS, timeout)

    def list_models(self, task: str = "", *, timeout: float | None = None) -> list[models_pb2.Model]:
        """The models, of one task or of all."""
        return self._make(calls.LIST_MODELS, timeout, task)

    def get_model(self, model: str, *, timeout: float | None = None) -> models_pb2.Model:
        """One model."""
        return self._make(calls.GET_MODEL, timeout, model)

    def _rows(self, pending: deque[Any], advance: Callable[[int], None]) -> Iterator[NDArray[np.float32]]:
        try:
            rows = calls.EMBED_TEXT.result(pending.popleft().result())
        except grpc.RpcError as error:
            raise CallError(error) from error
        advance(len(rows))
        yield from rows

    def _make(self, rpc: Rpc[P, Any, Any, R], timeout: float | None, *args: P.args, **kwargs: P.kwargs) -> R:
        return rpc.result(self.call(rpc.method(self), rpc.request(*args, **kwargs), timeout=timeout))

    def _context(self, timeout: float | None) -> dict[str, Any]:
        return {"timeout": self._timeout if timeout is None else timeout, "metadata": self._metadata}
