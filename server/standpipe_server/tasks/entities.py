"""Labels of tokens into entities, as transformers' token-classification pipeline joins them.

Numbers and words only: not aware of messages, models or tokenizers beyond the function that joins tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from standpipe_server.programs import Floats

StrategyName = Literal["none", "simple", "first", "average", "max"]
Join = Callable[[list[str]], str]
"""Tokens to text, as the model's tokenizer writes it."""


@dataclass(frozen=True, slots=True)
class TokenScores:
    """A token and the scores of its labels.

    Attributes:
        word: As the vocabulary writes it.
        scores: (labels,).
        start: Where it starts in the text, in code points.
        end: Where it ends.
        index: Its place among the model's tokens.
        continues: It goes on with the word before it.
    """

    word: str
    scores: Floats
    start: int
    end: int
    index: int
    continues: bool


@dataclass(frozen=True, slots=True)
class Entity:
    """A token or a group of tokens that has a label."""

    label: str
    score: float
    word: str
    start: int
    end: int
    index: int = 0


def entities(
    tokens: Sequence[TokenScores], labels: Sequence[str], strategy: StrategyName, join: Join
) -> list[Entity]:
    """The entities that tokens form, in order.

    Args:
        tokens: Of one sequence, without special tokens.
        labels: By index.
        strategy: ``none`` gives one per token.
        join: Writes the words of several tokens.
    """
    if strategy in ("none", "simple"):
        parts = [_label(token, token.scores, labels) for token in tokens]
    else:
        scores_of = _WORD_SCORES[strategy]
        parts = []
        for word in _words(tokens):
            first = _label(word[0], scores_of([token.scores for token in word]), labels)
            parts.append(
                Entity(
                    first.label,
                    first.score,
                    join([token.word for token in word]),
                    word[0].start,
                    word[-1].end,
                )
            )
    return parts if strategy == "none" else [_group(group, join) for group in _groups(parts)]


def without_overlaps(found: Iterable[Entity]) -> list[Entity]:
    """Entities of several windows: of those that overlap the longest, of equally long ones the likeliest."""
    kept: list[Entity] = []
    for entity in sorted(found, key=lambda entity: entity.start):
        last = kept[-1] if kept else None
        if last is None or not last.start <= entity.start < last.end:
            kept.append(entity)
        elif (entity.end - entity.start, entity.score) > (last.end - last.start, last.score):
            kept[-1] = entity
    return kept


def _label(token: TokenScores, scores: Floats, labels: Sequence[str]) -> Entity:
    best = int(scores.argmax())
    return Entity(labels[best], float(scores[best]), token.word, token.start, token.end, token.index)


def _words(tokens: Iterable[TokenScores]) -> Iterator[list[TokenScores]]:
    word: list[TokenScores] = []
    for token in tokens:
        if word and not token.continues:
            yield word
            word = []
        word.append(token)
    if word:
        yield word


def _highest(scores: Sequence[Floats]) -> Floats:
    return max(scores, key=lambda token: float(token.max()))


def _average(scores: Sequence[Floats]) -> Floats:
    mean: Floats = np.nanmean(np.stack(scores), axis=0)
    return mean


_WORD_SCORES: dict[StrategyName, Callable[[Sequence[Floats]], Floats]] = {
    "first": lambda scores: scores[0],
    "average": _average,
    "max": _highest,
}


def _groups(parts: Iterable[Entity]) -> Iterator[list[Entity]]:
    """Neighbours of one label; B- begins a new group."""
    group: list[Entity] = []
    for part in parts:
        begins, name = _prefix(part.label)
        if group and (begins or name != _prefix(group[-1].label)[1]):
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _prefix(label: str) -> tuple[bool, str]:
    """Whether a label begins an entity, and the entity's name; a label without a prefix goes on."""
    if label.startswith(("B-", "I-")):
        return label.startswith("B-"), label[2:]
    return False, label


def _group(group: Sequence[Entity], join: Join) -> Entity:
    return Entity(
        # Whatever stands before the first hyphen is taken for a prefix here, as in the library.
        label=group[0].label.split("-", 1)[-1],
        score=float(np.nanmean([part.score for part in group])),
        word=join([part.word for part in group]),
        start=group[0].start,
        end=group[-1].end,
    )
