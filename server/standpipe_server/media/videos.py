"""Video files to frames, within limits.

Needs the package av, which is imported where a video is read. Not aware of messages, models or tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import Any

import numpy as np

from standpipe_server.errors import InvalidInputError, LimitExceededError, check_limit
from standpipe_server.media.images import check_size

# What the contract names. Others are lists of files, which would be opened: the server's own among them.
_FORMATS = "mov,matroska,avi,gif"
# Pixels of the frames of one call, in pictures of the greatest size: all are held until the model reads them.
_PICTURES = 4
_MARGINS = 1 << 20


@dataclass(frozen=True, slots=True)
class VideoFileLimits:
    """What a video file may be.

    Attributes:
        max_bytes: Of the file.
        max_pixels: Of a frame.
        max_frames: That are read of it.
    """

    max_bytes: int = 32 << 20
    max_pixels: int = 50_000_000
    max_frames: int = 1024


@dataclass(frozen=True, slots=True)
class EncodedVideo:
    """A video file whose size was checked.

    Attributes:
        content: The file.
        limits: What it may be.
        field: Where the request has it.
    """

    content: bytes
    limits: VideoFileLimits
    field: str

    def frames(self, count: int, rate: int) -> list[Any]:
        """Frames from its beginning: RGB images.

        Args:
            count: How many.
            rate: Every so manieth of the video.

        Raises:
            InvalidInputError: It can't be read, or ends before.
            LimitExceededError: More of its frames would be read than may be, or they are too large.
        """
        last = count * rate
        if last > self.limits.max_frames:
            raise LimitExceededError(
                f"{count} frames, every {rate}th of the video, are read off {last} frames, which exceed the "
                f"limit max_frames = {self.limits.max_frames}",
                self.field,
                limit="max_frames",
                value=str(self.limits.max_frames),
            )
        # As the library spreads them.
        wanted = set(np.linspace(0, last - 1, count, dtype=np.int64).tolist())
        try:
            frames = islice(self._decoded(count), max(wanted) + 1)
            found = [frame.to_image() for place, frame in enumerate(frames) if place in wanted]
        except InvalidInputError:
            raise
        except Exception as error:  # whatever a decoder stumbles over, the file is at fault
            raise InvalidInputError(f"the video can't be read: {_why(error)}", self.field) from error
        if len(found) < len(wanted):
            raise InvalidInputError(f"the video ends before its frame {last}", self.field)
        return found

    def _decoded(self, count: int) -> Iterator[Any]:
        import av

        # Before a decoder takes memory; it counts its margins too, so that ours is the exact check.
        bound = {"max_pixels": str(_PICTURES * self.limits.max_pixels + _MARGINS)}
        options = {"format_whitelist": _FORMATS} | bound
        with av.open(BytesIO(self.content), options=options, metadata_errors="replace") as container:
            if not container.streams.video:
                raise InvalidInputError("the file has no video in it", self.field)
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise InvalidInputError("the video is encoded in a way that isn't known here", self.field)
            self._check_size(stream.width, stream.height, count)
            stream.codec_context.options = bound
            for frame in container.decode(stream):
                self._check_size(frame.width, frame.height, count)
                yield frame

    def _check_size(self, width: int, height: int, count: int) -> None:
        """Refuse frames that are too large, or too large together."""
        most = self.limits.max_pixels
        check_size(width, height, most, self.field)
        if count * width * height > _PICTURES * most:
            raise LimitExceededError(
                f"{count} frames of {width} × {height} pixels exceed {_PICTURES} times the limit "
                f"max_pixels = {most}",
                self.field,
                limit="max_pixels",
                value=str(most),
            )


def encoded_video(content: bytes, field: str, limits: VideoFileLimits) -> EncodedVideo:
    """A video file, once its size is checked; nothing is decoded.

    Raises:
        InvalidInputError: It is empty.
        LimitExceededError: It has more bytes than it may.
    """
    check_limit(len(content), field, "max_media_bytes", limits.max_bytes, "bytes")
    if not content:
        raise InvalidInputError("the video is empty: send a file", field)
    return EncodedVideo(content, limits, field)


def _why(error: Exception) -> str:
    """What a decoder said, in one line, without the name that it gave to bytes."""
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
