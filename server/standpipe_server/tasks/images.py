"""What the tasks that read images share: from messages to files whose beginning was checked."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

from PIL import Image

from standpipe.v1 import common_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call
from standpipe_server.media.images import EncodedImage, encoded_image
from standpipe_server.media.videos import EncodedVideo, VideoFileLimits
from standpipe_server.tasks.base import InputLimits, check_count


def image_of(image: common_pb2.Image, field: str, limits: InputLimits) -> EncodedImage:
    """The file that a message holds; addresses were fetched before.

    Raises:
        InvalidInputError: There is none, or it can't be an image, naming the field.
    """
    return encoded_image(image.content, f"{field}.content", limits.image_file)


def image_calls(images: Sequence[common_pb2.Image], parameters: Hashable, limits: InputLimits) -> list[Call]:
    """A call for each image of the field ``images``.

    Raises:
        InvalidInputError: There are none, too many, or one that can't be an image.
    """
    check_count(images, "images", limits)
    fields = [f"images[{index}]" for index in range(len(images))]
    return [
        Call(image_of(image, field, limits), parameters, field)
        for image, field in zip(images, fields, strict=True)
    ]


class PictureHead:
    """A call's input is an image file."""

    def picture(self, call: Call) -> Image.Image:
        picture: Image.Image = call.input.open()
        return picture


def image_cost(call: Call) -> int:
    """One: processors bring every image to about the same size."""
    return 1


def check_share(value: float, field: str) -> float:
    """Refuse a number that isn't from 0 to 1.

    Raises:
        InvalidInputError: It isn't.
    """
    if not 0 <= value <= 1:
        raise InvalidInputError(f"{field} is {value:g}: send a number from 0 to 1", field)
    return value


@contextmanager
def readable(image: Image.Image) -> Iterator[None]:
    """Take what the library says of a picture's shape for the caller's fault.

    Raises:
        InvalidInputError: The model can't read a picture of that shape.
    """
    try:
        yield
    except ValueError as error:
        size = f"{image.width} × {image.height}"
        raise InvalidInputError(f"the model can't read {size} pixels: {error}") from error


def sample_image(width: int = 64, height: int = 48) -> EncodedImage:
    """A small picture for a fresh model: a gradient."""
    file = BytesIO()
    gradient = Image.linear_gradient("L").resize((width, height))
    Image.merge("RGB", (gradient, gradient.transpose(Image.Transpose.ROTATE_180), gradient)).save(file, "PNG")
    return EncodedImage(file.getvalue(), "PNG", width * height, "images[0]")


def sample_video(frames: int = 64) -> EncodedVideo:
    """A small one for a fresh model: more frames than models look at."""
    file = BytesIO()
    pictures = [Image.new("L", (16, 16), 4 * place % 256) for place in range(frames)]
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:])
    return EncodedVideo(file.getvalue(), VideoFileLimits(), "videos[0]")


def image_warm_up(parameters: Hashable) -> list[list[Call]]:
    """Batches for a fresh model: a lone image, and several."""
    calls = [Call(sample_image(), parameters, "images[0]")] * 4
    return [calls[:1], calls, calls[:1]]
