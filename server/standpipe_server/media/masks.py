"""Pixels to what travels: masks as PNG or run lengths, depth as numbers or PNG of 16 bits.

Not aware of messages, models or tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# A mask's flat areas are small at any level; the higher ones only take longer.
_PNG_LEVEL = 1


def png_of(pixels: NDArray[Any]) -> bytes:
    """A grey PNG.

    Args:
        pixels: (height, width), of 8 or 16 bits.
    """
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=_PNG_LEVEL)
    return file.getvalue()


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """A grey PNG of a mask (height, width): 255 where it covers."""
    return png_of(mask.astype(np.uint8) * 255)


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """The lengths of a mask's runs as COCO counts them: by columns, first what it doesn't cover (maybe 0)."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate(([0], edges, [flat.size]))
    counts: list[int] = np.diff(ends).tolist()
    return [0, *counts] if flat[0] else counts


def depth_png16(depth: NDArray[np.float32], low: float, high: float) -> bytes:
    """A grey PNG of 16 bits: 0 for ``low``, 65,535 for ``high``."""
    span = high - low
    share = (depth - low) / span if span else np.zeros_like(depth)
    return png_of(np.rint(share * 65535).astype(np.uint16))


def covered(counts: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """The mask (height, width) whose run lengths these are."""
    runs = np.arange(len(counts)) % 2 == 1
    return np.repeat(runs, counts).reshape(width, height).T
