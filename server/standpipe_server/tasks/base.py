"""What a task is: a value that ties an RPC's messages to a kind of model and a head; and what tasks share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from standpipe.v1 import common_pb2
from standpipe_server.errors import InvalidInputError, LimitExceededError
from standpipe_server.interfaces import Call, Chunk, Output
from standpipe_server.programs import HeadFactory, Kind, Text, TruncationSide

T = TypeVar("T")

SIDES: dict[int, TruncationSide | None] = {
    common_pb2.TRUNCATION_DIRECTION_UNSPECIFIED: None,
    common_pb2.TRUNCATION_DIRECTION_LEFT: "left",
    common_pb2.TRUNCATION_DIRECTION_RIGHT: "right",
}


@dataclass(frozen=True, slots=True)
class InputLimits:
    """What one call may hold.

    Attributes:
        max_items: Texts (images, …) in one call.
        max_text_bytes: UTF-8 bytes of one text.
        max_labels: Labels or targets that a call brings.
        max_new_tokens: Tokens that a call may have written per text.
        max_queue: Items that a model's queue holds: a call that needs more can never be answered.
    """

    max_items: int = 1024
    max_text_bytes: int = 1 << 20
    max_labels: int = 1000
    max_new_tokens: int = 1024
    max_queue: int = 4096


@dataclass(frozen=True, slots=True)
class Task:
    """One task; adding one takes its proto, its example and one module.

    Attributes:
        name: The Hugging Face name: "feature-extraction".
        rpc: Full name of the RPC: "standpipe.v1.TextService.EmbedText".
        request: Class of the request message; it has the field ``model``.
        response: Class of the response message; it has the field ``metadata``.
        kind: The kind of model that it needs; None for a task of any model's tokenizer.
        parameters: Class of its calls' parameters, by which a model knows the task.
        head: What reads and answers its calls.
        decode: Request and limits to calls of equal parameters; raises InvalidInputError.
        encode: Outputs, in the order of the calls, and the request to a response without metadata.
        cost: What a call will cost a batch, before padding; for texts, a cheap estimate of its tokens.
        mixes: Calls of different parameters may share a batch.
        default: Hub id and revision of the model that the library takes by default.
        warm_up: Batches that a fresh model runs before it answers.
        also: Other kinds of models that serve it too, and what reads and answers its calls for them.
        of: Name of the task whose models serve it, where that is another.
        rather: Name of the task whose models serve it best, where any model may: they are its default.
    """

    name: str
    rpc: str
    request: type[Message]
    response: type[Message]
    kind: Kind | None
    parameters: type
    head: HeadFactory
    decode: Callable[[Any, InputLimits], list[Call]]
    encode: Callable[[Sequence[Output], Any], Message]
    cost: Callable[[Call], int]
    mixes: bool = True
    default: tuple[str, str] = ("", "")
    warm_up: Sequence[Sequence[Call]] = ()
    also: Mapping[Kind, HeadFactory] = field(default_factory=dict)
    of: str = ""
    rather: str = ""

    @property
    def kinds(self) -> Mapping[Kind, HeadFactory]:
        """The kinds of models that serve it, best first, and its head for each."""
        return ({} if self.kind is None else {self.kind: self.head}) | dict(self.also)

    @property
    def model_task(self) -> str | None:
        """What a model must be there for to serve it; None where any model does."""
        return None if self.kind is None else self.of or self.name

    def key(self, call: Call) -> Hashable:
        """Calls of equal keys may share a batch."""
        return self.name if self.mixes else call.parameters


class StreamEncoder(Protocol):
    """Turns the chunks of one call into messages."""

    def add(self, chunk: Chunk) -> Sequence[Message]:
        """A chunk's messages: the last one of the last chunk ends the stream, and has metadata."""
        ...


@dataclass(frozen=True, slots=True)
class StreamTask:
    """A task whose answer is sent while it is written.

    Attributes:
        task: The task; its parameters and head serve here too.
        rpc: Full name of the RPC: "standpipe.v1.GenerationService.StreamChat".
        request: Class of the request message; it has the field ``model``.
        response: Class of the response messages; they have the field ``metadata``.
        decode: Request and limits to its call; raises InvalidInputError.
        encoder: Makes the encoder for a request.
    """

    task: Task
    rpc: str
    request: type[Message]
    response: type[Message]
    decode: Callable[[Any, InputLimits], Call]
    encoder: Callable[[Any], StreamEncoder]


