"""Models that make sound of text, through the library's own pipeline.

Not aware of tasks: a head says what is read, and how it is to sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import transformers

from standpipe_server.backends.sampling import drawing
from standpipe_server.interfaces import Call, Outcome
from standpipe_server.media_programs import SoundHead, SoundWay
from standpipe_server.programs import Floats


class SoundModel:
    """A model with its pipeline; see ``media_programs.SoundModel``.

    Args:
        folder: Of its files.
        model: On its device.
        device: Where it is.
    """

    def __init__(self, folder: Path, model: Any, device: str) -> None:
        reads = {"tokenizer": str(folder)}
        if (folder / "processor_config.json").is_file() or (folder / "preprocessor_config.json").is_file():
            reads["processor"] = str(folder)
        self._pipeline = transformers.pipeline("text-to-audio", model=model, device=device, **reads)
        self._model = model
        self.folder = folder
        self.config = model.config
        self.way: SoundWay = "writing" if model.can_generate() else "at once"
        self.rate = int(self._pipeline.sampling_rate)

    def tokens(self, text: str) -> int:
        tokens: list[int] = self._pipeline.tokenizer(text)["input_ids"]
        return len(tokens)

    def sound(
        self,
        text: str,
        *,
        seed: int | None,
        options: Mapping[str, Any] = MappingProxyType({}),
        attributes: Mapping[str, Any] = MappingProxyType({}),
        gone: Callable[[], bool] | None = None,
    ) -> Floats:
        arguments = "generate_kwargs" if self.way == "writing" else "forward_params"
        with drawing(True, seed), torch.inference_mode(), self._set(attributes):
            found = self._pipeline(text, **{arguments: dict(options)})
        return np.atleast_1d(np.asarray(found["audio"], np.float32).squeeze())

    @contextmanager
    def _set(self, attributes: Mapping[str, Any]) -> Iterator[None]:
        """Attributes of the model that say how it sounds, for one call: this thread owns it."""
        before = {name: getattr(self._model, name) for name in attributes}
        vars(self._model).update(attributes)
        try:
            yield
        finally:
            vars(self._model).update(before)


class SoundRunner:
    """Answers calls one after the other, on one thread, which owns the model.

    Args:
        heads: By the class of a call's parameters.
    """

    def __init__(self, heads: Mapping[type, SoundHead]) -> None:
        self._heads = heads

    def run(self, calls: Sequence[Call], *, alone: bool) -> Sequence[Outcome]:
        return [self._answer(call) for call in calls]

    def _answer(self, call: Call) -> Outcome:
        try:
            return self._heads[type(call.parameters)].answer(call)
        except Exception as error:
            return error
