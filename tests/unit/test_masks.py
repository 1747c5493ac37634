"""Masks and depths as they travel, and back."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from standpipe.v1 import vision_pb2
from standpipe_server.media.masks import covered, depth_png16, mask_png, png_of, run_lengths
from standpipe_server.tasks.masks import from_counts, to_message

sides = st.tuples(st.integers(1, 9), st.integers(1, 9))
masks = sides.flatmap(lambda shape: arrays(np.bool_, shape))


def pixels(png: bytes) -> NDArray[Any]:
    return np.asarray(Image.open(BytesIO(png)))


@given(mask=masks)
def test_a_mask_comes_back_from_its_run_lengths(mask: NDArray[np.bool_]) -> None:
    counts = run_lengths(mask)
    assert mask.size == sum(counts)
    assert 0 not in counts[1:]
    np.testing.assert_array_equal(mask, covered(counts, *mask.shape))


@given(mask=masks)
def test_a_mask_comes_back_from_its_png(mask: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(np.where(mask, 255, 0), pixels(mask_png(mask)))


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        (["..", ".."], [4]),
        (["##", "##"], [0, 4]),
        # By columns: down the first, then down the second.
        (["#.", ".."], [0, 1, 3]),
        ([".#", ".."], [2, 1, 1]),
        (["..", "#."], [1, 1, 2]),
        (["..#", ".##"], [3, 3]),
    ],
)
def test_runs_are_counted_by_columns_from_what_is_not_covered(rows: list[str], counts: list[int]) -> None:
    mask = np.array([[dot == "#" for dot in row] for row in rows])
    assert counts == run_lengths(mask)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_png_has_the_pixels_of_its_numbers(kind: Any) -> None:
    numbers = np.array([[0, 1, 200], [7, 255, np.iinfo(kind).max]], kind)
    np.testing.assert_array_equal(numbers, pixels(png_of(numbers)))


@given(
    depth=sides.flatmap(lambda shape: arrays(np.float32, shape, elements=st.floats(-1e6, 1e6, width=32))),
)
def test_depth_goes_from_the_lowest_to_the_highest_of_sixteen_bits(depth: NDArray[np.float32]) -> None:
    low, high = float(depth.min()), float(depth.max())
    found = pixels(depth_png16(depth, low, high))
    assert depth.shape == found.shape
    assert np.uint16 == found.dtype
    expected = (
        np.zeros(depth.shape) if low == high else np.rint((depth.astype(float) - low) / (high - low) * 65_535)
    )
    np.testing.assert_allclose(expected, found, rtol=0, atol=1)
    assert (0, 65_535 if low < high else 0) == (found.min(), found.max())


def test_a_mask_travels_as_a_png_or_as_run_lengths() -> None:
    mask = np.array([[True, False, False], [True, True, False]])
    assert vision_pb2.Mask(width=3, height=2, png=mask_png(mask)) == to_message(mask, runs=False)
    runs = vision_pb2.Mask(width=3, height=2, run_lengths=vision_pb2.RunLengths(counts=[0, 2, 1, 1, 2]))
    assert runs == to_message(mask, runs=True)
    assert runs == from_counts([0, 2, 1, 1, 2], 2, 3)
