"""Images, videos and sounds as callers have them: what is sent of each, and what is refused."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from standpipe import media
from standpipe.v1 import common_pb2, vision_pb2

# Wider than high, and every pixel another colour.
PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3
FILE = b"the bytes of a file"


def seen(message: common_pb2.Image) -> Image.Image:
    """A PNG that is sent, as the server sees it."""
    image = Image.open(BytesIO(message.content))
    assert "PNG" == image.format
    return image


def rgb(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGB"))


def turned(orientation: int) -> bytes:
    """A JPEG whose EXIF says how it is to be turned."""
    file = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(file, "JPEG", exif=exif)
    return file.getvalue()


SENT: dict[str, tuple[Any, dict[str, Any]]] = {
    "bytes": (FILE, {"content": FILE}),
    "bytearray": (bytearray(FILE), {"content": FILE}),
    "memoryview": (memoryview(FILE), {"content": FILE}),
    "https": ("https://example.org/a.png", {"uri": "https://example.org/a.png"}),
    "http": ("HTTP://example.org/a.png", {"uri": "HTTP://example.org/a.png"}),
}


@pytest.mark.parametrize("source", SENT)
def test_bytes_and_addresses_are_sent_as_they_are(source: str) -> None:
    given, sent = SENT[source]
    assert [common_pb2.Image(**sent)] == media.image_messages("images", [given])
    assert [vision_pb2.Video(**sent)] == media.video_messages("videos", [given])
    assert [common_pb2.Audio(**sent)] == media.audio_messages("audios", [given])


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_read(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(FILE)
    assert [common_pb2.Image(content=FILE)] == media.image_messages("images", [kind(path)])
    assert [vision_pb2.Video(content=FILE)] == media.video_messages("videos", [kind(path)])
    assert [common_pb2.Audio(content=FILE)] == media.audio_messages("audios", [kind(path)])


def test_a_message_is_sent_as_it_is() -> None:
    image, video, audio = common_pb2.Image(uri="a"), vision_pb2.Video(uri="a"), common_pb2.Audio(uri="a")
    assert image is media.image_message(image, "image")
    assert [video] == media.video_messages("videos", [video])
    assert [audio] == media.audio_messages("audios", (audio,))


@pytest.mark.parametrize("shape", [(4, 18), (4, 6, 3), (3, 6, 4)])
def test_an_array_is_sent_without_loss(shape: tuple[int, ...]) -> None:
    array = PIXELS.reshape(shape)
    (message,) = media.image_messages("images", [array])
    np.testing.assert_array_equal(array, np.asarray(seen(message)))


def test_an_array_may_be_a_view_of_another() -> None:
    view = PIXELS[::-1, 1::2, ::-1]
    np.testing.assert_array_equal(view, np.asarray(seen(media.image_message(view, "image"))))


def test_an_array_of_four_dimensions_is_a_list_of_images() -> None:
    batch = np.stack([PIXELS, 255 - PIXELS])
    assert media.image_messages("images", list(batch)) == media.image_messages("images", batch)
    assert 2 == len(media.image_messages("images", batch))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F"]
)
def test_an_image_of_pillow_is_sent_with_its_colours_whatever_its_mode(mode: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    np.testing.assert_array_equal(rgb(image), rgb(seen(media.image_message(image, "image"))))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_of_pillow_is_sent_as_its_file_would_be_seen(orientation: int) -> None:
    file = turned(orientation)
    with Image.open(BytesIO(file)) as image:
        sent = seen(media.image_message(image, "image"))
        # What the caller has stays as it is.
        assert orientation == image.getexif()[0x0112]
        assert (6, 4) == image.size
    np.testing.assert_array_equal(rgb(ImageOps.exif_transpose(Image.open(BytesIO(file)))), rgb(sent))
    assert not sent.getexif()


def test_a_colour_profile_is_not_sent() -> None:
    image = Image.fromarray(PIXELS)
    image.info["icc_profile"] = b"a profile"
    assert b"iCCP" not in media.image_message(image, "image").content


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((4, 6, 3), np.float32), "is an array of float32; send one of uint8, from 0 to 255"),
        (np.zeros((4, 6), bool), "is an array of bool; send one of uint8, from 0 to 255"),
        (np.zeros(6, np.uint8), r"is an array of shape \(6,\); send one of shape \(height, width\), "),
        (np.zeros((4, 6, 2), np.uint8), r"is an array of shape \(4, 6, 2\); send one of shape "),
        (np.zeros((3, 4, 6), np.uint8), r"is an array of shape \(3, 4, 6\); send one of shape "),
        (np.zeros((0, 6, 3), np.uint8), r"is an array of shape \(0, 6, 3\); send one of shape "),
        (np.zeros((1, 4, 6, 3), np.uint8), r"is an array of shape \(1, 4, 6, 3\); send one of shape "),
    ],
)
def test_an_array_that_is_no_image_is_named(array: NDArray[Any], problem: str) -> None:
    with pytest.raises(ValueError, match=rf"^images\[1\] {problem}"):
        media.image_messages("images", [b"a", array])


def test_an_image_of_pillow_that_can_not_be_read_is_named() -> None:
    file = BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)).save(file, "PNG")
    image = Image.open(BytesIO(file.getvalue()[:2000]))
    with pytest.raises(ValueError, match=r"^images\[0\] can't be written as a PNG: .*truncated"):
        media.image_messages("images", [image])


@pytest.mark.parametrize(
    "one",
    [
        "a.png",
        "https://example.org/a.png",
        Path("a.png"),
        FILE,
        bytearray(FILE),
        memoryview(FILE),
        Image.fromarray(PIXELS),
        PIXELS,
        PIXELS[..., 0],
        common_pb2.Image(content=FILE),
    ],
    ids=[
        "path",
        "address",
        "Path",
        "bytes",
        "bytearray",
        "memoryview",
        "Pillow",
        "colours",
        "grey",
        "message",
    ],
)
def test_one_image_where_several_are_meant_is_refused(one: Any) -> None:
    with pytest.raises(TypeError, match=r"^images is one .*; send a list: \[image\]"):
        media.image_messages("images", one)


@pytest.mark.parametrize("one", ["a.mp4", Path("a.mp4"), FILE, vision_pb2.Video(content=FILE)])
def test_one_video_where_several_are_meant_is_refused(one: Any) -> None:
    with pytest.raises(TypeError, match=r"^videos is one video; send a list: \[video\]$"):
        media.video_messages("videos", one)


@pytest.mark.parametrize("wrong", [None, 7, ["a.png"], vision_pb2.Video(content=FILE)])
def test_what_is_no_image_is_named_with_what_may_be(wrong: Any) -> None:
    kind = type(wrong).__name__
    with pytest.raises(TypeError, match=rf"^images\[1\] is of type '{kind}'; it may be: a path, .*an Image$"):
        media.image_messages("images", [FILE, wrong])


@pytest.mark.parametrize("wrong", [None, PIXELS, Image.fromarray(PIXELS), common_pb2.Image(content=FILE)])
def test_what_is_no_video_is_named_with_what_may_be(wrong: Any) -> None:
    kind = type(wrong).__name__
    with pytest.raises(TypeError, match=rf"^videos\[1\] is of type '{kind}'; it may be: a path, .*a Video$"):
        media.video_messages("videos", [FILE, wrong])


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent.png"
    with pytest.raises(FileNotFoundError, match=r"images\[2\]: No such file.*absent\.png") as raised:
        media.image_messages("images", [FILE, FILE, str(absent)])
    assert str(absent) == raised.value.filename
    with pytest.raises(IsADirectoryError, match=r"videos\[0\]: Is a directory"):
        media.video_messages("videos", [tmp_path])


def test_without_pillow_files_can_be_sent_and_the_rest_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = Image.fromarray(PIXELS)
    for name in ("PIL", "PIL.Image", "PIL.ImageOps"):
        monkeypatch.setitem(sys.modules, name, None)
    assert [common_pb2.Image(content=FILE)] == media.image_messages("images", [FILE])
    for given, kind in ((PIXELS, "an array"), (image, "an image of Pillow")):
        problem = rf"^images\[0\] is {kind}, which needs Pillow: pip install 'standpipe\[images\]'$"
        with pytest.raises(ImportError, match=problem):
            media.image_messages("images", [given])


TONE = np.sin(np.arange(400, dtype=np.float32))


@pytest.mark.parametrize(
    ("samples", "subtype"),
    [
        (TONE, "FLOAT"),
        (1.5 * TONE, "FLOAT"),
        (TONE.astype(np.float64), "FLOAT"),
        (np.arange(-200, 200, dtype=np.int16) * 160, "PCM_16"),
        (np.arange(-200, 200, dtype=">i2"), "PCM_16"),
        (TONE[::2], "FLOAT"),
        (TONE[:, None], "FLOAT"),
        (TONE.reshape(200, 2), "FLOAT"),
        (np.asfortranarray(TONE.reshape(100, 4)), "FLOAT"),
    ],
)
def test_samples_are_sent_as_wav_without_loss(samples: NDArray[Any], subtype: str) -> None:
    (message,) = media.audio_messages("audios", [(samples, 22_050)])
    with soundfile.SoundFile(BytesIO(message.content)) as file:
        assert ("WAV", subtype, 22_050) == (file.format, file.subtype, file.samplerate)
        heard = file.read(dtype="int16" if subtype == "PCM_16" else "float32", always_2d=True)
    expected = samples if samples.dtype.kind == "i" else samples.astype(np.float32)
    np.testing.assert_array_equal(expected.reshape(len(samples), -1), heard)


@pytest.mark.parametrize(
    ("audio", "kind", "problem"),
    [
        (TONE, TypeError, "is an array without its sample rate; send (samples, sample_rate)"),
        (
            (16_000, TONE),
            TypeError,
            "is a tuple of (int, ndarray); it may be: (samples, sample_rate), with an",
        ),
        ((TONE,), TypeError, "is a tuple of (ndarray); it may be: (samples, sample_rate), with an array"),
        (([0.0, 1.0], 8000), TypeError, "is a tuple of (list, int); it may be: (samples, sample_rate), with"),
        ((TONE, 16e3), TypeError, "has the sample rate 16000.0; send a whole number"),
        ((TONE, 0), ValueError, "has the sample rate 0; send how many samples there are a second"),
        ((TONE, 2**32), ValueError, "has the sample rate 4294967296; send how many samples there are a"),
        (
            (TONE.astype(bool), 8000),
            ValueError,
            "is an array of bool; send one of float32, from -1 to 1, or int",
        ),
        (
            (TONE.astype(np.int32), 8000),
            ValueError,
            "is an array of int32; send one of float32, from -1 to 1",
        ),
        ((TONE[:0], 8000), ValueError, "is an array of shape (0,); send one of shape (n,) or (n, channels)"),
        (
            (TONE[0:1][0:1].reshape(()), 8000),
            ValueError,
            "is an array of shape (); send one of shape (n,) or",
        ),
        (
            (TONE.reshape(2, 200), 8000),
            ValueError,
            "is an array of shape (2, 200); send one of shape (n,) or",
        ),
        (
            (TONE.reshape(100, 2, 2), 8000),
            ValueError,
            "is an array of shape (100, 2, 2); send one of shape (n,",
        ),
        (
            None,
            TypeError,
            "is of type 'NoneType'; it may be: a path, an http(s) address, the bytes of a file, (",
        ),
        (common_pb2.Image(), TypeError, "is of type 'Image'; it may be: a path, "),
    ],
)
def test_what_is_no_sound_is_named(audio: Any, kind: type[Exception], problem: str) -> None:
    with pytest.raises(kind) as raised:
        media.audio_messages("audios", [FILE, audio])
    assert str(raised.value).startswith(f"audios[1] {problem}")


@pytest.mark.parametrize(
    "one",
    ["a.wav", Path("a.wav"), FILE, TONE, (TONE, 16_000), common_pb2.Audio(content=FILE)],
    ids=["path", "Path", "bytes", "array", "samples", "message"],
)
def test_one_sound_where_several_are_meant_is_refused(one: Any) -> None:
    with pytest.raises(TypeError, match=r"^audios is one sound; send a list: \[audio\]"):
        media.audio_messages("audios", one)


def test_two_sounds_may_be_a_tuple() -> None:
    both = ((TONE, 16_000), (TONE, 16_000))
    assert media.audio_messages("audios", list(both)) == media.audio_messages("audios", both)
