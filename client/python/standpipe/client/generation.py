"""GenerationService's methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from standpipe import calls
from standpipe.client.connection import Connection
from standpipe.options import ChatOptions, GenerateTextOptions, StreamTextOptions
from standpipe.requests import Messages
from standpipe.results import ChatAnswer, ChatDelta, GeneratedText, TextDelta
from standpipe.streams import Stream


class GenerationMethods(Connection):
    """The methods of GenerationService."""

    def generate_text(
        self,
        prompts: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[GenerateTextOptions],
    ) -> list[list[GeneratedText]]:
        """How a model continues each text: one way, or as many as ``num_return_sequences`` says.

        Args:
            prompts: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of GenerateTextRequest and of GenerationParameters; of a constraint one of
                ``json_schema`` (a mapping, or text), ``regex`` and ``choices``.
        """
        return self._make(calls.GENERATE_TEXT, timeout, prompts, **options)

    def stream_generate_text(
        self, prompt: str, *, timeout: float | None = None, **options: Unpack[StreamTextOptions]
    ) -> Stream[TextDelta, GeneratedText]:
        """How a model continues a text, as it writes it.

        Args:
            prompt: The text.
            timeout: Seconds for the whole stream; the client's own where None.
            options: As for ``generate_text``, but for the number of texts, of which there is one.

        >>> for delta in client.stream_generate_text("Water boils at"):  # doctest: +SKIP
        ...     print(delta.text, end="", flush=True)
        """
        return self._make_stream(calls.STREAM_GENERATE_TEXT, timeout, prompt, **options)

    def chat(
        self, messages: Messages, *, timeout: float | None = None, **options: Unpack[ChatOptions]
    ) -> ChatAnswer:
        """A model's answer to a conversation; ``messages.append(answer.message)`` goes on with it.

        Args:
            messages: The conversation: ``{"role": "user", "content": "…"}``, … A content is a text, or a list
                of parts: ``{"type": "text", "text": "…"}``, ``{"type": "image", "image": …}``, of which the
                image is a path, an address, the bytes of a file, a PIL image or an array.
            timeout: Seconds; the client's own where None.
            options: As the fields of ChatRequest and of GenerationParameters; a constraint as for
                ``generate_text``.
        """
        return self._make(calls.CHAT, timeout, messages, **options)

    def stream_chat(
        self, messages: Messages, *, timeout: float | None = None, **options: Unpack[ChatOptions]
    ) -> Stream[ChatDelta, ChatAnswer]:
        """A model's answer to a conversation, as it writes it.

        Args:
            messages: The conversation, as for ``chat``.
            timeout: Seconds for the whole stream; the client's own where None.
            options: As for ``chat``.

        >>> for delta in client.stream_chat([{"role": "user", "content": "Hi!"}]):  # doctest: +SKIP
        ...     print(delta.content, end="", flush=True)
        """
        return self._make_stream(calls.STREAM_CHAT, timeout, messages, **options)
