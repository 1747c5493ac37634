"""Texts of drawn lengths, with which the bench fills requests."""

from __future__ import annotations

import random
import statistics

import pytest

from standpipe_bench.requests import texts
from standpipe_bench.requests.texts import Fixed, Lengths, LogNormal, LogUniform, Uniform


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17", Uniform(8, 25)),
        ("1", Uniform(1, 1)),
        ("fixed:17", Fixed(17)),
        ("uniform:8-25", Uniform(8, 25)),
        (" uniform:8 - 25 ", Uniform(8, 25)),
        ("loguniform:10-60", LogUniform(10, 60)),
        ("lognormal:17,0.5", LogNormal(17, 0.5)),
        ("lognormal:17,1", LogNormal(17, 1)),
    ],
)
def test_lengths_are_read(text: str, expected: Lengths) -> None:
    assert expected == texts.lengths(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-3",
        "1.5",
        "many",
        "fixed:",
        "fixed:0",
        "uniform:25-8",
        "uniform:0-8",
        "uniform:8",
        "normal:17,2",
        "lognormal:17",
        "lognormal:0,1",
        "lognormal:17,-1",
        "lognormal:17,3.1",
        "1000000",
    ],
)
def test_what_is_no_length_is_told_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no length of texts: write 17 .* or lognormal:17,0\.5"):
        texts.lengths(text)


@pytest.mark.parametrize(
    ("text", "least", "most", "median"),
    [
        ("17", 8, 25, 17),
        ("fixed:17", 17, 17, 17),
        ("uniform:8-25", 8, 25, 17),
        ("loguniform:10-60", 10, 60, 24),
        ("lognormal:17,0.5", 1, 17 * 12, 17),
    ],
)
def test_lengths_are_spread_as_they_are_named(text: str, least: int, most: int, median: float) -> None:
    generator = random.Random(1)
    distribution = texts.lengths(text)
    drawn = [distribution.draw(generator) for _ in range(4000)]
    assert least <= min(drawn) <= max(drawn) <= most
    assert median == pytest.approx(statistics.median(drawn), abs=1)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_tail_ends(seed: int) -> None:
    generator = random.Random(seed)
    drawn = [LogNormal(90_000, 3).draw(generator) for _ in range(100)]
    assert texts.MOST_WORDS == max(drawn)
    assert 1 <= min(drawn)


def test_texts_hold_as_many_words_as_were_drawn_and_a_seed_repeats_them() -> None:
    drawn = texts.drawn(5, Fixed(9), seed=3)
    assert [9] * 5 == [len(text.split()) for text in drawn]
    assert drawn == texts.drawn(5, Fixed(9), seed=3)
    assert drawn != texts.drawn(5, Fixed(9), seed=4)


def test_the_vocabulary_is_plain_words() -> None:
    assert all(word.isalpha() and word.islower() for word in texts.vocabulary())
    assert len(set(texts.vocabulary())) == len(texts.vocabulary())
