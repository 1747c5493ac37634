"""The short way through a text encoder: one ``encode_batch``, one forward, numpy.

Shared by the backends, which bring only the forward pass. Not aware of how that is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from standpipe_server.backends.sentence import Floats, Recipe, normalize, pool, read_recipe
from standpipe_server.errors import InvalidInputError, ModelLoadError
from standpipe_server.interfaces import (
    Call,
    EmbedParameters,
    ModelInfo,
    ModelSpec,
    Outcome,
    Output,
    TruncationSide,
)

INPUT_NAMES = frozenset({"input_ids", "attention_mask", "token_type_ids"})
"""What a forward pass may take."""

Inputs = Mapping[str, NDArray[np.int64]]
Forward = Callable[[Inputs], Floats]
"""Named inputs (n, length) to the last hidden state (n, length, d), which the next call may overwrite."""


@dataclass(frozen=True)
class Encoder:
    """Everything about an embedding model but its weights; immutable, shared by its runners.

    Attributes:
        tokenizers: By the side that truncation cuts.
        side: The side that the model's own files cut.
        input_names: What the forward pass takes, out of ``INPUT_NAMES``.
        dimensions: Length of the vectors.
        max_tokens: Tokens per text at most, special tokens included.
        max_padded: Tokens in one forward pass at most, padding included; one longer text runs alone.
    """

    recipe: Recipe
    tokenizers: Mapping[TruncationSide, Tokenizer]
    side: TruncationSide
    pad_id: int
    input_names: frozenset[str]
    dimensions: int
    max_tokens: int
    max_padded: int = 16384

    def info(self, spec: ModelSpec, revision: str) -> ModelInfo:
        """What a model with this encoder is; why its spec was settled so isn't known here."""
        return ModelInfo(
            backend=spec.backend,
            device=spec.device,
            dtype=spec.dtype,
            reason="",
            revision=revision,
            max_tokens=self.max_tokens,
            dimensions=self.dimensions,
        )

    def prompt(self, name: str | None) -> str:
        """What goes before each text.

        Raises:
            InvalidInputError: The model has no prompt of that name.
        """
        chosen = self.recipe.default_prompt if name is None else name
        if chosen is None:
            return ""
        if chosen not in self.recipe.prompts:
            offered = ", ".join(self.recipe.prompts) or "none"
            raise InvalidInputError(f"the model has no prompt {chosen!r}; it has: {offered}", "prompt_name")
        return self.recipe.prompts[chosen]

    def check(self, parameters: EmbedParameters) -> None:
        """Refuse more dimensions than there are.

        Raises:
            InvalidInputError: There are fewer.
        """
        if (parameters.dimensions or 0) > self.dimensions:
            raise InvalidInputError(
                f"{parameters.dimensions} dimensions were asked for; the model has {self.dimensions}",
                "dimensions",
            )

    def encode(self, texts: Sequence[str], side: TruncationSide | None, *, spread: bool) -> list[Encoding]:
        """Tokenize, cut at ``max_tokens``; what was cut is in each encoding's ``overflowing``.

        Args:
            texts: At least one.
            side: The side to cut; None for the model's own.
            spread: Spread the texts over all cores. Beside other runners that costs more than it gives.
        """
        cleaned = [text.strip() for text in texts]
        if self.recipe.lower_case:
            cleaned = [text.lower() for text in cleaned]
        encode = self.tokenizers[side or self.side].encode_batch_fast
        return encode(cleaned) if spread else [encode([text])[0] for text in cleaned]

    def arrays(self, encodings: Sequence[Encoding]) -> dict[str, NDArray[np.int64]]:
        """Token ids and mask, padded on the right to the longest."""
        shape = (len(encodings), max(len(encoding) for encoding in encodings))
        ids = np.full(shape, self.pad_id, np.int64)
        mask = np.zeros(shape, np.int64)
        types = np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            length = len(encoding)
            ids[row, :length] = encoding.ids
            mask[row, :length] = 1
            # Every text is a first segment; where the tokenizer numbers that otherwise than 0, it says so.
            types[row, :length] = encoding.type_ids
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}

    def vectors(self, hidden: Floats, mask: Floats, parameters: EmbedParameters) -> Floats:
        """Token vectors (n, length, d) to text vectors (n, dimensions)."""
        modes = (parameters.pooling,) if parameters.pooling else self.recipe.pooling
        vectors = pool(hidden, mask, modes)[:, : parameters.dimensions]
        unit = self.recipe.normalize if parameters.normalize is None else parameters.normalize
        return normalize(vectors) if unit else vectors


