"""The short way through a model that reads images: an image processor, one forward pass, numpy.

Shared by the backends, which bring the forward pass only, and by the tasks, which bring a head each. An
image's pixels live from its file to what the processor makes of them, one image at a time on each thread: a
batch holds only what the model reads. Not aware of how the pass is computed, nor of what a head makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Outcome, Output
from standpipe_server.media_programs import ImageHead
from standpipe_server.programs import Floats

Pixels = Mapping[str, NDArray[Any]]
"""What the processor makes of one image, by the names of the model's inputs, without the batch's axis."""

ImageForward = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, Floats]]
"""Inputs (n, …) to the outputs that the model has, (n, …), which the next call may overwrite."""


class ImageReader:
    """A model's image processor and config, shared by its runners; see ``media_programs.ImageModel``.

    Args:
        folder: Of the model's files.
        config: Its transformers config.
    """

    def __init__(self, folder: Path, config: Any) -> None:
        self.config = config
        self._processor = image_processor(folder)

    def pixels(self, picture: Any) -> Pixels:
        """What the model reads of an image, or of the frames of a video.

        Raises:
            InvalidInputError: It has a shape that the processor refuses.
        """
        try:
            found = self._processor(picture, return_tensors="np")
        except ValueError as error:
            raise InvalidInputError(f"the model can't read a picture of that shape: {error}") from error
        return {name: np.asarray(value)[0] for name, value in found.items()}


def image_processor(folder: Path) -> Any:
    """A model's transformers image processor."""
    # By its own module: the package's name for it is closed where torchvision isn't there, which it can do
    # without.
    from transformers.models.auto.image_processing_auto import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(folder)


class ImageRunner:
    """Answers the calls of one model's tasks, on one thread.

    Args:
        heads: By the class of a call's parameters.
        reader: Makes of an image what the model reads.
        forward: The forward pass beside which others may run.
        wide: The forward pass that takes the whole device, for a batch that runs alone.
        helpers: Threads that read images where a batch has the device for itself.
    """

    def __init__(
        self,
        heads: Mapping[type, ImageHead],
        reader: ImageReader,
        forward: ImageForward,
        wide: ImageForward | None = None,
        helpers: ThreadPoolExecutor | None = None,
    ) -> None:
        self._heads = heads
        self._reader = reader
        self._forward = forward
        self._wide = wide or forward
        self._helpers = helpers

    def run(self, calls: Sequence[Call], *, alone: bool) -> Sequence[Outcome]:
        outcomes: dict[int, Outcome] = {}
        read: list[tuple[int, Pixels]] = []
        for index, found in enumerate(self._read(calls, spread=alone)):
            if isinstance(found, Exception):
                outcomes[index] = found
            else:
                read.append((index, found))
        forward = self._wide if alone else self._forward
        # Images of one shape share a pass. Padding would let them share it too, and change what they come to.
        for _, same in groupby(sorted(read, key=_shape), _shape):
            part = list(same)
            outputs = forward({name: np.stack([pixels[name] for _, pixels in part]) for name in part[0][1]})
            for row, (index, _) in enumerate(part):
                own = {name: values[row] for name, values in outputs.items()}
                outcomes[index] = self._answer(calls[index], own)
        return [outcomes[index] for index in range(len(calls))]

    def _read(self, calls: Sequence[Call], *, spread: bool) -> Sequence[Pixels | Exception]:
        if self._helpers is None or not spread or len(calls) == 1:
            return [self._pixels(call) for call in calls]
        return list(self._helpers.map(self._pixels, calls))

    def _pixels(self, call: Call) -> Pixels | Exception:
        try:
            return self._reader.pixels(self._heads[type(call.parameters)].picture(call))
        except Exception as error:
            return error

    def _answer(self, call: Call, outputs: Mapping[str, Floats]) -> Outcome:
        try:
            return Output(self._heads[type(call.parameters)].answer(call, outputs))
        except Exception as error:
            return error


def _shape(read: tuple[int, Pixels]) -> list[tuple[str, tuple[int, ...]]]:
    return sorted((name, values.shape) for name, values in read[1].items())
