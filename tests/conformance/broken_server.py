"""A server with one thing broken on purpose, `broken_server.py BREAK serve …`: does the table notice?"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from standpipe.v1 import generation_pb2
from standpipe_server.__main__ import main
from standpipe_server.rpc import status
from standpipe_server.rpc.stream_calls import StreamCalls

Write = Callable[[bytes], Awaitable[None]]


class Writing:
    """A call's context that does something else where a message is written.

    Args:
        context: The call's own.
        write: What writes in its place.
    """

    def __init__(self, context: Any, write: Write) -> None:
        self._context = context
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def drop_a_detail() -> None:
    """No error says any longer which field is meant, or when to come again."""
    status._particulars = lambda error: []


def split_a_character() -> None:
    """What is written is cut within its characters, wherever that can be."""

    def splitting(write: Write) -> Write:
        async def written(data: bytes) -> None:
            content = generation_pb2.StreamChatResponse.FromString(data).delta.content.encode()
            if len(content) < 2 or content.isascii():
                await write(data)
                return
            for part in (content[:-1], content[-1:]):
                await write(_delta(part))

        return written

    _rewrite(splitting)


def reorder_a_stream() -> None:
    """The first message of a stream comes after the second."""

    def reordering(write: Write) -> Write:
        waiting: list[bytes] = []
        begun = False

        async def written(data: bytes) -> None:
            nonlocal begun
            if not begun:
                begun = True
                waiting.append(data)
                return
            await write(data)
            while waiting:
                await write(waiting.pop())

        return written

    _rewrite(reordering)


BREAKS: Mapping[str, Callable[[], None]] = {
    "drop-a-detail": drop_a_detail,
    "split-a-character": split_a_character,
    "reorder-a-stream": reorder_a_stream,
}


def _rewrite(rewriting: Callable[[Write], Write]) -> None:
    answer = StreamCalls.answer

    async def answered(self: StreamCalls, data: bytes, context: Any) -> None:
        await answer(self, data, cast("Any", Writing(context, rewriting(context.write))))

    StreamCalls.answer = answered  # type: ignore[method-assign]


def _delta(content: bytes) -> bytes:
    """A StreamChatResponse by hand: no library would write half a character."""
    field = b"\x0a" + bytes([len(content)]) + content
    return b"\x0a" + bytes([len(field)]) + field


if __name__ == "__main__":
    BREAKS[sys.argv.pop(1)]()
    main()