def read_encoder(folder: Path, config: Any, input_names: frozenset[str]) -> Encoder:
    """Read an embedding model's tokenizer and recipe.

    Args:
        folder: Of the model's files.
        config: The model's transformers config.
        input_names: What the forward pass takes.

    Raises:
        ModelLoadError: A part of it isn't served.
    """
    from transformers import AutoTokenizer

    recipe = read_recipe(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not tokenizer.is_fast:
        raise ModelLoadError(f"{folder.name}: its tokenizer has no fast (Rust) form, which serving needs")
    ceilings = [
        recipe.max_tokens,
        tokenizer.model_max_length,
        getattr(config, "max_position_embeddings", None),
    ]
    max_tokens = min(ceiling for ceiling in ceilings if ceiling)
    tokenizers: dict[TruncationSide, Tokenizer] = {}
    sides: tuple[TruncationSide, TruncationSide] = ("left", "right")
    for side in sides:
        tokenizers[side] = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        tokenizers[side].enable_truncation(max_tokens, direction=side)
        tokenizers[side].no_padding()
    return Encoder(
        recipe=recipe,
        tokenizers=tokenizers,
        side=tokenizer.truncation_side,
        pad_id=tokenizer.pad_token_id or 0,
        input_names=input_names,
        dimensions=config.hidden_size * len(recipe.pooling),
        max_tokens=max_tokens,
    )


class EmbedRunner:
    """Embeds texts with one model, on one thread.

    Args:
        encoder: What to do round the forward pass.
        forward: The forward pass beside which others may run.
        wide: The forward pass that takes the whole device, for a batch that runs alone.
    """

    def __init__(self, encoder: Encoder, forward: Forward, wide: Forward | None = None) -> None:
        self._encoder = encoder
        self._forward = forward
        self._wide = wide or forward

    def run(self, calls: Sequence[Call], *, alone: bool) -> Sequence[Outcome]:
        parameters = calls[0].parameters
        assert isinstance(parameters, EmbedParameters)  # noqa: S101 - the task's decode made them
        try:
            prompt = self._encoder.prompt(parameters.prompt_name)
            self._encoder.check(parameters)
        except InvalidInputError as error:
            return [error] * len(calls)
        encodings = self._encoder.encode(
            [prompt + call.input for call in calls], parameters.truncation_side, spread=alone
        )
        outcomes: dict[int, Outcome] = {}
        if not parameters.truncate:
            limit = self._encoder.max_tokens
            for index, encoding in enumerate(encodings):
                if encoding.overflowing:
                    outcomes[index] = InvalidInputError(f"the text has more than the model's {limit} tokens")
        forward = self._wide if alone else self._forward
        fitting = [index for index in range(len(calls)) if index not in outcomes]
        for part in _parts(fitting, encodings, self._encoder.max_padded):
            arrays = self._encoder.arrays([encodings[index] for index in part])
            mask = arrays["attention_mask"].astype(np.float32)
            hidden = forward({name: arrays[name] for name in self._encoder.input_names})
            vectors = self._encoder.vectors(hidden, mask, parameters)
            for index, vector in zip(part, vectors, strict=True):
                outcomes[index] = Output(vector, len(encodings[index]))
        return [outcomes[index] for index in range(len(calls))]


def _parts(indices: Sequence[int], encodings: Sequence[Encoding], max_padded: int) -> Iterator[list[int]]:
    """Cut a batch, by rising length, where it would hold more than ``max_padded`` tokens with padding.

    The batch was cut by estimated lengths; this holds the bound by the real ones.
    """
    part: list[int] = []
    for index in sorted(indices, key=lambda i: len(encodings[i])):
        if part and (len(part) + 1) * len(encodings[index]) > max_padded:
            yield part
            part = []
        part.append(index)
    if part:
        yield part
