"""What a task is: a value with two pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from standpipe_server.errors import InvalidInputError, LimitExceededError
from standpipe_server.interfaces import Call, Output


@dataclass(frozen=True, slots=True)
class InputLimits:
    """What one call may hold.

    Attributes:
        max_items: Texts (images, …) in one call.
        max_text_bytes: UTF-8 bytes of one text.
    """

    max_items: int = 1024
    max_text_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Task:
    """One task; adding one takes its proto, its example and one module.

    Attributes:
        name: The Hugging Face name: "feature-extraction".
        rpc: Full name of the RPC: "standpipe.v1.TextService.EmbedText".
        request: Class of the request message; it has the field ``model``.
        response: Class of the response message; it has the field ``metadata``.
        items: Name of the request's repeated field of inputs; call ``i`` came from ``items[i]``.
        decode: Request and limits to calls of equal parameters; raises InvalidInputError.
        encode: Outputs, in the order of the calls, and the request to a response without metadata.
        cost: What a call will cost a batch, before padding; for texts, a cheap estimate of its tokens.
        warm_up: Batches that a fresh model runs before it answers.
    """

    name: str
    rpc: str
    request: type[Message]
    response: type[Message]
    items: str
    decode: Callable[[Any, InputLimits], list[Call]]
    encode: Callable[[Sequence[Output], Any], Message]
    cost: Callable[[Call], int]
    warm_up: Sequence[Sequence[Call]]


def check_texts(texts: Sequence[str], field: str, limits: InputLimits) -> None:
    """Refuse no texts, too many, or one that is too long.

    Raises:
        InvalidInputError: Naming the field, and the limit where one is exceeded.
    """
    if not texts:
        raise InvalidInputError(f"{field} is empty: send at least one text", field)
    if len(texts) > limits.max_items:
        raise LimitExceededError(
            f"{len(texts)} {field} in one call exceed the limit max_items = {limits.max_items}",
            field,
            limit="max_items",
            value=str(limits.max_items),
        )
    for index, text in enumerate(texts):
        # No character takes more than four bytes: most texts are known to fit without encoding them.
        if len(text) * 4 > limits.max_text_bytes and len(text.encode()) > limits.max_text_bytes:
            raise LimitExceededError(
                f"{len(text.encode())} bytes exceed the limit max_text_bytes = {limits.max_text_bytes}",
                f"{field}[{index}]",
                limit="max_text_bytes",
                value=str(limits.max_text_bytes),
            )


def known(table: dict[int, Any], value: int, field: str) -> Any:
    """What an enum value of the contract means.

    Raises:
        InvalidInputError: This version of the server doesn't know the value.
    """
    if value not in table:
        raise InvalidInputError(f"unknown value {value}; known: {', '.join(map(str, table))}", field)
    return table[value]


def text_cost(call: Call) -> int:
    """About how many tokens a text has: four ASCII characters to one, every other character its own."""
    text: str = call.input
    return 2 + (len(text) // 4 if text.isascii() else len(text))
