"""TokenizerService's methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from standpipe import calls
from standpipe.client.connection import Connection
from standpipe.options import (
    DetokenizeOptions,
    TemplateOptions,
    TokenizeOptions,
)
from standpipe.requests import Messages
from standpipe.results import ChatPrompt, Tokens


class TokenizerMethods(Connection):
    """The methods of TokenizerService."""

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
        messages: Messages,
        *,
        timeout: float | None = None,
        **options: Unpack[TemplateOptions],
    ) -> ChatPrompt:
        """A conversation as the model reads it.

        Args:
            messages: The conversation: ``{"role": "user", "content": "…"}``, …
            timeout: Seconds; the client's own where None.
            options: As the fields of ApplyChatTemplateRequest.
        """
        return self._make(calls.APPLY_CHAT_TEMPLATE, timeout, messages, **options)
