"""Images to picture files.

Not aware of messages, models or tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, Literal

from PIL import Image

PictureForm = Literal["png", "jpeg", "webp"]

LONGEST_SIDES: Mapping[str, int] = {"jpeg": 65_500, "webp": 16_383}
"""In pixels, of the forms that have a bound."""

_OPTIONS: Mapping[PictureForm, Mapping[str, Any]] = {
    # Of a picture with a little noise all over, the next levels saved nothing more.
    "png": {"compress_level": 4},
    # A colour for each pixel: halved, as JPEGs mostly have them, thin red lines fade.
    "jpeg": {"quality": 95, "subsampling": "4:4:4"},
    "webp": {"lossless": True},
}


def picture(image: Image.Image, form: PictureForm) -> bytes:
    """A picture file.

    Args:
        image: RGB.
        form: What is written: PNG and lossless WebP have its very pixels, JPEG nearly.
    """
    file = BytesIO()
    image.save(file, form.upper(), **_OPTIONS[form])
    return file.getvalue()
