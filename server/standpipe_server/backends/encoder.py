"""The short way through a text encoder: one tokenizer call, one forward pass, numpy.

Shared by the backends, which bring only the forward pass, and by the tasks, which bring a head each. Not
aware of how the pass is computed, nor of what a head makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from standpipe_server.backends.reading import INPUT_NAMES, TextReader
from standpipe_server.errors import InvalidInputError, ModelLoadError
from standpipe_server.interfaces import Call, Outcome, Output
from standpipe_server.programs import Batch, EncoderHead, Encoding, Floats

Inputs = Mapping[str, NDArray[np.int64]]
Forward = Callable[[Inputs], Sequence[Floats]]
"""Named inputs (n, length) to the outputs that the model's kind names, which the next call may overwrite."""

# Tokens in one forward pass at most, padding included; one longer sequence runs alone.
_MAX_PADDED = 16384


class EncoderRunner:
    """Answers the calls of one model's tasks, on one thread.

    Args:
        heads: By the class of a call's parameters.
        reader: Tokenizes.
        input_names: What the forward pass takes, out of ``INPUT_NAMES``.
        forward: The forward pass beside which others may run.
        wide: The forward pass that takes the whole device, for a batch that runs alone.
    """

    def __init__(
        self,
        heads: Mapping[type, EncoderHead],
        reader: TextReader,
        input_names: frozenset[str],
        forward: Forward,
        wide: Forward | None = None,
    ) -> None:
        self._heads = heads
        self._reader = reader
        self._input_names = input_names
        self._forward = forward
        self._wide = wide or forward

    def run(self, calls: Sequence[Call], *, alone: bool) -> Sequence[Outcome]:
        head = self._heads[type(calls[0].parameters)]
        try:
            read = head.read(calls, spread=alone)
        except InvalidInputError as error:  # what the calls have in common is at fault
            return [error] * len(calls)
        encodings = [encoding for found in read if not isinstance(found, Exception) for encoding in found]
        rows = iter(self._rows(head, encodings, calls[0].parameters, self._wide if alone else self._forward))
        outcomes: list[Outcome] = []
        for call, found in zip(calls, read, strict=True):
            if isinstance(found, Exception):
                outcomes.append(found)
                continue
            own = [next(rows) for _ in found]
            try:
                value = head.answer(call, found, own)
            except Exception as error:
                outcomes.append(error)
            else:
                outcomes.append(Output(value, sum(map(len, found))))
        return outcomes

    def _rows(
        self, head: EncoderHead, encodings: Sequence[Encoding], parameters: Any, forward: Forward
    ) -> Sequence[Any]:
        """What the head keeps of each sequence."""
        rows: list[Any] = [None] * len(encodings)
        for part in _parts(encodings, _MAX_PADDED):
            chosen = [encodings[index] for index in part]
            arrays = self._reader.arrays(chosen)
            outputs = forward({name: arrays[name] for name in self._input_names})
            batch = Batch(outputs, arrays["attention_mask"].astype(np.float32), chosen)
            for index, row in zip(part, head.rows(batch, parameters), strict=True):
                rows[index] = row
        return rows


def check_inputs(input_names: frozenset[str]) -> None:
    """Refuse a model that reads more than text.

    Raises:
        ModelLoadError: It does.
    """
    if not input_names <= INPUT_NAMES:
        raise ModelLoadError(f"it takes {', '.join(input_names - INPUT_NAMES)}, not served")


def _parts(encodings: Sequence[Encoding], max_padded: int) -> Iterator[list[int]]:
    """Cut a batch, by rising length, where it would hold more than ``max_padded`` tokens with padding.

    The batch was cut by estimated lengths; this holds the bound by the real ones.
    """
    part: list[int] = []
    for index in sorted(range(len(encodings)), key=lambda i: len(encodings[i])):
        if part and (len(part) + 1) * len(encodings[index]) > max_padded:
            yield part
            part = []
        part.append(index)
    if part:
        yield part
