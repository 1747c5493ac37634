"""What the header of a WAV file says of its own length: libsndfile reads a part of a file as a whole one.

Not aware of samples, messages, models or tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from

# Writers into pipes can't know the length: they leave 0xFFFFFFFF, or nearly 2 GiB.
_OPEN = 0x7FFF0000


def missing_seconds(content: bytes) -> float:
    """How much of the file isn't there: 0 where all is, its length is left open, or it isn't a WAV file."""
    if not content.startswith(b"RIFF"):
        return 0.0
    bytes_a_second = 0
    for name, place, size in _chunks(content):
        if name == b"fmt " and place + 12 <= len(content):
            (bytes_a_second,) = unpack_from("<I", content, place + 8)
        if name == b"data" and bytes_a_second and size < _OPEN:
            return max(0, size - (len(content) - place)) / bytes_a_second
    return 0.0


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Names of chunks, where what they hold begins, and how long it is said to be."""
    place = 12
    while place + 8 <= len(content):
        (size,) = unpack_from("<I", content, place + 4)
        yield content[place : place + 4], place + 8, size
        place += 8 + size + size % 2
