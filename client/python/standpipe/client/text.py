"""TextService's methods."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Unpack

import grpc
import numpy as np
from numpy.typing import NDArray

from standpipe import calls
from standpipe.client.connection import Connection
from standpipe.errors import CallError
from standpipe.options import (
    AnswerOptions,
    ClassifyOptions,
    ClassifyTokensOptions,
    EmbedOptions,
    FillOptions,
    RerankOptions,
    TableOptions,
    TranslateOptions,
    WriteOptions,
    ZeroShotOptions,
)
from standpipe.progress import progress_bar
from standpipe.requests import batches
from standpipe.results import Answer, Entity, Fill, Label, Ranked, TableAnswer


class TextMethods(Connection):
    """The methods of TextService."""

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

    def _rows(self, pending: deque[Any], advance: Callable[[int], None]) -> Iterator[NDArray[np.float32]]:
        try:
            rows = calls.EMBED_TEXT.result(pending.popleft().result())
        except grpc.RpcError as error:
            raise CallError(error) from error
        advance(len(rows))
        yield from rows
