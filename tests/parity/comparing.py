"""Whether an answer is the library's: texts, labels and offsets exactly, numbers within a tolerance."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

# What names an item of a ranking, where there is one.
_NAMES = ("label", "token", "index", "answer")


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
