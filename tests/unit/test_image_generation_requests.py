"""ImageGenerationService's requests: pictures, masks and adapters as callers have them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from image_generation_answers import PIXELS
from numpy.typing import NDArray
from PIL import Image

from standpipe.image_generation import requests
from standpipe.v1 import common_pb2


def grey(message: common_pb2.Image) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(message.content)).convert("L"))


def test_a_mask_may_be_an_array_that_is_true_where_it_is_drawn_anew() -> None:
    mask = np.array([[False, True, False], [True, True, False]])
    request = requests.inpaint_image_request(PIXELS, mask, "a hose")
    np.testing.assert_array_equal(mask * 255, grey(request.mask_image))
    sent = np.asarray(Image.open(BytesIO(request.image.content)))
    np.testing.assert_array_equal(PIXELS, sent)


@pytest.mark.parametrize("mask", [PIXELS[..., 0], Image.fromarray(PIXELS[..., 0])], ids=["array", "Pillow"])
def test_a_mask_may_be_an_image(mask: Any) -> None:
    request = requests.inpaint_image_request(b"i", mask, "a hose")
    np.testing.assert_array_equal(PIXELS[..., 0], grey(request.mask_image))


@pytest.mark.parametrize(
    ("request_of", "given", "place"),
    [
        (requests.transform_image_request, (7, "a"), "image"),
        (requests.inpaint_image_request, (7, b"m", "a"), "image"),
        (requests.inpaint_image_request, (b"i", 7, "a"), "mask_image"),
        (requests.generate_video_request, ("a", 7), "image"),
    ],
)
def test_what_is_no_image_is_named(request_of: Any, given: tuple[Any, ...], place: str) -> None:
    with pytest.raises(TypeError, match=rf"^{place} is of type 'int'; it may be: "):
        request_of(*given)


def test_a_mask_of_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"^mask_image is an array of shape \(4,\); "):
        requests.inpaint_image_request(b"i", np.ones(4, bool), "a hose")


@pytest.mark.parametrize(
    ("given", "adapters"),
    [
        ({"ink": 0.5, "wet": 0.0}, [("ink", 0.5), ("wet", 0.0)]),
        (["ink", "wet"], [("ink", None), ("wet", None)]),
        # The server says what it thinks of that.
        (["ink", "ink"], [("ink", None), ("ink", None)]),
        ([], []),
        (None, []),
    ],
)
def test_adapters_come_with_weights_or_without(given: Any, adapters: list[Any]) -> None:
    sent = requests.generate_image_request("a hose", loras=given).parameters.loras
    assert adapters == [(one.name, one.weight if one.HasField("weight") else None) for one in sent]


def test_one_adapter_where_several_are_meant_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^loras is one string; send a list"):
        requests.generate_image_request("a hose", loras="ink")


@pytest.mark.parametrize(
    ("request_of", "given", "words"),
    [
        (requests.generate_image_request, ("a",), "png, jpeg, webp"),
        (requests.transform_image_request, (b"i", "a"), "png, jpeg, webp"),
        (requests.generate_video_request, ("a",), "mp4, webm, gif"),
    ],
)
def test_an_unknown_format_is_refused_with_those_there_are(request_of: Any, given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"format is 'tiff'; it may be: {words}$"):
        request_of(*given, format="tiff")


def test_a_film_of_a_text_alone_has_no_picture() -> None:
    assert not requests.generate_video_request("a hose").HasField("image")
