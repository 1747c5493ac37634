"""Files that are broken in many ways, the same for the same seed. Not aware of what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

_NUMBERS = (
    b"\x00\x00\x00\x00",
    b"\x00\x00\x00\x01",
    b"\x01\x00\x00\x00",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
)
_ROUNDS = (1, 1, 2, 4, 16, 64)
# Formats say early what they are; there most can be broken.
_HEAD = 128

Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]


def mutations(files: Mapping[str, bytes], seed: int) -> Iterator[tuple[str, bytes]]:
    """Broken files without end, each with the name of the one that it was.

    Args:
        files: Good ones.
        seed: What is broken, and how.
    """
    random = Random(seed)
    names, others = sorted(files), list(files.values())
    while True:
        name = random.choice(names)
        content = files[name]
        for _ in range(random.choice(_ROUNDS)):
            content = random.choice(_MUTATIONS)(random, content, others)
        yield name, content


def _place(random: Random, content: bytes) -> int:
    return random.randrange(max(1, min(len(content), random.choice((_HEAD, len(content))))))


def _flip(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    place = _place(random, content)
    flipped = bytes(byte ^ 1 << random.randrange(8) for byte in content[place : place + 1])
    return content[:place] + flipped + content[place + 1 :]


def _overwrite(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    place, size = _place(random, content), random.choice((1, 2, 8))
    return content[:place] + random.randbytes(size) + content[place + size :]


def _number(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """What may be a length, a count or a side gets another value."""
    place, size = _place(random, content), random.choice((2, 4))
    return content[:place] + random.choice(_NUMBERS)[-size:] + content[place + size :]


def _cut(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _repeat(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    place, size = _place(random, content), random.choice((4, 16, 256))
    return content[:place] + content[place : place + size] * random.choice((2, 8)) + content[place + size :]


def _drop(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    place = _place(random, content)
    return content[:place] + content[place + random.choice((1, 4, 64)) :]


def _splice(random: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    other = random.choice(others)
    place, start = _place(random, content), _place(random, other)
    return content[:place] + other[start : start + random.choice((16, 256))] + content[place:]


# What leaves most of a file in its place stands more often.
_MUTATIONS: Sequence[Mutation] = (*(_flip, _overwrite, _number) * 3, _cut, _repeat, _drop, _splice)
