"""Texts of drawn lengths, from a seed. Not aware of requests, nor of models.

Lengths are in words: frequent English ones, nearly every one of which is one token of every tokenizer.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Protocol

MOST_WORDS = 100_000
"""In a text."""

MOST_SIGMA = 3.0
"""Past it lengths are all noise: one in a hundred is a thousand times the median."""

_HOW = (
    "write 17 (half to one and a half times as many words), fixed:17, uniform:8-25, loguniform:10-60 "
    f"or lognormal:17,0.5 (median, sigma up to {MOST_SIGMA:g}); 1 to {MOST_WORDS:,} words"
)


class Lengths(Protocol):
    """How long texts are: a distribution."""

    def draw(self, generator: random.Random) -> int:
        """Words of one text, at least 1."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """All texts are equally long.

    Attributes:
        words: In each.
    """

    words: int

    def draw(self, generator: random.Random) -> int:
        return self.words


@dataclass(frozen=True, slots=True)
class Uniform:
    """All lengths between two are equally frequent.

    Attributes:
        least: Words.
        most: Words, included.
    """

    least: int
    most: int

    def draw(self, generator: random.Random) -> int:
        return generator.randint(self.least, self.most)


@dataclass(frozen=True, slots=True)
class LogUniform:
    """Spread evenly by their ratios, as lengths of sentences are: as many from 10 to 20 as from 20 to 40.

    Attributes:
        least: Words.
        most: Words, included.
    """

    least: int
    most: int

    def draw(self, generator: random.Random) -> int:
        share: float = (self.most / self.least) ** generator.random()
        return round(self.least * share)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Many about the median, and a long tail of longer ones, as what people write has it.

    Attributes:
        median: Words.
        sigma: Standard deviation of the lengths' logarithm: of 0.5, two thirds are between 0.6 and 1.65 times
            the median.
    """

    median: int
    sigma: float

    def draw(self, generator: random.Random) -> int:
        length = generator.lognormvariate(math.log(self.median), self.sigma)
        return round(min(max(length, 1), MOST_WORDS))


def about(words: int) -> Uniform:
    """Between half and one and a half times as many words, evenly spread."""
    return Uniform(max(1, words // 2), words + words // 2)


_KINDS: Mapping[str, tuple[str, Callable[..., Lengths]]] = {
    "": (r"(\d+)", about),
    "fixed": (r"(\d+)", Fixed),
    "uniform": (r"(\d+)-(\d+)", Uniform),
    "loguniform": (r"(\d+)-(\d+)", LogUniform),
    "lognormal": (r"(\d+),(\d*\.?\d+)", LogNormal),
}


def lengths(text: str) -> Lengths:
    """A distribution from its text: "17", "fixed:17", "uniform:8-25", "loguniform:10-60", "lognormal:17,0.5".

    Raises:
        ValueError: It is none; the message shows what to write.
    """
    kind, _, figures = text.strip().rpartition(":")
    pattern, make = _KINDS.get(kind, ("(?!)", about))
    found = re.fullmatch(pattern, figures.replace(" ", ""), re.ASCII)
    if found is None:
        raise ValueError(f"{text!r} is no length of texts: {_HOW}")
    values = [float(value) if "." in value else int(value) for value in found.groups()]
    words = values[:1] if make is LogNormal else values
    if not 1 <= words[0] <= words[-1] <= MOST_WORDS or (make is LogNormal and values[1] > MOST_SIGMA):
        raise ValueError(f"{text!r} is no length of texts: {_HOW}")
    return make(*values)


@cache
def vocabulary() -> tuple[str, ...]:
    """The words that texts are made of."""
    return tuple(files(__package__).joinpath("words.txt").read_text(encoding="ascii").split())


def text_of(generator: random.Random, words: int) -> str:
    """A text of so many words."""
    return " ".join(generator.choices(vocabulary(), k=words))


def drawn(count: int, distribution: Lengths, seed: int) -> list[str]:
    """Texts whose lengths are drawn; the same seed gives the same ones everywhere."""
    generator = random.Random(seed)  # noqa: S311 - not for secrets
    counts = [distribution.draw(generator) for _ in range(count)]
    return [text_of(generator, words) for words in counts]


def texts(count: int, words: int, seed: int) -> list[str]:
    """Texts of about ``words`` words: between half and one and a half times as many, evenly spread."""
    return drawn(count, about(words), seed)
