"""``standpipe chat``: a conversation with a model of a running server, in the terminal.

A client like any other, as ``call`` is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from standpipe import ChatAnswer, ChatDelta, Client, Stream
from standpipe.options import ChatOptions
from standpipe_server.call import RequestError


def chat(address: str, message: str, *, system: str, timeout: float, options: ChatOptions) -> None:
    """Answer a message, or each line of standard input until its end.

    Args:
        address: ``host:port`` of the server.
        message: Answered alone; empty for the lines, which a prompt asks for where a terminal is there.
        system: What the model is told first; empty for nothing.
        timeout: Seconds for each answer.
        options: As for ``Client.stream_chat``.

    Raises:
        CallError: The server, or the way to it, refuses. Nothing is retried: a person waits.
        RequestError: What is said is no text.
    """
    with Client(address, timeout=timeout, retry=False) as client:
        conversation = Conversation(client, system, options)
        try:
            if message:
                conversation.answer(message)
            elif sys.stdin.isatty() and sys.stdout.isatty():
                _converse(conversation)
            else:
                for line in _lines():
                    conversation.answer(line)
        except UnicodeError as error:
            raise RequestError(f"what is said isn't UTF-8: {error}") from error


def options_of(
    model: str, max_new_tokens: int | None, temperature: float | None, seed: int | None
) -> ChatOptions:
    """The options of a conversation; a temperature of 0 means the likeliest token always."""
    options: ChatOptions = {"model": model, "max_new_tokens": max_new_tokens, "seed": seed}
    if temperature is not None:
        options |= {"do_sample": temperature > 0, "temperature": temperature or None}
    return options


class Conversation:
    """The turns of a person and a model.

    Args:
        client: Calls the server.
        system: What the model is told first; empty for nothing.
        options: As for ``Client.stream_chat``.
    """

    def __init__(self, client: Client, system: str, options: ChatOptions) -> None:
        self._client = client
        self._options = options
        self._messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []

    def answer(self, text: str) -> None:
        """Write the answer to standard output as it comes, and what it took to standard error.

        Ctrl-C cancels it. What was said until then stands, so that the next turn can refer to it.

        Raises:
            CallError: As ``Client.stream_chat``.
            KeyboardInterrupt: It was cancelled.
        """
        question = {"role": "user", "content": text}
        said = ""
        with self._client.stream_chat([*self._messages, question], **self._options) as stream:
            try:
                for delta in stream:
                    words = _words(delta)
                    said += words
                    _write(words)
            except KeyboardInterrupt:
                if said:
                    self._messages += [question, {"role": "assistant", "content": said}]
                raise
            finally:
                # An error, or the next prompt, begins a line of its own.
                _write("\n" if said else "")
            self._messages += [question, stream.result().message]
        _note(_summary(stream))


def _converse(conversation: Conversation) -> None:
    for line in _typed():
        try:
            conversation.answer(line)
        except KeyboardInterrupt:
            _note("cancelled")


def _typed() -> Iterator[str]:
    """What a person types, line by line, until Ctrl-D, or Ctrl-C where nothing is typed yet."""
    begun: Callable[[], str] = str
    with suppress(ModuleNotFoundError):
        # Where it exists, input() has history and editing by it.
        import readline

        begun = readline.get_line_buffer
    while True:
        try:
            line = input("> ")
        except (EOFError, KeyboardInterrupt) as error:
            _write("\n")
            if isinstance(error, EOFError) or not begun():
                return
            continue
        if line.strip():
            yield line


def _lines() -> Iterator[str]:
    """What a pipe brings, line by line, but for empty ones."""
    for line in sys.stdin.buffer:
        if line.strip():
            yield line.decode().rstrip("\r\n")


def _words(delta: ChatDelta) -> str:
    return delta.content + "".join(f"\n{call.name}({call.arguments})" for call in delta.tool_calls)


def _summary(stream: Stream[ChatDelta, ChatAnswer]) -> str:
    end, metadata = stream.end, stream.metadata
    told = [f"{end.usage.generated_tokens} tokens"]
    if metadata.HasField("tokens_per_second"):
        told.append(f"{metadata.tokens_per_second:.1f} tokens/s")
    if metadata.HasField("time_to_first_token"):
        milliseconds = metadata.time_to_first_token.ToNanoseconds() / 1e6
        told.append(f"the first after {milliseconds:,.0f} ms")
    if end.finish_reason != "stop":
        told.append(f"ended by {end.finish_reason}")
    return ", ".join(told)


def _write(text: str) -> None:
    # Answers are UTF-8, whatever the terminal's encoding is.
    typer.echo(text.encode(), nl=False)


def _note(text: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[dim]{escape(text)}[/]")
