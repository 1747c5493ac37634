"""Pictures and masks that calls of one batch bring, in the size that is drawn.

Not aware of what is drawn with them.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from standpipe_server.media.images import EncodedImage

Size = tuple[int, int]
"""Width and height."""


class Files:
    """The files of a batch: pictures of one prompt share one, which is opened once.

    Args:
        size_of: The size that a picture is brought to.
    """

    def __init__(self, size_of: Callable[[Image.Image | None], Size | None]) -> None:
        self._size_of = size_of
        self._images: dict[int, tuple[Size | None, Image.Image]] = {}
        self._masks: dict[tuple[int, Size | None], Image.Image] = {}

    def sized(self, file: EncodedImage | None) -> tuple[Size | None, Image.Image | None]:
        """A picture in the size to draw in, and that size; None for the pipeline's own.

        Raises:
            InvalidInputError: It can't be read, or not be drawn so.
        """
        if file is None:
            return self._size_of(None), None
        if id(file) not in self._images:
            image = file.open()
            size = self._size_of(image)
            self._images[id(file)] = size, _resized(image, size)
        return self._images[id(file)]

    def mask(self, file: EncodedImage | None, size: Size | None) -> Image.Image | None:
        """A mask in that size.

        Raises:
            InvalidInputError: It can't be read.
        """
        if file is None:
            return None
        if (id(file), size) not in self._masks:
            self._masks[id(file), size] = _resized(file.open().convert("L"), size)
        return self._masks[id(file), size]


def _resized(image: Image.Image, size: Size | None) -> Image.Image:
    return image if size is None or image.size == size else image.resize(size, Image.Resampling.LANCZOS)
