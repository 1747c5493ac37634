"""Diffusion pipelines that make sound of text.

Not aware of tasks, whose heads say what is read and what a sound is made after, nor of who computes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, MethodType
from typing import Any

import numpy as np
from transformers import GenerationMixin

from standpipe_server.backends.steps import Steps, generator
from standpipe_server.errors import InvalidInputError, ModelLoadError
from standpipe_server.media_programs import SoundWay
from standpipe_server.programs import Floats

_DURATION = "duration"
# What pipelines call the length of a sound, in seconds.
_DURATIONS = ("audio_length_in_s", "audio_end_in_s", "audio_duration_s")
_GROWING = "_update_model_kwargs_for_generation"


class DiffusionSoundModel:
    """A pipeline that makes sound out of noise; see ``media_programs.SoundModel``.

    Args:
        folder: Of its files.
        pipeline: Of diffusers, on its device.

    Raises:
        ModelLoadError: It makes no sounds.
    """

    def __init__(self, folder: Path, pipeline: Any) -> None:
        pipeline.set_progress_bar_config(disable=True)
        _mend(pipeline)
        self._pipeline = pipeline
        self._takes = frozenset(inspect.signature(type(pipeline).__call__).parameters)
        self._name = type(pipeline).__name__
        self._duration = next((name for name in _DURATIONS if name in self._takes), "")
        if not self._duration:
            raise ModelLoadError(f"a {self._name} makes no sounds")
        self.folder = folder
        self.config = pipeline.config
        self.way: SoundWay = "diffusion"
        self.rate = _rate(pipeline)

    def tokens(self, text: str) -> int:
        # What is too long is cut.
        tokens: list[int] = self._pipeline.tokenizer(text, truncation=True)["input_ids"]
        return len(tokens)

    def sound(
        self,
        text: str,
        *,
        seed: int | None,
        options: Mapping[str, Any] = MappingProxyType({}),
        attributes: Mapping[str, Any] = MappingProxyType({}),
        gone: Callable[[], bool] = lambda: False,
    ) -> Floats:
        names = self._names(options)
        steps = Steps(gone)
        arguments = {names[field]: value for field, value in options.items()} | steps.arguments(self._takes)
        try:
            found = self._pipeline(text, generator=generator(seed), output_type="np", **arguments)
        except ValueError as error:
            # Before its first step a pipeline looks at what it was given, and says what it means.
            meant = [field for field, name in names.items() if name in str(error)]
            if steps.begun or not meant:
                raise
            raise InvalidInputError(f"{self._name} refuses it: {error}", meant[0]) from error
        return np.asarray(found.audios[0], np.float32)

    def _names(self, fields: Iterable[str]) -> dict[str, str]:
        """What the pipeline calls the request's fields."""
        names = {field: self._duration if field == _DURATION else field for field in fields}
        for field, name in names.items():
            if name not in self._takes:
                raise InvalidInputError(f"{self._name} takes no {field}", field)
        return names


def _rate(pipeline: Any) -> int:
    """Samples a second: the last part to touch them knows."""
    parts = (getattr(pipeline, name, None) for name in ("vocoder", "vae"))
    rates = (getattr(part.config, "sampling_rate", None) for part in parts if part is not None)
    return int(next(filter(None, rates), None) or pipeline.sample_rate)


def _mend(pipeline: Any) -> None:
    """Let the library run the files of AudioLDM2 that are published.

    They name a class for the part that writes on from a description which since transformers 4.50 can't be
    asked to any longer.
    """
    writer = getattr(pipeline, "language_model", None)
    if writer is not None and not hasattr(writer, _GROWING):
        setattr(writer, _GROWING, MethodType(getattr(GenerationMixin, _GROWING), writer))
