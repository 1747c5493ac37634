"""What the tasks that outline share: masks as they travel, made where the model runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from standpipe.v1 import vision_pb2
from standpipe_server.media.masks import mask_png, run_lengths

RUN_LENGTHS: dict[int, bool] = {
    vision_pb2.MASK_FORMAT_UNSPECIFIED: False,
    vision_pb2.MASK_FORMAT_PNG: False,
    vision_pb2.MASK_FORMAT_RUN_LENGTHS: True,
}
"""Whether a mask travels as run lengths; else it is a PNG."""


def to_message(mask: NDArray[np.bool_], *, runs: bool) -> vision_pb2.Mask:
    """A mask (height, width) as the contract has it; compressing takes long: not for the event loop."""
    if runs:
        return from_counts(run_lengths(mask), *mask.shape)
    return vision_pb2.Mask(width=mask.shape[1], height=mask.shape[0], png=mask_png(mask))


def from_counts(counts: Sequence[int], height: int, width: int) -> vision_pb2.Mask:
    """A mask whose run lengths are known."""
    return vision_pb2.Mask(width=width, height=height, run_lengths=vision_pb2.RunLengths(counts=counts))
