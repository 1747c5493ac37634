"""Pictures and videos for requests, as files in the contract's own JSON: shades and noise, always the same.

Not aware of tasks.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

File = dict[str, str]
ORIENTATION = 0x0112
"""The tag that says how a camera was held."""


def file_of(content: bytes) -> File:
    return {"content": base64.b64encode(content).decode()}


def shades(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    """Pixels (height, width, 3) of a picture that looks different everywhere."""
    random = np.random.default_rng(seed)
    down, right = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = [np.sin(6 * (a * down + b * right) + c) for a, b, c in random.uniform(-1, 1, (3, 3))]
    pixels = 128 + 90 * np.stack(waves, 2) + random.uniform(-37, 37, (height, width, 3))
    return pixels.astype(np.uint8)


def drawn(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(shades(width, height, seed))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> File:
    file = BytesIO()
    image.save(file, kind, **options)
    return file_of(file.getvalue())


def picture(width: int, height: int, seed: int = 0) -> File:
    """A PNG."""
    return encoded(drawn(width, height, seed))


def held(image: Image.Image, orientation: int) -> File:
    """A JPEG of a camera that was held so."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(image, "JPEG", exif=exif)


def deep(width: int, height: int) -> File:
    """A grey PNG of 16 bits."""
    return encoded(Image.fromarray(shades(width, height, 4)[..., 0].astype(np.uint16) * 257))


def clear(width: int, height: int) -> File:
    """A PNG through which a part can be seen."""
    image = drawn(width, height, 5)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return encoded(image)


def video(frames: Sequence[Image.Image], container: str, codec: str) -> File:
    file = BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=8)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        for image in frames:
            output.mux(stream.encode(av.VideoFrame.from_image(image)))
        output.mux(stream.encode())
    return file_of(file.getvalue())


def moving(frames: Sequence[Image.Image]) -> File:
    """An animated GIF."""
    return encoded(frames[0], "GIF", save_all=True, append_images=list(frames[1:]), duration=120)
