"""TokenizerService's methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from standpipe import calls
from standpipe.aio.connection import AsyncConnection
from standpipe.options import (
    DetokenizeOptions,
    TemplateOptions,
    TokenizeOptions,
)
from standpipe.requests import Messages
from standpipe.results import ChatPrompt, Tokens


class AsyncTokenizerMethods(AsyncConnection):
    """The methods of TokenizerService."""

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
        messages: Messages,
        *,
        timeout: float | None = None,
        **options: Unpack[TemplateOptions],
    ) -> ChatPrompt:
        """A conversation as the model reads it."""
        return await self._make(calls.APPLY_CHAT_TEMPLATE, timeout, messages, **options)
