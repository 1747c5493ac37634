"""The steps of a diffusion pipeline: who waits is told of each, and where nobody does none follows.

Not aware of what a pipeline makes.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import torch

from standpipe_server.errors import GoneError


def _heedless(number: int, latents: Any) -> None:
    """For whoever needn't be told."""


class Steps:
    """Stands between a pipeline's steps and whoever waits.

    Args:
        gone: Nobody waits any longer.
        told: Gets how many steps are done, and what there is by then, or None.

    Attributes:
        begun: A step is done.

    Raises:
        GoneError: Nobody waits even now.
    """

    def __init__(self, gone: Callable[[], bool], told: Callable[[int, Any], None] = _heedless) -> None:
        self._gone = gone
        self._told = told
        self.begun = False
        self._check()

    def arguments(self, takes: Container[str]) -> dict[str, Any]:
        """What has a pipeline call here that takes this; the library has had two ways."""
        if "callback_on_step_end" in takes:
            return {"callback_on_step_end": self._after}
        return {"callback": self._after_old, "callback_steps": 1} if "callback" in takes else {}

    def _after(self, pipeline: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        self._step(index + 1, tensors.get("latents"))
        return tensors

    def _after_old(self, index: int, timestep: Any, latents: Any) -> None:
        self._step(index + 1, None)

    def _step(self, number: int, latents: Any) -> None:
        self.begun = True
        self._check()
        self._told(number, latents)

    def _check(self) -> None:
        if self._gone():
            raise GoneError("nobody waits any longer")


def generator(seed: int | None) -> torch.Generator:
    """What noise is drawn with: on the processor whatever the device is, so that a seed is the same on all.

    Args:
        seed: None for another one each time.
    """
    drawing = torch.Generator("cpu")
    if seed is None:
        drawing.seed()
        return drawing
    return drawing.manual_seed(seed)
