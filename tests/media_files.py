"""Small pictures and films in every format that the server reads, and headers that claim too much."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from typing import Any

import av
import numpy as np
from PIL import Image


def picture(width: int = 24, height: int = 16, mode: str = "RGB") -> Image.Image:
    """Four areas of colour: red and green over blue and white."""
    image = Image.new("RGB", (width, height), "white")
    areas = {"red": (0, 0), "lime": (width // 2, 0), "blue": (0, height // 2)}
    for colour, place in areas.items():
        image.paste(colour, (*place, place[0] + width // 2, place[1] + height // 2))
    return image.convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def pictures() -> Mapping[str, bytes]:
    """A file of each format, and of the forms that a format has."""
    plain, second = picture(), picture().transpose(Image.Transpose.ROTATE_180)
    exif = Image.Exif()
    exif[0x0112] = 6
    several: dict[str, Any] = {"save_all": True, "append_images": [second]}
    palette = plain.quantize(8)
    return {
        "png": saved(plain, "PNG"),
        "png, interlaced": interlaced_png(),
        "png, palette": saved(palette, "PNG", transparency=0),
        "png, 16 bits": saved(grey16(), "PNG"),
        "png, two greys": saved(picture(mode="1"), "PNG"),
        "png, transparent": saved(picture(mode="RGBA"), "PNG"),
        "jpeg": saved(plain, "JPEG"),
        "jpeg, progressive": saved(plain, "JPEG", progressive=True),
        "jpeg, turned": saved(plain, "JPEG", exif=exif),
        "jpeg, cmyk": saved(picture(mode="CMYK"), "JPEG"),
        "jpeg, several": saved(plain, "MPO", **several),
        "webp": saved(plain, "WEBP", lossless=True),
        "webp, lossy": saved(plain, "WEBP", exif=exif),
        "webp, animated": saved(plain, "WEBP", lossless=True, **several),
        "gif": saved(palette, "GIF"),
        "gif, animated": saved(plain, "GIF", **several),
        "bmp": saved(plain, "BMP"),
        "bmp, run lengths": run_length_bmp(),
        "tiff": saved(plain, "TIFF"),
        "tiff, packed": saved(plain, "TIFF", compression="tiff_lzw"),
        "tiff, jpeg": saved(plain, "TIFF", compression="jpeg"),
    }


@cache
def films() -> Mapping[str, bytes]:
    """A film of each format, of twelve frames."""
    return {
        "mp4": film("mp4", "mpeg4"),
        "mp4, h264": film("mp4", "libx264"),
        "webm": film("webm", "libvpx"),
        "mkv": film("matroska", "mjpeg", pixels="yuvj420p"),
        "avi": film("avi", "mpeg4"),
        "gif": film("gif", "gif", pixels="rgb8"),
    }


def film(
    kind: str, codec: str, *, pixels: str = "yuv420p", size: tuple[int, int] = (64, 48), title: str = ""
) -> bytes:
    """A film that brightens: each frame's grey is twenty times its place."""
    file = BytesIO()
    width, height = size
    with av.open(file, "w", format=kind) as container:
        container.metadata["title"] = title
        stream: Any = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for place in range(12):
            grey = np.full((height, width, 3), 20 * place, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def sound() -> bytes:
    """A file of the same kind with nothing to see."""
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("aac", rate=16_000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16_000
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    return file.getvalue()


def grey16() -> Image.Image:
    """Sixteen bits a pixel: black and white over two greys."""
    greys = np.array([[0, 65_535], [32_768, 256]], np.uint16)
    return Image.fromarray(greys.repeat(8, 0).repeat(12, 1))


def png_of_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, by name and content."""
    parts = [
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_header(width: int, height: int, *, interlaced: bool = False) -> tuple[bytes, bytes]:
    """The first chunk of a PNG of eight bits a colour."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlaced)


def interlaced_png() -> bytes:
    """Pillow reads them, and writes none."""
    pixels = np.asarray(picture())
    # Where each of the seven passes begins, and its steps: down, and to the right.
    passes = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    rows = [row for y, x, down, right in passes for row in pixels[y::down, x::right]]
    data = zlib.compress(b"".join(b"\x00" + row.tobytes() for row in rows))
    header = png_header(pixels.shape[1], pixels.shape[0], interlaced=True)
    return png_of_chunks(header, (b"IDAT", data), (b"IEND", b""))


def run_length_bmp(width: int = 24, height: int = 16, runs: bytes = b"") -> bytes:
    """Pillow reads them, and writes none; half black and half red, unless runs are given."""
    data = runs or bytes((width // 2, 0, width // 2, 1, 0, 0)) * height
    colours = b"\x00\x00\x00\x00" + b"\x00\x00\xff\x00"
    place = 14 + 40 + len(colours)
    about = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 2, 0)
    return b"BM" + struct.pack("<IHHI", place + len(data), 0, 0, place) + about + colours + data


def tiff_of(width: int, height: int, tags: Mapping[int, int]) -> bytes:
    """A grey TIFF of eight bits whose directory has these tags too."""
    usual = {256: width, 257: height, 258: 8, 259: 5, 262: 1, 277: 1, **tags}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(usual.items()))
    return b"II*\x00" + struct.pack("<IH", 8, len(usual)) + entries + b"\x00" * 4


def claiming(side: int) -> Mapping[str, bytes]:
    """Files of a few bytes that claim to be pictures of so many pixels a side."""
    files = {kind: saved(picture(4, 4), kind) for kind in ("JPEG", "GIF", "BMP")}
    frame = files["JPEG"].index(b"\xff\xc0") + 5
    local = files["GIF"].index(b",") + 5
    screen = struct.pack("<HH", side, side)
    moving = pictures()["webp, animated"]
    canvas = moving.index(b"VP8X") + 12
    lossy = saved(picture(4, 4), "WEBP")
    start = lossy.index(b"\x9d\x01\x2a") + 3
    return {
        "PNG": png_of_chunks(png_header(side, side), (b"IDAT", zlib.compress(b"\x00" * 99)), (b"IEND", b"")),
        "JPEG": _with(files["JPEG"], frame, struct.pack(">HH", side, side)),
        "GIF": _with(files["GIF"], 6, screen),
        "GIF, its frame": _with(files["GIF"], local, screen),
        "BMP": _with(files["BMP"], 18, struct.pack("<ii", side, side)),
        "TIFF": tiff_of(side, side, {273: 8, 279: 100}),
        # It has fourteen bits for a side.
        "WebP": _with(lossy, start, struct.pack("<HH", *[min(side, 16_383)] * 2)),
        "WebP, its canvas": _with(moving, canvas, (min(side, 16_383) - 1).to_bytes(3, "little") * 2),
    }


def _with(content: bytes, place: int, instead: bytes) -> bytes:
    return content[:place] + instead + content[place + len(instead) :]
