"""TextService's methods."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from standpipe import calls
from standpipe.aio.connection import AsyncConnection
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


class AsyncTextMethods(AsyncConnection):
    """The methods of TextService."""

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


async def _next(pending: deque[asyncio.Task[Any]], advance: Callable[[int], None]) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = await pending.popleft()
    advance(len(rows))
    return rows
