"""Image files to pixels: formats, what stands beside the pixels, limits, and files that mean ill."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from media_files import (
    claiming,
    grey16,
    picture,
    pictures,
    png_header,
    png_of_chunks,
    run_length_bmp,
    saved,
    tiff_of,
)
from standpipe_server.errors import InvalidInputError, LimitExceededError
from standpipe_server.media import images
from standpipe_server.media.images import ImageFileLimits, check_size, encoded_image

FIELD = "images[3].content"
LIMITS = ImageFileLimits()
END = (b"IEND", b"")


def opened(content: bytes, limits: ImageFileLimits = LIMITS) -> Image.Image:
    return encoded_image(content, FIELD, limits).open()


def refusal(content: bytes, limits: ImageFileLimits = LIMITS) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        opened(content, limits)
    assert FIELD == caught.value.field
    return caught.value


def exceeded(content: bytes, limits: ImageFileLimits = LIMITS) -> tuple[str, str]:
    """The limit that a file exceeds, and its value."""
    error = refusal(content, limits)
    assert isinstance(error, LimitExceededError)
    assert f"{error.details['limit']} = {error.details['value']}" in str(error)
    return error.details["limit"], error.details["value"]


def corners(image: Image.Image) -> list[str]:
    """The colours near the corners of a picture, row by row, as the nearest of some."""
    paints = {
        "red": (255, 0, 0),
        "green": (0, 255, 0),
        "blue": (0, 0, 255),
        "white": (255,) * 3,
        "black": (0,) * 3,
    }
    assert "RGB" == image.mode

    def nearest(x: int, y: int) -> str:
        found = image.getpixel((x, y))
        assert isinstance(found, tuple)
        return min(paints, key=lambda name: sum(abs(a - b) for a, b in zip(paints[name], found, strict=True)))

    right, low = image.width - 3, image.height - 3
    return [nearest(2, 2), nearest(right, 2), nearest(2, low), nearest(right, low)]


AREAS = ["red", "green", "blue", "white"]
OTHER_AREAS = {
    "png, 16 bits": ["black", "white", "white", "black"],
    # A quarter, or less, of each dot is lit: what is dark is near to black.
    "bmp, run lengths": ["black", "red", "black", "red"],
    "jpeg, turned": ["blue", "red", "white", "green"],
    "webp, lossy": ["blue", "red", "white", "green"],
}


@pytest.mark.parametrize("name", [name for name in pictures() if name != "png, two greys"])
def test_every_format_becomes_the_colours_of_its_first_picture(name: str) -> None:
    assert OTHER_AREAS.get(name, AREAS) == corners(opened(pictures()[name]))


def test_dots_of_one_bit_become_black_or_white() -> None:
    image = opened(saved(Image.new("1", (4, 4), 1), "PNG"))
    assert ("RGB", [(16, (255, 255, 255))]) == (image.mode, image.getcolors())


def test_greys_of_sixteen_bits_keep_their_shares() -> None:
    image = opened(saved(grey16(), "PNG"))
    assert [(0,) * 3, (255,) * 3, (128,) * 3, (1,) * 3] == [
        image.getpixel(place) for place in ((0, 0), (23, 0), (0, 15), (23, 15))
    ]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_left_out_and_the_colours_stay(mode: str) -> None:
    colour = (77, 0) if mode == "LA" else (77, 77, 77, 0)
    assert [(9, (77, 77, 77))] == opened(saved(Image.new(mode, (3, 3), colour), "PNG")).getcolors()


@pytest.mark.parametrize("transparency", [1, b"\x00\x80"])
def test_a_palette_with_transparent_colours_keeps_the_colours(transparency: int | bytes) -> None:
    image = Image.new("P", (3, 3), 1)
    image.putpalette([0, 0, 0, 250, 120, 0])
    assert [(9, (250, 120, 0))] == opened(saved(image, "PNG", transparency=transparency)).getcolors()


# Where red, green, blue and white are to be seen, by what the tag says of the file's own order.
TURNS = {
    1: ["red", "green", "blue", "white"],
    2: ["green", "red", "white", "blue"],
    3: ["white", "blue", "green", "red"],
    4: ["blue", "white", "red", "green"],
    5: ["red", "blue", "green", "white"],
    6: ["blue", "red", "white", "green"],
    7: ["white", "green", "blue", "red"],
    8: ["green", "white", "red", "blue"],
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_a_picture_is_turned_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = opened(saved(picture(), kind, exif=exif))
    assert TURNS[orientation] == corners(image)
    assert ((16, 24) if orientation > 4 else (24, 16)) == image.size


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\x00\x00",
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff",
        b"Exif\x00\x00MM\x00*\xff\xff\xff\xff",
        b"nothing of the kind",
        # The orientation is a text, or none that there is.
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x02\x00\x02\x00\x00\x00six\x00\x00\x00\x00\x00",
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x63\x00\x00\x00\x00\x00\x00\x00",
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")  # as where files are read
def test_broken_exif_is_ignored(kind: str, exif: bytes) -> None:
    assert AREAS == corners(opened(saved(picture(), kind, exif=exif)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the image is empty: send a PNG, JPEG"),
        (b"<?xml version='1.0'?><SVG xmlns='http://www.w3.org/2000/svg'/>", "an SVG is a drawing"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "it begins like none of the formats"),
        (b"%PDF-1.7", "send a PNG, JPEG, WebP, GIF, BMP or TIFF file"),
        (b"II+\x00\x08\x00\x00\x00", "it begins like none of the formats"),
        (b"\xff\xd8\xff", "the JPEG can't be read: its header is broken"),
        (b"BMW is a maker of cars", "the BMP can't be read: Truncated File Read"),
        (b"GIF89a", "the GIF can't be read: its header is broken"),
        (b"\x89PNG\r\n\x1a\n" + saved(picture(), "JPEG"), "the PNG can't be read: its header is broken"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(content: bytes, words: str) -> None:
    assert words in str(refusal(content))


@pytest.mark.parametrize("name", ["png", "jpeg", "jpeg, progressive", "webp", "webp, lossy", "gif", "bmp"])
@pytest.mark.parametrize("share", [0.3, 0.4, 0.5, 0.6, 0.7])
def test_a_file_that_ends_early_is_refused(name: str, share: float) -> None:
    content = pictures()[name]
    assert "can't be read" in str(refusal(content[: int(len(content) * share)]))


def test_a_file_may_have_so_many_bytes_and_no_more() -> None:
    content = pictures()["png"]
    size = len(content)
    assert AREAS == corners(opened(content, ImageFileLimits(max_bytes=size)))
    assert ("max_media_bytes", str(size - 1)) == exceeded(content, ImageFileLimits(max_bytes=size - 1))


@pytest.mark.parametrize("name", pictures())
def test_a_picture_may_have_so_many_pixels_and_no_more(name: str) -> None:
    content = pictures()[name]
    assert 24 * 16 == len(opened(content, ImageFileLimits(max_pixels=24 * 16)).tobytes()) // 3
    assert ("max_pixels", str(24 * 16 - 1)) == exceeded(content, ImageFileLimits(max_pixels=24 * 16 - 1))


@pytest.mark.parametrize(
    ("width", "height", "limit"),
    [
        (1, 5, "min_side"),
        (5, 1, "min_side"),
        (0, 5, "min_side"),
        (401, 2, "max_ratio"),
        (2, 401, "max_ratio"),
    ],
)
def test_a_picture_that_shows_nothing_is_refused(width: int, height: int, limit: str) -> None:
    with pytest.raises(LimitExceededError, match=f"{width} × {height} pixels .* {limit} = ") as caught:
        check_size(width, height, 1000, FIELD)
    assert (FIELD, limit) == (caught.value.field, caught.value.details["limit"])


@pytest.mark.parametrize(("width", "height"), [(2, 2), (400, 2), (2, 400)])
def test_the_smallest_and_the_narrowest_pictures_are_read(width: int, height: int) -> None:
    assert (width, height) == opened(saved(Image.new("RGB", (width, height)), "PNG")).size


def jpeg_with(*, before: bytes = b"", after: bytes = b"") -> bytes:
    content = pictures()["jpeg"]
    return content[:2] + before + content[2:] + after


def scans(count: int) -> bytes:
    """A JPEG whose last scan comes so many times."""
    content = pictures()["jpeg, progressive"]
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * count + b"\xff\xd9"


def test_a_jpeg_of_too_many_scans_is_refused() -> None:
    assert AREAS == corners(opened(scans(8)))
    assert "the JPEG can't be read: it has more than 128 scans" in str(refusal(scans(200)))


def test_what_follows_the_picture_of_a_jpeg_may_look_like_scans() -> None:
    assert AREAS == corners(opened(jpeg_with(after=b"film" + b"\xff\xda" * 1000)))


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (b"\xff\xfe\x00\x02" * 70_000, "it has more than 65536 segments"),
        (b"\xff\xe1\x00\x09Exif\x00\x00x" * 100, "it has more than 64 pieces of EXIF"),
        # Markers that one reader skips with what follows, and another one doesn't.
        (b"\xff\xd9" + b"\xff\xe1\x00\x09Exif\x00\x00x" * 100, "it has more than 64 pieces of EXIF"),
        (b"\xff\xf0\xff\xff" + b"\xff\xe1\x00\x09Exif\x00\x00x" * 100, "it has more than 64 pieces of EXIF"),
    ],
)
def test_a_jpeg_of_too_many_segments_is_refused(before: bytes, words: str) -> None:
    assert f"the JPEG can't be read: {words}" == str(refusal(jpeg_with(before=before)))


def gif_with_blocks(count: int) -> bytes:
    content = pictures()["gif"]
    place = content.index(b",")
    return content[:place] + b"!\xfe" + b"\x01a" * count + b"\x00" + content[place:]


def png_with_chunks(count: int) -> bytes:
    return png_of_chunks(png_header(9, 9), *[(b"prIv", b"")] * count, END)


@pytest.mark.parametrize(
    "content", [gif_with_blocks(9_000), png_with_chunks(9_000), run_length_bmp(200, 200, b"\x01\x00" * 9_000)]
)
def test_a_file_of_too_many_pieces_is_refused(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_MAX_READS", 10_000)
    assert "can't be read: it is made of too many pieces" in str(refusal(content))


def test_a_tile_may_not_claim_more_than_a_picture() -> None:
    tile = {322: 40_000, 323: 40_000, 324: 8, 325: 100}
    assert ("max_pixels", str(LIMITS.max_pixels)) == exceeded(tiff_of(64, 64, tile))


def bombs() -> dict[str, bytes]:
    """Small files that claim, or unpack to, far more than may be."""
    zeros = zlib.compress(bytes(60_000_000))
    header = png_header(8, 8)
    text = [(b"zTXt", b"%d\x00\x00" % place + zlib.compress(bytes(900_000))) for place in range(90)]
    rows = {
        "strip": {273: 8, 278: 0xFFFFFFFF, 279: 0xFFFFFFF0},
        "tile": {322: 65_536, 323: 32_752, 324: 8, 325: 9},
    }
    tags = {1000 + place: 1 << 24 for place in range(2000)}
    return {
        **claiming(20_000),
        **{f"TIFF, {name}": tiff_of(64, 64, more) for name, more in rows.items()},
        "TIFF, tags": tiff_of(64, 64, tags) + bytes(1 << 20),
        "PNG, text": png_of_chunks(header, *text, END),
        "PNG, one text": png_of_chunks(header, (b"zTXt", b"k\x00\x00" + zeros), END),
        "PNG, profile": png_of_chunks(header, (b"iCCP", b"k\x00\x00" + zeros), END),
        "PNG, rest": png_of_chunks(header, (b"IDAT", zeros), END),
        "JPEG, segments": jpeg_with(before=b"\xff\xfe\x00\x02" * 100_000),
        "BMP, run lengths": run_length_bmp(20_000, 20_000, b"\x00\x02\x00\xff" * 9),
    }


PROBE = """
import json, resource, sys, warnings
from pathlib import Path
from standpipe_server.media.images import ImageFileLimits, encoded_image

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
files = {path.name: path.read_bytes() for path in Path(sys.argv[1]).iterdir()}
said, before = {}, peak()
for name, content in files.items():
    try:
        said[name] = str(encoded_image(content, "image", ImageFileLimits()).open().size)
    except Exception as error:
        said[name] = type(error).__name__
print(json.dumps([said, peak() - before]))
"""


def test_files_that_claim_or_unpack_to_too_much_take_little_memory(tmp_path: Path) -> None:
    for name, content in bombs().items():
        (tmp_path / name).write_bytes(content)
    run = subprocess.run([sys.executable, "-c", PROBE, tmp_path], capture_output=True, text=True, check=True)
    said, megabytes = json.loads(run.stdout)
    # What is packed behind the last of its rows isn't unpacked.
    assert {"PNG, rest": "(8, 8)"} == {
        name: word for name, word in said.items() if not word.endswith("Error")
    }
    assert set(claiming(20_000)) <= {name for name, word in said.items() if word == "LimitExceededError"}
    # Text of a PNG may have 64 MiB; before pixels are made, nothing else comes near to that.
    assert megabytes < 100
