"""MPEG audio, frame by frame, for what libsndfile doesn't do.

Where a file doesn't say how long it is, libsndfile guesses by the first frame and stops where it guessed: of
a file of varying rate that begins loud it would leave most out, without a word. Where a file is broken, its
decoder looks for the next frame, and prints so each time. Not aware of samples, messages, models or tasks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

_RATES = (44100, 48000, 32000)  # of MPEG 1; those of 2 are half, those of 2.5 a quarter
_HALVED = {0x18: 0, 0x10: 1, 0x00: 2}
# Of layer III, in thousands of bits a second; the first is one of the file's own choice, and rare.
_MPEG_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LAYER_III = 0x02

_TAGS = (b"Xing", b"Info")
_TAG_BIT_RATE = 0x90  # of the frame round a tag: there is room for it at any sample rate

_NOT_COUNTED = 2  # frames that a tag may not count, such as its own; with more, files were joined
_MOST_GAPS = 16
_LONGEST_GAP = 1024  # bytes, behind which the decoder gives up
_MOST_TRIED = 4096  # places that look like a frame, behind the last one


class BrokenMpegError(ValueError):
    """There are gaps in the audio."""


@dataclass(frozen=True, slots=True)
class _Frames:
    """What is alike in the frames of a file of layer III.

    Attributes:
        content: The file; it begins with a frame.
    """

    content: bytes

    @property
    def version(self) -> int:
        return self.content[1] & 0x18

    @property
    def tag_place(self) -> int:
        """Where a tag would stand in the first one: behind what would say how it is packed."""
        mono = self.content[3] & 0xC0 == 0xC0
        if self.version == 0x18:
            return 21 if mono else 36
        return 13 if mono else 21

    def size(self, place: int, code: int | None = None) -> int:
        """Bytes of the frame at a place, maybe with another code for its bit rate; 0 where there is none."""
        header = self.content[place : place + 4]
        if len(header) < 4 or header[0] != 0xFF or (header[1] ^ self.content[1]) & 0xFE:
            return 0
        code = header[2] if code is None else code
        bit_rate, rate = code >> 4, header[2] >> 2 & 3
        if bit_rate == 15 or rate == 3:
            return 0
        first = self.version == 0x18
        bits = (144_000 if first else 72_000) * (_MPEG_1 if first else _MPEG_2)[bit_rate]
        return bits // (_RATES[rate] >> _HALVED[self.version]) + (code >> 1 & 1) if bits else 0

    def count(self) -> int:
        """How many there are.

        Raises:
            BrokenMpegError: There are too many gaps between them, or too long ones.
        """
        place = frames = gaps = 0
        while True:
            while size := self.size(place):
                place += size
                frames += 1
            found = self._next(place)
            if found is None:
                return frames
            gaps += 1
            if gaps > _MOST_GAPS or found - place > _LONGEST_GAP:
                raise BrokenMpegError(f"it is broken behind frame {frames}")
            place = found

    def said(self) -> int:
        """How many the first one says that there are; 0 where it doesn't."""
        place = self.tag_place + (0 if self.content[1] & 1 else 2)  # maybe behind a checksum
        tag = self.content[place : place + 12]
        return int.from_bytes(tag[8:]) if tag.startswith(_TAGS) and tag[7:8] > b"\0" and tag[7] & 1 else 0

    def _next(self, place: int) -> int | None:
        """Where, behind a gap, there are two in a row."""
        mark = re.compile(b"\xff[%b]" % re.escape(bytes((self.content[1] & 0xFE, self.content[1] | 1))))
        for match in islice(mark.finditer(self.content, place), _MOST_TRIED):
            size = self.size(match.start())
            if size and self.size(match.start() + size):
                return match.start()
        return None


def begins_like_mpeg(content: bytes) -> bool:
    """Whether the header of a frame stands there: MPEG 1, 2 or 2.5, layer I, II or III."""
    if len(content) < 4:
        return False
    synchronized = content[0] == 0xFF and content[1] & 0xE0 == 0xE0
    version, layer, bit_rate, rate = (
        content[1] & 0x18,
        content[1] & 0x06,
        content[2] & 0xF0,
        content[2] & 0x0C,
    )
    return synchronized and version != 0x08 and layer != 0 and bit_rate != 0xF0 and rate != 0x0C


def with_its_length(content: bytes) -> bytes | None:
    """A file behind a tag that says how many frames it has, at least.

    Returns:
        None where it needs none: it has one that is true, or isn't of layer III, the one where rates vary.

    Raises:
        BrokenMpegError: There are gaps in it.
    """
    if not begins_like_mpeg(content) or content[1] & 0x06 != _LAYER_III or not content[2] & 0xF0:
        return None
    frames = _Frames(content)
    count = frames.count()
    said = frames.said()
    if said and count <= said + _NOT_COUNTED:
        return None
    code = _TAG_BIT_RATE | content[2] & 0x0C
    header = bytes((0xFF, content[1] | 1, code, content[3])).ljust(frames.tag_place, b"\0")
    tag = b"Xing" + (1).to_bytes(4) + count.to_bytes(4)
    return (header + tag).ljust(frames.size(0, code), b"\0") + content
