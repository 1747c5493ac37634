"""Image files to upright pixels, within limits.

A file is looked at in two steps. Its first bytes are checked where the request is read, which costs nothing;
it is decoded where the model runs, on the worker's own thread and one at a time, so that neither the event
loop waits for it nor pixels pile up in a queue.

Not aware of messages, models or tasks.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin, UnidentifiedImageError

from standpipe_server.errors import InvalidInputError, LimitExceededError, check_limit

# Pillow's own bound is one for the whole process, and only warns. Ours is checked before any pixel is read.
Image.MAX_IMAGE_PIXELS = None
# A file that ends early is refused, whatever a library set before.
ImageFile.LOAD_TRUNCATED_IMAGES = False
# What it finds strange in a file is the caller's affair; kept apart by their words, warnings would pile up.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\b")

TOGETHER = 4
"""Times as many pixels as one image may have may be decoded at once."""

MIN_SIDE = 2
"""Pixels a side, at least: of a single one there is nothing to see, and some models divide by nought."""

MAX_RATIO = 200
"""Of a picture's sides, at most: where a processor enlarges the shorter one, the longer one goes with it."""

# Formats by what their files begin with: a mark, and where it stands.
_MARKS: tuple[tuple[str, int, bytes], ...] = (
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("WEBP", 8, b"WEBP"),
    ("GIF", 0, b"GIF8"),
    ("BMP", 0, b"BM"),
    ("TIFF", 0, b"II*\x00"),
    ("TIFF", 0, b"MM\x00*"),
)
_FORMATS = "PNG, JPEG, WebP, GIF, BMP or TIFF"

# Each scan of a progressive JPEG goes over all of its pixels again; encoders write about ten.
_MAX_SCANS = 128
_MAX_SEGMENTS = 65_536
# The markers of a JPEG but for those that stand alone; in a scan a 0 follows what only looks like one.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
# Pillow joins a JPEG's pieces of EXIF one by one, copying what it has; cameras write one for each picture.
_EXIF = b"Exif\0\0"
_MAX_EXIFS = 64
# What a file is made of (chunks, segments, blocks) Pillow reads and keeps piece by piece.
_MAX_READS = 1_000_000
_TILE_SIDES = (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH)


@dataclass(frozen=True, slots=True)
class ImageFileLimits:
    """What an image file may be.

    Attributes:
        max_bytes: Of the file.
        max_pixels: Of the picture.
    """

    max_bytes: int = 32 << 20
    max_pixels: int = 50_000_000


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image file whose beginning was checked.

    Attributes:
        content: The file.
        kind: Its format, as Pillow calls it.
        max_pixels: That it may have.
        field: Where the request has it.
    """

    content: bytes
    kind: str
    max_pixels: int
    field: str

    def pixels(self) -> int:
        """How many it has, as its header says; 0 where that can't be read.

        A few kilobytes may hold as many as may be: those of several files are counted before any is decoded.
        """
        try:
            with Image.open(BytesIO(self.content), formats=(self.kind,)) as image:
                return image.width * image.height
        # What is wrong with it is said when it is opened.
        except Exception:
            return 0

    def open(self) -> Image.Image:
        """Its pixels: RGB, upright, without transparency.

        Raises:
            InvalidInputError: It can't be read, naming the field.
            LimitExceededError: It has more pixels than it may.
        """
        try:
            if self.kind == "JPEG":
                _check_jpeg(self.content)
            with Image.open(_Pieces(self.content), formats=(self.kind,)) as image:
                check_size(*image.size, self.max_pixels, self.field)
                self._check_tiles(image)
                return _upright(image)
        except InvalidInputError:
            raise
        # Whatever a decoder stumbles over, the file is at fault.
        except Exception as error:
            raise InvalidInputError(f"the {self.kind} can't be read: {_why(error)}", self.field) from error

    def _check_tiles(self, image: Image.Image) -> None:
        """A tile is decoded as a whole, and may claim to be larger than the picture."""
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            sides = [image.tag_v2.get(tag, MIN_SIDE) for tag in _TILE_SIDES]
            check_size(sides[0], sides[1], self.max_pixels, self.field)


def check_size(width: int, height: int, max_pixels: int, field: str) -> None:
    """Refuse a picture that is too large, or too small or too narrow to show anything.

    Raises:
        LimitExceededError: It is, naming the field and the limit.
    """
    if width * height > max_pixels:
        raise LimitExceededError(
            f"{width} × {height} pixels exceed the limit max_pixels = {max_pixels}",
            field,
            limit="max_pixels",
            value=str(max_pixels),
        )
    if min(width, height) < MIN_SIDE:
        raise LimitExceededError(
            f"{width} × {height} pixels are fewer than the limit min_side = {MIN_SIDE} a side",
            field,
            limit="min_side",
            value=str(MIN_SIDE),
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise LimitExceededError(
            f"{width} × {height} pixels are narrower than the limit max_ratio = {MAX_RATIO} to 1",
            field,
            limit="max_ratio",
            value=str(MAX_RATIO),
        )


def encoded_image(content: bytes, field: str, limits: ImageFileLimits) -> EncodedImage:
    """An image file, once its size and its first bytes are checked; nothing is decoded.

    Raises:
        InvalidInputError: It is none of the formats that are read.
        LimitExceededError: It has more bytes than it may.
    """
    check_limit(len(content), field, "max_media_bytes", limits.max_bytes, "bytes")
    for kind, place, mark in _MARKS:
        if content.startswith(mark, place):
            return EncodedImage(content, kind, limits.max_pixels, field)
    if not content:
        raise InvalidInputError(f"the image is empty: send a {_FORMATS} file", field)
    drawing = b"<svg" in content[:1024].lower()
    what = "an SVG is a drawing without pixels" if drawing else "it begins like none of the formats read here"
    raise InvalidInputError(f"{what}: send a {_FORMATS} file", field)


class _Pieces(BytesIO):
    """A file that is read in so many pieces only."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left = _MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise ValueError("it is made of too many pieces")
        return super().read(size)


def _check_jpeg(content: bytes) -> None:
    """Refuse a JPEG that takes its reader for ever.

    Raises:
        ValueError: It would.
    """
    if content.count(_EXIF) > _MAX_EXIFS:
        raise ValueError(f"it has more than {_MAX_EXIFS} pieces of EXIF")
    scans = place = 0
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.search(content, place)
        # A file may go on after its picture: with others, with a film.
        if marker is None or (marker[0] == _END and scans):
            return
        scans += marker[0] == _SCAN
        if scans > _MAX_SCANS:
            raise ValueError(f"it has more than {_MAX_SCANS} scans")
        place = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
    raise ValueError(f"it has more than {_MAX_SEGMENTS} segments")


def check_together(images: Iterable[EncodedImage], max_pixels: int) -> None:
    """Refuse images that are decoded together and have more pixels than that.

    Raises:
        LimitExceededError: Naming the field of the one that is too much.
    """
    total = 0
    for image in images:
        total += image.pixels()
        if total > max_pixels:
            raise LimitExceededError(
                f"{total} pixels together exceed the limit max_pixels × {TOGETHER} = {max_pixels}",
                image.field,
                limit="max_pixels",
                value=str(max_pixels // TOGETHER),
            )


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    # What stands beside the pixels may be broken: then they are taken as they stand.
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16"):
        # Pillow would take all but the darkest 256 greys for white.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        # In one step Pillow warns; the colours are the same.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _why(error: Exception) -> str:
    """What a decoder said, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "its header is broken"
    return " ".join(str(error).split()) or type(error).__name__
