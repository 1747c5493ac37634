"""What a task is: a value that ties an RPC's messages to a kind of model and a head; and what tasks share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from standpipe.v1 import common_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Chunk, Output, Step
from standpipe_server.kinds import Kind
from standpipe_server.media.audio import AudioFileLimits
from standpipe_server.media.images import ImageFileLimits
from standpipe_server.media.videos import VideoFileLimits
from standpipe_server.programs import HeadFactory, Text, TruncationSide

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
        max_media_bytes: Of one file: an image, …
        max_pixels: Of one image, or frame.
        max_frames: That are read of one video.
        max_seconds: Of one sound.
        max_channels: Of one sound.
        max_sample_rate: Of one sound.
        max_steps: Of a diffusion model.
        max_drawn_pixels: Of one picture, or frame, that is drawn.
        max_drawn_images: For one prompt.
        max_drawn_frames: Of one film that is made.
        max_film_pixels: Of all frames of a film that is made.
        max_message_bytes: Of one message, the answer's too.
    """

    max_items: int = 1024
    max_text_bytes: int = 1 << 20
    max_labels: int = 1000
    max_new_tokens: int = 1024
    max_queue: int = 4096
    max_media_bytes: int = 32 << 20
    max_pixels: int = 50_000_000
    max_frames: int = 1024
    max_seconds: float = 3600.0
    max_channels: int = 2
    max_sample_rate: int = 192_000
    max_steps: int = 250
    max_drawn_pixels: int = 4 << 20
    max_drawn_images: int = 16
    max_drawn_frames: int = 128
    max_film_pixels: int = 1 << 27
    max_message_bytes: int = 64 << 20

    @property
    def image_file(self) -> ImageFileLimits:
        """For one image."""
        return ImageFileLimits(self.max_media_bytes, self.max_pixels)

    @property
    def video_file(self) -> VideoFileLimits:
        """For one video."""
        return VideoFileLimits(self.max_media_bytes, self.max_pixels, self.max_frames)

    @property
    def audio_file(self) -> AudioFileLimits:
        """For one sound."""
        return AudioFileLimits(
            self.max_media_bytes,
            self.max_seconds,
            self.max_channels,
            max_sample_rate=self.max_sample_rate,
        )


class StepEncoder(Protocol):
    """Turns how far a request's calls are into messages."""

    def add(self, index: int, step: Step) -> Sequence[Message]:
        """What to tell of a call's step.

        Args:
            index: Which of the request's calls.
            step: How far it is.
        """
        ...


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
        long: Its calls take so long that a model had better ask meanwhile whether anybody waits for them.
        steps: Makes what tells how far so many calls are; None where the RPC answers with one message.
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
    long: bool = False
    steps: Callable[[int], StepEncoder] | None = None

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


class Session(Protocol):
    """A request that comes message by message, and is answered meanwhile by calls of a task.

    Attributes:
        done: The last message was given.
    """

    done: bool

    @property
    def full(self) -> bool:
        """It holds enough that isn't answered: what else comes had better wait."""
        ...

    def add(self, request: Any) -> None:
        """Take a further message in.

        Raises:
            InvalidInputError: It is at fault.
        """
        ...

    def end(self) -> None:
        """Nothing follows."""
        ...

    def next(self) -> Call | None:
        """What to ask the model now; None until more has come."""
        ...

    def take(self, output: Output) -> Sequence[Message]:
        """What to tell the caller of an answer; the last message of all has metadata."""
        ...


@dataclass(frozen=True, slots=True)
class LiveTask:
    """A task that is answered while its request still comes.

    Attributes:
        task: The task whose calls it makes; its parameters and head serve here too.
        rpc: Full name of the RPC: "standpipe.v1.AudioService.StreamTranscribeAudio".
        request: Class of the request messages; the first one has the field ``model``.
        response: Class of the response messages; they have the field ``metadata``.
        session: Makes a session of the first message; raises InvalidInputError.
    """

    task: Task
    rpc: str
    request: type[Message]
    response: type[Message]
    session: Callable[[Any, InputLimits], Session]


@dataclass(frozen=True, slots=True)
class PieceTask:
    """A task whose answer is made, and sent, piece by piece.

    Attributes:
        task: The task whose calls it makes; its parameters and head serve here too.
        rpc: Full name of the RPC: "standpipe.v1.AudioService.StreamSynthesizeSpeech".
        request: Class of the request message; it has the field ``model``.
        response: Class of the response messages; they have the field ``metadata``.
        decode: Request and limits to a call for each piece; raises InvalidInputError.
        piece: The message for a call and its output.
        end: The last message, which has metadata, for all outputs.
    """

    task: Task
    rpc: str
    request: type[Message]
    response: type[Message]
    decode: Callable[[Any, InputLimits], list[Call]]
    piece: Callable[[Call, Output], Message]
    end: Callable[[Sequence[Output]], Message]


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


def as_sent(value: float) -> float:
    """A number as its sender wrote it: a float of 32 bits makes 0.699999988 of 0.7, and 6 steps of 7."""
    return float(f"{value:.7g}")


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
