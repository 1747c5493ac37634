"""Sentences that praise or blame, made from patterns; and those held out, which were written by hand."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from training.common import HELD_OUT
from training.grammar import Grammar, read_sections, with_articles

LABELS = ("NEGATIVE", "POSITIVE")

_SIDES = ("bad", "good")
_KINDS = {"pattern": 50, "negation": 28, "contrast": 17, "question": 5}
"""Kinds of pattern, with how many of a hundred sentences are of each."""


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence, its label's index, and what is special about it."""

    text: str
    label: int
    kind: str


@cache
def sections() -> dict[str, list[str]]:
    """All word lists."""
    return read_sections("sentiment.txt", "sentiment_facts.txt")


def sample(count: int, source: random.Random) -> list[Example]:
    """Sentences for training, as many of one label as of the other."""
    words = sections()
    grammar = Grammar(words, _SIDES)
    domains = [name.removesuffix(" thing") for name in words if name.endswith(" thing")]
    kinds, weights = list(_KINDS), list(_KINDS.values())
    examples = []
    for at in range(count):
        kind = source.choices(kinds, weights)[0]
        pattern, domain = source.choice(words[kind]), source.choice(domains)
        text = with_articles(grammar.fill(pattern, source, side=at % 2, domain=domain))
        examples.append(Example(text, at % 2, kind))
    return examples


def held_out() -> list[Example]:
    """The sentences that were written by hand, which nothing is trained on."""
    lines = (HELD_OUT / "sentiment.tsv").read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return [Example(text, int(label), kind) for label, kind, text in rows]
