"""A digit that is drawn, drawn anew as another one, and drawn anew in its lower half.

Not aware of terminals: how far the work is goes to whoever is told, and a picture becomes lines of blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from standpipe import Client
from standpipe.image_generation.options import GenerateImageOptions

if TYPE_CHECKING:
    from PIL.Image import Image

_DRAWN, _ANEW, _IN_PART = "a handwritten seven", "a handwritten nine", "a handwritten two"
# As the card of the demo model asks; of this seed each of the three is a good one.
_HOW: GenerateImageOptions = {"num_inference_steps": 20, "guidance_scale": 3.0, "seed": 7}
_STRENGTH = 0.8

_COLUMNS = 32
"""Columns of a picture in blocks; each is as wide as half a row is high."""

Told = Callable[[int, int], object]
"""Told how many steps are done, and how many it takes."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture that a server drew.

    Attributes:
        said: What it was asked for, for people.
        image: It.
        file: Where it was saved.
        seconds: That drawing it took.
    """

    said: str
    image: Image
    file: Path
    seconds: float


def draw(client: Client, folder: Path, begin: Callable[[str], Told]) -> list[Drawing]:
    """Have a digit drawn, that picture drawn anew as another digit, and its lower half as a third.

    Args:
        client: Of a server with a model that draws.
        folder: For the pictures.
        begin: Gets what is asked for, before it is; gives who is told how far it is.

    Raises:
        CallError: It failed, or no model for it is served.
    """

    def drawn(said: str, name: str, ask: Callable[[Told], list[Image]]) -> Drawing:
        told = begin(said)
        started = time.perf_counter()
        (image,) = ask(told)
        seconds = time.perf_counter() - started
        file = folder / f"standpipe-{name}.png"
        image.save(file)
        return Drawing(said, image, file, seconds)

    first = drawn(_DRAWN, "drawn", lambda told: client.generate_image(_DRAWN, on_progress=told, **_HOW))
    image, mask = first.image, lower_half(first.image)
    return [
        first,
        drawn(
            f"the same, made {_ANEW}",
            "drawn-anew",
            lambda told: client.transform_image(image, _ANEW, on_progress=told, strength=_STRENGTH, **_HOW),
        ),
        drawn(
            f"its lower half, made {_IN_PART}",
            "drawn-in-part",
            lambda told: client.inpaint_image(image, mask, _IN_PART, on_progress=told, **_HOW),
        ),
    ]


def lower_half(image: Image) -> Image:
    """A mask of the lower half of an image: white there."""
    mask = image.convert("L").point(lambda _: 0)
    mask.paste(255, (0, image.height // 2, image.width, image.height))
    return mask


def blocks(image: Image) -> str:
    """Where an image is dark, in blocks of half a row: small, but a digit can be read."""
    rows = max(round(_COLUMNS * image.height / image.width / 2), 1)
    dark = image.convert("L").resize((_COLUMNS, 2 * rows)).point(lambda grey: grey < 128).tobytes()
    halves = [dark[start : start + _COLUMNS] for start in range(0, len(dark), _COLUMNS)]
    pairs = zip(halves[::2], halves[1::2], strict=True)
    return "\n".join("".join(" ▀▄█"[up + 2 * low] for up, low in zip(*pair, strict=True)) for pair in pairs)
