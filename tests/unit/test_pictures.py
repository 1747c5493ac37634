"""Images to picture files: what is written shows what was drawn."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from media_files import picture
from standpipe_server.media import pictures
from standpipe_server.media.images import ImageFileLimits, encoded_image
from standpipe_server.media.pictures import PictureForm


def noisy() -> Image.Image:
    """A picture as models draw them: areas, and a little noise all over."""
    noise = np.random.default_rng(0).normal(0, 6, (48, 64, 3))
    return Image.fromarray(np.clip(np.asarray(picture(64, 48)) + noise, 0, 255).astype(np.uint8))


def greatest_difference(content: bytes, wanted: Image.Image) -> int:
    found = encoded_image(content, "image", ImageFileLimits()).open()
    assert wanted.size == found.size
    return int(np.abs(np.asarray(wanted, np.int16) - np.asarray(found, np.int16)).max())


@pytest.mark.parametrize(
    ("form", "kind", "most"), [("png", "PNG", 0), ("webp", "WEBP", 0), ("jpeg", "JPEG", 16)]
)
def test_what_is_written_is_read_back_in_its_format_and_colours(
    form: PictureForm, kind: str, most: int
) -> None:
    drawn = noisy()
    content = pictures.picture(drawn, form)
    with Image.open(BytesIO(content)) as image:
        assert kind == image.format
    assert greatest_difference(content, drawn) <= most


def test_a_jpeg_has_a_colour_for_each_pixel() -> None:
    with Image.open(BytesIO(pictures.picture(noisy(), "jpeg"))) as image:
        assert 0 == JpegImagePlugin.get_sampling(image)
