"""What a model is loaded to do: the kind of model a task needs, and the heads that read and answer its calls.

A task brings a head: how a call becomes what the model reads, and what the model's numbers mean. A backend
brings the rest: weights, tokenizer, forward pass. Neither knows the other; both know this module. It is not
aware of gRPC, of messages, or of any model library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from standpipe_server.interfaces import Call
from standpipe_server.kinds import Kind

Floats = NDArray[np.float32]
TruncationSide = Literal["left", "right"]
Text = str | tuple[str, str]
"""A text, or a pair that the model reads as one sequence."""


# Tokens that a call writes at most where neither it nor the model's files say: the pipelines' figure.
DEFAULT_MAX_NEW_TOKENS = 256


class Encoding(Protocol):
    """One tokenized sequence, as the tokenizers library gives it. Offsets count code points."""

    ids: list[int]
    type_ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]
    special_tokens_mask: list[int]
    sequence_ids: list[int | None]

    def __len__(self) -> int: ...
    def token_to_word(self, token_index: int) -> int | None:
        """The word that a token belongs to."""
        ...

    def word_to_chars(self, word_index: int, sequence_index: int = 0) -> tuple[int, int] | None:
        """Where a word stands."""
        ...


@dataclass(frozen=True, slots=True)
class Cut:
    """What to do with a sequence that is longer than the model reads.

    Attributes:
        truncate: Cut it; else refuse it.
        side: The side to cut; None for the tokenizer's own.
        first_only: Of a pair, never cut the second; else the longer one goes first.
    """

    truncate: bool = True
    side: TruncationSide | None = None
    first_only: bool = False


class TextModel(Protocol):
    """What a head may ask of its model. Runners share it: after its heads are made nothing changes it.

    Attributes:
        folder: Of its files.
        config: Its transformers config.
        tokenizer: Its transformers tokenizer, for what doesn't change it: look-ups and decoding.
        max_tokens: Tokens that it reads at once, special tokens included; a head may lower it when it is
        made.
    """

    folder: Path
    config: Any
    tokenizer: Any
    max_tokens: int

    def encode(
        self, texts: Sequence[Text], cuts: Sequence[Cut], *, offsets: bool = False, spread: bool = False
    ) -> list[Encoding | Exception]:
        """Tokenize for the model.

        Args:
            texts: In any number.
            cuts: What to do with each that is too long.
            offsets: Where each token stands is needed too.
            spread: Spread the texts over all cores. Beside other runners that costs more than it gives.

        Returns:
            For each text its encoding, or an InvalidInputError.
        """
        ...

    def windows(
        self,
        text: str,
        *,
        before: str = "",
        stride: int | None,
        max_tokens: int,
        max_before: int | None = None,
    ) -> list[Encoding]:
        """Tokenize a text of any length, in windows that overlap.

        Args:
            text: What to read.
            before: A text that each window holds whole; none where empty.
            stride: Tokens that neighbouring windows share; None for half a window, 128 at most.
            max_tokens: Of a window, special tokens included.
            max_before: Tokens to cut ``before`` at.

        Raises:
            InvalidInputError: The windows have no room for the text; or, naming the field ``stride``, they
                share so much that the text would be read over and over.
        """
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What one forward pass gave, padded on the right.

    Attributes:
        outputs: As ``Kind.outputs`` names them, each (n, length, …) or (n, …); the next pass overwrites them.
        mask: 1 for tokens, 0 for padding, (n, length).
        encodings: The sequences.
    """

    outputs: Sequence[Floats]
    mask: Floats
    encodings: Sequence[Encoding]


