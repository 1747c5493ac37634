"""Whether an answer is the library's: texts, labels and offsets exactly, numbers within a tolerance."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from typing import Any

import av
import numpy as np
import soundfile
from PIL import Image

# What names an item of a ranking, where there is one.
_NAMES = ("label", "token", "index", "answer")


def rows(image: Image.Image) -> list[str]:
    """The pixels of a mask, a line each: where it covers, where it doesn't, and whatever else there is."""
    assert image.mode in ("1", "L"), image.mode
    signs = {0: ".", 255: "#"}
    pixels: list[list[int]] = np.asarray(image.convert("L")).tolist()
    return ["".join(signs.get(value, "?") for value in row) for row in pixels]


def steps(levels: Any) -> list[float]:
    """Levels of 16 bits as numbers that a tolerance takes neighbours of for the same, and no others.

    A value that stands near the middle of two levels may be rounded to either.
    """
    return [float(level) / (1 << 17) for level in np.asarray(levels).reshape(-1)]


def shares(values: Any) -> list[float]:
    """The numbers of one picture as shares of the largest, which all of them are as exact as."""
    found = np.asarray(values, np.float64).reshape(-1)
    share: list[float] = (found / max(1.0, float(np.abs(found).max()))).tolist()
    return share


def levels(content: bytes) -> dict[str, Any]:
    """A picture's levels of 8 bits as numbers that a tolerance takes for the same up to two apart."""
    image = Image.open(BytesIO(content))
    assert image.mode == "RGB", image.mode
    found = [float(value) / (1 << 18) for value in np.asarray(image).reshape(-1)]
    return {"form": image.format, "size": list(image.size), "levels": found}


def shots(content: bytes) -> dict[str, Any]:
    """A film's frames: the mean of each of their rows, as numbers likewise, up to ten apart.

    What codecs make of one level more or less in a pixel is more than that.
    """
    with av.open(BytesIO(content)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        form = film.format.name
    found = [float(row.mean()) / (1 << 20) for frame in frames for row in frame]
    return {"form": form, "frames": len(frames), "levels": found}


def level(samples: Any) -> float:
    """How loud samples of 16 bits are, as a number that a tolerance takes for the same within percents."""
    return float(np.sqrt(np.mean(np.square(np.asarray(samples, np.float64) / 32768)))) / 1000


def _png16(content: bytes) -> list[float]:
    image = Image.open(BytesIO(content))
    assert image.mode == "I;16", image.mode
    return steps(image)


def _floats(content: bytes) -> list[float]:
    values: list[float] = np.frombuffer(content, "<f4").tolist()
    return values


def _depths(content: bytes) -> list[float]:
    return shares(_floats(content))


def _sound(content: bytes) -> dict[str, Any]:
    """A file, or samples alone."""
    if content[:4] not in (b"RIFF", b"fLaC", b"OggS"):
        return {"form": "PCM16", "samples": steps(np.frombuffer(content, "<i2"))}
    with soundfile.SoundFile(BytesIO(content)) as file:
        levels, answer = file.read(dtype="int16"), {"form": file.format}
        if file.subtype == "VORBIS":
            return answer | {"count": len(levels), "level": level(levels)}
        assert file.subtype == "PCM_16", file.subtype
        return answer | {"samples": steps(levels)}


# By the fields that hold bytes.
_LEGIBLE: dict[str, Callable[[bytes], Any]] = {
    "png": lambda content: rows(Image.open(BytesIO(content))),
    "png16": _png16,
    "float32": _depths,
    "packed": _floats,
}


def legible(answer: Any) -> Any:
    """A response as plain values, with pixels and numbers in place of the bytes that hold them."""
    if isinstance(answer, list):
        return [legible(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    if "sample_rate" in answer:
        # That alone has bytes for content, others have words.
        return answer | {"content": _sound(base64.b64decode(answer["content"]))}
    if "seed" in answer:
        look = shots if "fps" in answer else levels
        return answer | {"content": look(base64.b64decode(answer["content"]))}
    return {
        name: _LEGIBLE[name](base64.b64decode(value)) if name in _LEGIBLE else legible(value)
        for name, value in answer.items()
    }


def differences(ours: Any, theirs: Any, tolerance: float, path: str = "") -> list[str]:
    """What is different, a line each.

    Args:
        ours: A response as plain values.
        theirs: The oracle's; what it doesn't have isn't looked at in ours only where it is empty or zero.
        tolerance: Of a number, relative above 1.
        path: Of what is compared.
    """
    if isinstance(theirs, dict):
        found = [] if isinstance(ours, dict) else [f"{path}: {ours!r} isn't {theirs!r}"]
        for name in sorted({*theirs, *ours}) if not found else ():
            empty = _empty(theirs.get(name, ours.get(name)))
            found += differences(ours.get(name, empty), theirs.get(name, empty), tolerance, f"{path}.{name}")
        return found
    if isinstance(theirs, list):
        return _lists(ours, theirs, tolerance, path)
    if isinstance(theirs, float):
        close = math.isclose(ours, theirs, abs_tol=tolerance, rel_tol=tolerance)
        return [] if close else [f"{path}: {ours!r} isn't {theirs!r} within {tolerance}"]
    return [] if ours == theirs else [f"{path}: {ours!r} isn't {theirs!r}"]


def _lists(ours: list[Any], theirs: list[Any], tolerance: float, path: str) -> list[str]:
    if len(ours) != len(theirs):
        return [f"{path}: {len(ours)} items, not {len(theirs)}: {ours!r} isn't {theirs!r}"]
    name = _ranking(theirs)
    if name is not None:
        ours = _as_ranked(ours, theirs, name, tolerance)
    return [
        line
        for index, pair in enumerate(zip(ours, theirs, strict=True))
        for line in differences(*pair, tolerance, f"{path}[{index}]")
    ]


def _ranking(items: list[Any]) -> str | None:
    """What names the items of a list that its scores order; None for any other list."""
    if not items or not isinstance(items[0], dict) or "score" not in items[0]:
        return None
    return next((name for name in _NAMES if name in items[0]), None)


def _as_ranked(ours: list[Any], theirs: list[Any], name: str, tolerance: float) -> list[Any]:
    """Ours in the order of theirs, where scores that the tolerance can't tell apart have changed places.

    An item that only theirs has, because ours fell just short of the last place, is taken as found when ours
    has another of the same score in its place.
    """
    by_name = {item[name]: item for item in ours}
    if len(by_name) != len(ours):
        return ours
    places = [by_name.get(item[name]) for item in theirs]
    spare = [item for item in ours if item[name] not in {their[name] for their in theirs}]
    last = theirs[-1]["score"]
    for index, found in enumerate(places):
        if found is None and spare and abs(spare[0]["score"] - theirs[index]["score"]) <= tolerance:
            near = abs(theirs[index]["score"] - last) <= tolerance
            places[index] = {**theirs[index], "score": spare.pop(0)["score"]} if near else None
    if None in places:
        return ours
    # Only what can't be told apart may stand elsewhere.
    scores = [item["score"] for item in ours]
    ordered = all(first >= second for first, second in pairwise(scores))
    return places if ordered else ours


def _empty(value: Any) -> Any:
    return type(value)() if value is not None else None
