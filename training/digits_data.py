"""What the painter of digits learns from: scikit-learn's digits, how they are asked for, and a judge.

Not aware of any model that paints. The judge is a support vector machine that sees other digits than the
painter.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from sklearn.svm import SVC  # type: ignore[import-untyped]

from training.grammar import with_articles
from training.numerals import english

SIDE = 32
"""Pixels of a picture each way; the data has `COARSE`."""
COARSE = 8
MARGIN = 2
"""Pixels of white paper round a digit, which fills the data's pictures to their edges."""
FULL = 16
"""The highest number of the data, all ink; paper is 0."""
CONTRAST = 1.5
"""How much steeper strokes are made that enlarging has blurred; the judge hardly minds this much."""
JUDGED = 3
"""One digit in so many belongs to the judge."""

PHRASINGS = (
    "{figure}",
    "{word}",
    "a {word}",
    "the digit {figure}",
    "the digit {word}",
    "the number {figure}",
    "the number {word}",
    "a handwritten {figure}",
    "a handwritten {word}",
    "handwritten digit {figure}",
    "draw a {figure} by hand",
    "draw a {word}",
    "please write the number {word}",
    "a {word} written by hand",
    "a picture of a {word}",
    "an image of the handwritten digit {figure}",
)
"""How a digit is asked for in training."""

HELD_OUT_PHRASINGS = (
    "a photo of the figure {word}, pen on paper",
    "could you paint me a {word}?",
    "{word} in somebody's hasty scrawl",
    "house number {figure}",
)
"""How it is never asked for in training, with words that don't come there."""

TWO_NAMES = "just one big {figure}"
"""Held out too, and a trap: it names one besides."""


@dataclass(frozen=True, slots=True)
class Digits:
    """Digits as the data has them.

    Attributes:
        coarse: [digits, `COARSE`, `COARSE`], from 0 to `FULL`.
        names: Which digit each of them is.
    """

    coarse: NDArray[np.float32]
    names: NDArray[np.int64]


def digits() -> tuple[Digits, Digits]:
    """Those that the painter learns from, and those that the judge does."""
    data = load_digits()
    judged = np.arange(len(data.target)) % JUDGED == 0
    painters, judges = (
        Digits(data.images[which].astype(np.float32), data.target[which].astype(np.int64))
        for which in (~judged, judged)
    )
    return painters, judges


def pictures(coarse: NDArray[np.float32]) -> torch.Tensor:
    """Pictures [digits, 3, `SIDE`, `SIDE`] from -1 to 1, dark ink on white paper."""
    ink = torch.from_numpy(coarse)[:, None] / FULL
    large = torch.nn.functional.interpolate(ink, size=SIDE - 2 * MARGIN, mode="bicubic")
    steep = ((large - 0.5) * CONTRAST + 0.5).clamp(0, 1)
    return (1 - 2 * torch.nn.functional.pad(steep, (MARGIN,) * 4)).expand(-1, 3, -1, -1)


def coarse(painted: torch.Tensor) -> NDArray[np.float32]:
    """Pictures as the data has them: what `pictures` does, undone as far as it can be."""
    ink = (1 - painted.mean(1, keepdim=True)[..., MARGIN:-MARGIN, MARGIN:-MARGIN]) / 2
    small: NDArray[np.float32] = torch.nn.functional.adaptive_avg_pool2d(ink, COARSE)[:, 0].numpy() * FULL
    return small


def moved(whole: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """The pictures a little turned, sheared, stretched and shifted, each in its own way."""
    count = len(whole)
    turn, shear = (0.07 * torch.randn(2, count, generator=source)).clamp(-0.15, 0.15)
    wide, high = 1 + (0.04 * torch.randn(2, count, generator=source)).clamp(-0.08, 0.08)
    right, down = (0.03 * torch.randn(2, count, generator=source)).clamp(-0.06, 0.06)
    rows = (
        torch.stack((wide * turn.cos(), shear - turn.sin(), right), 1),
        torch.stack((turn.sin(), high * turn.cos(), down), 1),
    )
    grid = torch.nn.functional.affine_grid(torch.stack(rows, 1), list(whole.shape), align_corners=False)
    return torch.nn.functional.grid_sample(whole, grid, padding_mode="border", align_corners=False)


def prompt(phrasing: str, digit: int) -> str:
    """A phrasing that asks for this digit."""
    return with_articles(phrasing.format(figure=digit, word=english(digit)))


def words() -> set[str]:
    """Every word that training asks with."""
    asked = (prompt(phrasing, digit) for phrasing in PHRASINGS for digit in range(10))
    return {word for sentence in asked for word in sentence.split()}


def draw_prompt(digit: int, source: random.Random) -> str:
    """A prompt for training; every other one with words that mean nothing, to be passed over."""
    asked = prompt(source.choice(PHRASINGS), digit).split()
    for _ in range(source.choice((0, 0, 0, 1, 2, 3))):
        asked.insert(source.randrange(len(asked) + 1), nonsense(source))
    return " ".join(asked)


def nonsense(source: random.Random) -> str:
    """A made-up word, of letters alone, that is no name of a digit."""
    names = {english(digit) for digit in range(10)}
    while True:
        word = "".join(source.choices(string.ascii_lowercase, k=source.randint(2, 8)))
        if word not in names:
            return word


def judge(known: Digits) -> SVC:
    """A classifier of coarse digits; ask it with `name`."""
    return SVC(gamma=0.001, C=10).fit(known.coarse.reshape(len(known.names), -1), known.names)


def name(by: SVC, seen: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which digits the judge takes these for."""
    named: NDArray[np.int64] = by.predict(seen.reshape(len(seen), -1))
    return named
