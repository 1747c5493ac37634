"""Sentences with people, places and organisations, made from patterns; and those held out, written by hand.

Both come in one notation: "[PER Ada Lovelace] wrote from [LOC Turin]."
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache

from training.common import HELD_OUT
from training.grammar import Grammar, read_sections, with_articles

KINDS = ("PER", "LOC", "ORG")
LABELS = ("O", *(f"{begin}-{kind}" for kind in KINDS for begin in "BI"))

_ENTITY = re.compile(r"\[(\w+) ([^\[\]]+)\]")


@dataclass(frozen=True, slots=True)
class Entity:
    """A stretch of a text, from the first character to before the last one."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence and the entities in it, in their order."""

    text: str
    entities: tuple[Entity, ...]

    def names(self) -> list[str]:
        """The entities' words."""
        return [self.text[entity.start : entity.end] for entity in self.entities]


def parse(marked: str) -> Example:
    """An example from its notation.

    Raises:
        ValueError: A kind is unknown, or a bracket stands alone.
    """
    text, entities, after = "", [], 0
    for found in _ENTITY.finditer(marked):
        if found[1] not in KINDS:
            raise ValueError(f"{found[1]} isn't one of {', '.join(KINDS)}")
        text += marked[after : found.start()]
        entities.append(Entity(found[1], len(text), len(text) + len(found[2])))
        text += found[2]
        after = found.end()
    text += marked[after:]
    if "[" in text or "]" in text:
        raise ValueError(f"a bracket stands alone in {marked!r}")
    return Example(text, tuple(entities))


def tags(example: Example, offsets: list[tuple[int, int]]) -> list[int]:
    """Index in `LABELS` for each piece of the text: an entity's first piece begins it, others are inside."""
    answer = []
    for start, end in offsets:
        around = [entity for entity in example.entities if entity.start <= start < end <= entity.end]
        if not around:
            answer.append(0)
        else:
            answer.append(LABELS.index(f"{'B' if start == around[0].start else 'I'}-{around[0].kind}"))
    return answer


@cache
def sections() -> dict[str, list[str]]:
    """All word lists."""
    return read_sections("ner.txt")


def sample(count: int, source: random.Random) -> list[Example]:
    """Sentences for training."""
    grammar = Grammar(sections(), ("", ""))
    marked = (grammar.fill("{sentence}", source, side=0, domain="") for _ in range(count))
    return [parse(_outside(with_articles(sentence))) for sentence in marked]


def _outside(marked: str) -> str:
    """The sentence with articles before the names, not in them, as in those written by hand."""
    return re.sub(r"\[(\w+) (the|The) ", r"\2 [\1 ", marked)


def held_out() -> list[Example]:
    """The sentences that were written by hand, which nothing is trained on."""
    lines = (HELD_OUT / "ner.txt").read_text("utf-8").splitlines()
    return [parse(line) for line in lines if not line.startswith("#")]