class EncoderHead(Protocol):
    """What one task does round a forward pass, for one model; shared by the model's runners."""

    def read(self, calls: Sequence[Call], *, spread: bool) -> Sequence[Sequence[Encoding] | Exception]:
        """The sequences of each call, at least one, or what is wrong with it."""
        ...

    def rows(self, batch: Batch, parameters: Any) -> Sequence[Any]:
        """What is kept of each sequence; never a view of the outputs.

        Args:
            batch: Sequences of one or several calls.
            parameters: Of its calls; the first call's, where the task's calls mix.
        """
        ...

    def answer(self, call: Call, encodings: Sequence[Encoding], rows: Sequence[Any]) -> Any:
        """The value of the call's output.

        Raises:
            InvalidInputError: The call is at fault.
        """
        ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a sequence-to-sequence model reads for a call.

    Attributes:
        text: The text, with whatever the model wants before it.
        source_language: To tell the tokenizer, where it takes one.
        first_token: Id that the answer must begin with.
    """

    text: str
    source_language: str | None = None
    first_token: int | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """How a sequence-to-sequence model writes.

    Attributes:
        options: Keyword arguments of ``generate``, by name.
        seed: For sampling that can be repeated; such a call runs by itself.
        truncate: Cut a text that is too long; else refuse it.
        clean_up: Remove spaces before punctuation; None for the tokenizer's own way.
        max_new_tokens: What the server lets a call write at most, whatever the model's files say.
    """

    options: tuple[tuple[str, Any], ...] = ()
    seed: int | None = None
    truncate: bool = True
    clean_up: bool | None = None
    max_new_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class Constraint:
    """A form that what is written must have.

    Attributes:
        form: Of what kind: a JSON Schema or a regular expression, as text, or texts to choose from.
        value: The schema or the expression; of choices, the first.
        choices: The texts.
    """

    form: Literal["json_schema", "regex", "choices"]
    value: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Writing:
    """How a causal model writes.

    Attributes:
        generation: Keyword arguments of ``generate``, seed and limits; a prompt is never cut.
        stop_strings: Texts at which to stop.
        constraint: A form that the text must have.
        logprobs: Say how likely each token was.
        sequences: Texts to write for the prompt.
    """

    generation: Generation = Generation()
    stop_strings: tuple[str, ...] = ()
    constraint: Constraint | None = None
    logprobs: bool = False
    sequences: int = 1


@dataclass(frozen=True, slots=True)
class CausalPrompt:
    """What a causal model reads for a call.

    Attributes:
        text: The prompt.
        special_tokens: Let the tokenizer add its special tokens; a chat template has written its own.
        images: That the prompt has places for, in order; each has ``open``, which gives an upright RGB image.
    """

    text: str
    special_tokens: bool = True
    images: tuple[Any, ...] = ()


class CausalHead(Protocol):
    """What a task makes of a call for a causal model."""

    def prompt(self, call: Call) -> CausalPrompt:
        """What the model reads; its length is the engine's to check.

        Raises:
            InvalidInputError: The call is at fault.
        """
        ...

    def writing(self, call: Call) -> Writing:
        """How it writes."""
        ...


class Seq2SeqHead(Protocol):
    """What a task makes of a call for a model that writes; an output is a tuple of one ``Written``."""

    def prompt(self, call: Call) -> Prompt:
        """What the model reads.

        Raises:
            InvalidInputError: The call is at fault.
        """
        ...

    def generation(self, call: Call) -> Generation:
        """How it writes."""
        ...


class DirectHead(Protocol):
    """A task that asks its model call by call: a pipeline object, or a tokenizer."""

    def answer(self, call: Call) -> tuple[Any, int]:
        """The value of the call's output, and the tokens that were read for it.

        Raises:
            InvalidInputError: The call is at fault.
        """
        ...


HeadFactory = Callable[[Any], Any]
"""Makes a head for a model: EncoderHead, Seq2SeqHead or CausalHead of a TextModel, ImageHead of an
ImageModel, DirectHead of a transformers pipeline or tokenizer. Raises ModelLoadError where the model can't
serve the task."""


@dataclass(frozen=True)
class Program:
    """What to load a model for.

    Attributes:
        kind: Its kind.
        heads: By the class of a call's parameters.
        tokenizer_heads: What its tokenizer does alone, likewise.
        task: Name of the first task, for libraries that want to know.
    """

    kind: Kind
    heads: Mapping[type, HeadFactory]
    tokenizer_heads: Mapping[type, HeadFactory] = field(default_factory=dict)
    task: str = ""
