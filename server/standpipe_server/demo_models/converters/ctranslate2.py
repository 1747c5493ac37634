"""Reads the file that CTranslate2 keeps a model in: tensors by name, and nothing else.

Knows version 6 of the format: little-endian; texts with their length before them and a nought at their end;
of each tensor its name, shape, type and bytes; after them the names that stand for another tensor.

Not aware of what the tensors are for, of quantization (integers are given as they are), or of torch.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_VERSION = 6
_TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds.

    Attributes:
        kind: Of model, as CTranslate2 calls it: "WhisperSpec".
        tensors: By name, other names for a tensor included; for reading only: they are the file's bytes.
    """

    kind: str
    tensors: dict[str, NDArray[Any]]


class _Reader:
    """Takes a file's bytes from the front.

    Args:
        content: Of the file.
    """

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self._at = 0

    def take(self, size: int, what: str) -> memoryview:
        """The next bytes.

        Raises:
            ValueError: There are fewer.
        """
        taken = self._content[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError(f"the file ends at byte {len(self._content)}, in the middle of {what}")
        self._at += size
        return taken

    def number(self, layout: str, what: str) -> int:
        [number] = struct.unpack(f"<{layout}", self.take(struct.calcsize(layout), what))
        return int(number)

    def text(self, what: str) -> str:
        content = bytes(self.take(self.number("H", what), what))
        if not content.endswith(b"\0"):
            raise ValueError(f"{what} doesn't end where it should, before byte {self._at}")
        return content[:-1].decode()

    def end(self) -> None:
        """See that everything was taken.

        Raises:
            ValueError: Something is left.
        """
        left = len(self._content) - self._at
        if left:
            raise ValueError(f"{left} bytes are left after what the file should end with")


def read_ctranslate2(path: Path) -> Stored:
    """Read a ``model.bin``.

    Raises:
        ValueError: It is of another version, cut off, or its parts contradict each other.
    """
    reader = _Reader(path.read_bytes())
    version = reader.number("I", "the version")
    if version != _VERSION:
        raise ValueError(f"{path.name} isn't of CTranslate2's version {_VERSION}, but of {version}")
    kind = reader.text("the kind of model")
    reader.number("I", "the model's revision")
    tensors = dict(_tensor(reader) for _ in range(reader.number("I", "the number of tensors")))
    for _ in range(reader.number("I", "the number of other names")):
        other, name = reader.text("another name"), reader.text("the name that it stands for")
        if name not in tensors:
            raise ValueError(f"{other} stands for {name}, which isn't there")
        tensors[other] = tensors[name]
    reader.end()
    return Stored(kind, tensors)


def _tensor(reader: _Reader) -> tuple[str, NDArray[Any]]:
    name = reader.text("a tensor's name")
    shape = [reader.number("I", f"the shape of {name}") for _ in range(reader.number("B", f"{name}"))]
    number = reader.number("B", f"the type of {name}")
    if number not in _TYPES:
        raise ValueError(f"{name} is of CTranslate2's type {number}; known are {sorted(_TYPES)}")
    dtype = np.dtype(_TYPES[number])
    size = reader.number("I", f"the size of {name}")
    if size != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} has {size} bytes, which isn't what {shape} of {dtype} take")
    return name, np.frombuffer(reader.take(size, name), dtype).reshape(shape)
