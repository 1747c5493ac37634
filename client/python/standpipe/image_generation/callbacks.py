"""Who is told how far a picture is, and how often it is shown. Not aware of any call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from standpipe.image_generation.options import GenerateImageOptions

if TYPE_CHECKING:
    from PIL.Image import Image

OnProgress: TypeAlias = Callable[[int, int], object]
"""Called with steps that are done, and those that it takes."""

OnPreview: TypeAlias = Callable[[int, int, "Image"], object]
"""Called with which of the pictures it is, steps that are done, and what it looks like."""

PREVIEW_STEPS = 5
"""Steps from one preview to the next where the caller doesn't say how many."""

OptionsT = TypeVar("OptionsT", bound=GenerateImageOptions)


def previewed(options: OptionsT, on_preview: OnPreview | None) -> OptionsT:
    """The options of a call, with previews asked for where somebody wants to see them.

    Raises:
        ValueError: They are asked for, and nobody does.
    """
    steps = options.get("preview_steps")
    if on_preview is None and steps:
        raise ValueError(f"preview_steps is {steps}, but nothing takes the previews: give on_preview too")
    if on_preview is not None and steps is None:
        options["preview_steps"] = PREVIEW_STEPS
    return options