def check_texts(texts: Sequence[str], field: str, limits: InputLimits) -> None:
    """Refuse no texts, too many, or one that is too long.

    Raises:
        InvalidInputError: Naming the field, and the limit where one is exceeded.
    """
    check_count(texts, field, limits)
    for index, text in enumerate(texts):
        check_text(text, f"{field}[{index}]", limits)


def check_count(items: Sequence[Any], field: str, limits: InputLimits) -> None:
    """Refuse no items, or too many.

    Raises:
        InvalidInputError: Naming the field, and the limit where one is exceeded.
    """
    if not items:
        raise InvalidInputError(f"{field} is empty: send at least one", field)
    check_limit(len(items), field, "max_items", limits.max_items, f"{field} in one call")


def check_limit(count: int, field: str, name: str, limit: int, what: str) -> None:
    """Refuse more of something than the server is configured to take.

    Args:
        count: How much there is.
        field: Where the request has it.
        name: The limit's, as it is configured.
        limit: The most.
        what: What is counted, in words.

    Raises:
        LimitExceededError: Naming the field and the limit.
    """
    if count > limit:
        message = f"{count} {what} exceed the limit {name} = {limit}"
        raise LimitExceededError(message, field, limit=name, value=str(limit))


def check_text(text: str, field: str, limits: InputLimits) -> None:
    """Refuse a text that is too long.

    Raises:
        LimitExceededError: Naming the field and the limit.
    """
    # No character takes more than four bytes: most texts are known to fit without encoding them.
    if len(text) * 4 > limits.max_text_bytes:
        check_limit(len(text.encode()), field, "max_text_bytes", limits.max_text_bytes, "bytes")


def check_pairs(texts: Sequence[str], pairs: Sequence[str], limits: InputLimits) -> list[Text]:
    """Texts, or texts with their seconds.

    Raises:
        InvalidInputError: There are neither none nor as many seconds as texts, or a text is refused.
    """
    check_texts(texts, "texts", limits)
    if not pairs:
        return list(texts)
    if len(pairs) != len(texts):
        raise InvalidInputError(
            f"{len(pairs)} text_pairs don't go with {len(texts)} texts: send none, or one for each",
            "text_pairs",
        )
    check_texts(pairs, "text_pairs", limits)
    # An empty second text makes no pair, as in the library.
    return [(text, pair) if pair else text for text, pair in zip(texts, pairs, strict=True)]


def texts_to_calls(texts: Sequence[Text], parameters: Hashable) -> list[Call]:
    """A call for each text of the field ``texts``."""
    return [Call(text, parameters, f"texts[{index}]") for index, text in enumerate(texts)]


def known(table: dict[int, T], value: int, field: str) -> T:
    """What an enum value of the contract means.

    Raises:
        InvalidInputError: This version of the server doesn't know the value.
    """
    if value not in table:
        raise InvalidInputError(f"unknown value {value}; known: {', '.join(map(str, table))}", field)
    return table[value]


def optional(request: Any, field: str, default: T) -> T:
    """An optional field's value, or the default where the request leaves it out."""
    value: T = getattr(request, field) if request.HasField(field) else default
    return value


def positive(request: Any, field: str, default: T) -> int | T:
    """An optional number of at least 1.

    Raises:
        InvalidInputError: It is 0.
    """
    value = optional(request, field, default)
    if value == 0:
        raise InvalidInputError(f"{field} is 0: send at least 1, or leave it out", field)
    return value


def text_cost(call: Call) -> int:
    """About how many tokens a call's text, or pair of texts, has."""
    text = call.input
    return 2 + (tokens_of(text) if isinstance(text, str) else 1 + sum(map(tokens_of, text)))


def tokens_of(text: str) -> int:
    """About how many tokens a text has: four ASCII characters to one, every other character its own."""
    return len(text) // 4 if text.isascii() else len(text)
