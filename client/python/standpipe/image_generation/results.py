"""What the methods of ImageGenerationService return, where it isn't an image of Pillow."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from standpipe.image_generation.options import VideoFormatName


@dataclass(frozen=True, slots=True)
class Video:
    """A film that was made.

    Attributes:
        content: The file.
        width: In pixels.
        height: In pixels.
        num_frames: How many it has.
        fps: Frames a second.
        seed: Makes it again.
        format: Of which kind the file is.
    """

    content: bytes = field(repr=False)
    width: int
    height: int
    num_frames: int
    fps: float
    seed: int
    format: VideoFormatName

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a file.

        Raises:
            OSError: It can't be written.
        """
        Path(path).write_bytes(self.content)
