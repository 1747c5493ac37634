"""GenerationService's methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from standpipe import calls
from standpipe.aio.connection import AsyncConnection
from standpipe.options import ChatOptions, GenerateTextOptions, StreamTextOptions
from standpipe.requests import Messages
from standpipe.results import ChatAnswer, ChatDelta, GeneratedText, TextDelta
from standpipe.streams import AsyncStream


class AsyncGenerationMethods(AsyncConnection):
    """The methods of GenerationService."""

    async def generate_text(
        self,
        prompts: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[GenerateTextOptions],
    ) -> list[list[GeneratedText]]:
        """How a model continues each text: one way, or as many as ``num_return_sequences`` says."""
        return await self._make(calls.GENERATE_TEXT, timeout, prompts, **options)

    def stream_generate_text(
        self, prompt: str, *, timeout: float | None = None, **options: Unpack[StreamTextOptions]
    ) -> AsyncStream[TextDelta, GeneratedText]:
        """How a model continues a text, as it writes it."""
        return self._make_stream(calls.STREAM_GENERATE_TEXT, timeout, prompt, **options)

    async def chat(
        self, messages: Messages, *, timeout: float | None = None, **options: Unpack[ChatOptions]
    ) -> ChatAnswer:
        """A model's answer to a conversation; ``messages.append(answer.message)`` goes on with it."""
        return await self._make(calls.CHAT, timeout, messages, **options)

    def stream_chat(
        self, messages: Messages, *, timeout: float | None = None, **options: Unpack[ChatOptions]
    ) -> AsyncStream[ChatDelta, ChatAnswer]:
        """A model's answer to a conversation, as it writes it: ``async for delta in …``."""
        return self._make_stream(calls.STREAM_CHAT, timeout, messages, **options)
