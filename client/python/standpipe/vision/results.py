"""What the methods of VisionService return, where it isn't an array, a text or a label.

Places are in pixels of the upright image, x to the right and y down from its top left corner. What holds an
array is equal to nothing but itself: arrays are compared by ``numpy.array_equal``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; it may reach over the image's edges.

    Attributes:
        xmin: Left edge.
        ymin: Upper edge.
        xmax: Right edge.
        ymax: Lower edge.
    """

    xmin: int
    ymin: int
    xmax: int
    ymax: int


@dataclass(frozen=True, slots=True)
class DetectedObject:
    """An object in an image.

    Attributes:
        label: As the model, or the call, names it.
        score: Between 0 and 1.
        box: Where it is.
    """

    label: str
    score: float
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A segment of an image.

    Attributes:
        label: What it is.
        score: Between 0 and 1; None for semantic segments, which have none.
        mask: The pixels that it covers, (height, width) of the image.
    """

    label: str
    score: float | None
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedMask:
    """The pixels of something.

    Attributes:
        score: How good the model thinks the mask is: its estimate of intersection over union.
        mask: The pixels that it covers, (height, width) of the image.
    """

    score: float
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ImageAnswer:
    """An answer to a question about an image.

    Attributes:
        answer: The words.
        score: Between 0 and 1; None where the model writes.
    """

    answer: str
    score: float | None


@dataclass(frozen=True, slots=True)
class DocumentAnswer:
    """An answer to a question about a document.

    Attributes:
        answer: The words.
        score: Between 0 and 1; None where the model writes.
        start: Its first word among the document's, from 0; None where the model writes.
        end: Its last word, inclusive; None where the model writes.
    """

    answer: str
    score: float | None
    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Keypoint:
    """A point of an image.

    Attributes:
        x: To the right.
        y: Down.
    """

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class KeypointMatch:
    """A point that two images share.

    Attributes:
        first: Where the first image has it.
        second: Where the second image has it.
        score: Between 0 and 1.
    """

    first: Keypoint
    second: Keypoint
    score: float
