"""Entities are those of transformers' own token-classification pipeline, whose methods are the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.pipelines.token_classification import AggregationStrategy, TokenClassificationPipeline

from standpipe_server.interfaces import Call
from standpipe_server.programs import Floats
from standpipe_server.tasks.classify_tokens import TokenHead, TokenParameters
from standpipe_server.tasks.entities import Entity, StrategyName, TokenScores, entities, without_overlaps

# The library warns where a vocabulary doesn't mark continued words.
pytestmark = pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
each_strategy = pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "PER", "B-", "MISC", "X-PER-Y", "I-X-Y")
UNKNOWN = 0


def join(words: Sequence[str]) -> str:
    """Every word stays visible in what is joined."""
    return "|".join(words)


@dataclass(frozen=True)
class Piece:
    """A token, and how sure the model is of each label."""

    id: int
    word: str
    start: int
    end: int
    special: bool
    logits: tuple[float, ...]


@cache
def library(marks: bool) -> Any:
    """The library's pipeline, as far as it joins tokens."""
    pipeline = object.__new__(TokenClassificationPipeline)
    model = SimpleNamespace(continuing_subword_prefix="##" if marks else None)
    pipeline.tokenizer = SimpleNamespace(
        convert_tokens_to_string=join, unk_token_id=UNKNOWN, _tokenizer=SimpleNamespace(model=model)
    )
    pipeline.model = SimpleNamespace(config=SimpleNamespace(id2label=dict(enumerate(LABELS))))
    return pipeline


def head(marks: bool) -> TokenHead:
    """This server's, of the same model."""
    model: Any = SimpleNamespace(
        config=library(marks).model.config,
        tokenizer=SimpleNamespace(
            convert_tokens_to_string=join,
            unk_token_id=UNKNOWN,
            backend_tokenizer=library(marks).tokenizer._tokenizer,
        ),
    )
    model.config.num_labels = len(LABELS)
    return TokenHead(model)


# Few different scores, so that there are ties; some beyond any doubt.
scores = st.tuples(*[st.sampled_from([-40.0, -1.0, 0.0, 0.25, 1.0, 30.0]) for _ in LABELS])


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, list[Piece]]:
    """A text, and the tokens that it falls into."""
    text, pieces = "", []
    for index in range(draw(st.integers(0, 12))):
        text += draw(st.sampled_from(["", "", " ", "  "])) if index else ""
        written = draw(st.text(alphabet="aé水-.", min_size=1, max_size=3))
        continues = draw(st.booleans())
        pieces.append(
            Piece(
                id=draw(st.integers(UNKNOWN, 4)),
                word=f"##{written}" if continues else written,
                start=len(text),
                end=len(text) + len(written),
                special=draw(st.sampled_from([False, False, False, True])),
                logits=draw(scores),
            )
        )
        text += written
    return text, pieces


def probabilities(pieces: Sequence[Piece]) -> Floats:
    logits = np.array([piece.logits for piece in pieces], np.float32).reshape(-1, len(LABELS))
    grown = np.exp(logits - logits.max(-1, keepdims=True))
    found: Floats = grown / grown.sum(-1, keepdims=True)
    return found


def by_library(
    text: str, pieces: Sequence[Piece], strategy: StrategyName, marks: bool
) -> list[dict[str, Any]]:
    pipeline = library(marks)
    # Ids aren't unique here, so a token's word is found by its place.
    words = iter([piece.word for piece in pieces if not piece.special])
    pipeline.tokenizer.convert_ids_to_tokens = lambda _: next(words)
    before = pipeline.gather_pre_entities(
        text,
        np.array([piece.id for piece in pieces]),
        probabilities(pieces),
        [(piece.start, piece.end) for piece in pieces],
        np.array([piece.special for piece in pieces]),
        AggregationStrategy(strategy),
    )
    found: list[dict[str, Any]] = pipeline.aggregate(before, AggregationStrategy(strategy))
    return found


def encoding(pieces: Sequence[Piece]) -> Any:
    return SimpleNamespace(
        ids=[piece.id for piece in pieces],
        tokens=[piece.word for piece in pieces],
        offsets=[(piece.start, piece.end) for piece in pieces],
        special_tokens_mask=[int(piece.special) for piece in pieces],
    )


def assert_equal(expected: Sequence[dict[str, Any]], found: Sequence[Entity]) -> None:
    assert [
        (
            one.get("entity", one.get("entity_group")),
            one["word"],
            one["start"],
            one["end"],
            one.get("index", 0),
        )
        for one in expected
    ] == [(one.label, one.word, one.start, one.end, one.index) for one in found]
    np.testing.assert_allclose(
        [one.score for one in found], [float(one["score"]) for one in expected], atol=1e-6
    )


@each_strategy
@given(drawn=texts(), marks=st.booleans())
def test_tokens_of_a_text_become_the_librarys_entities(
    strategy: StrategyName, drawn: tuple[str, list[Piece]], marks: bool
) -> None:
    text, pieces = drawn
    logits = np.array([piece.logits for piece in pieces], np.float32).reshape(-1, len(LABELS))
    call = Call(text, TokenParameters(strategy, ignored=frozenset()))
    found = head(marks).answer(call, [encoding(pieces)], [logits])
    assert_equal(by_library(text, pieces, strategy, marks), found)


@each_strategy
@given(drawn=st.lists(st.tuples(scores, st.booleans()), max_size=12))
def test_scored_tokens_become_the_librarys_entities(
    strategy: StrategyName, drawn: list[tuple[tuple[float, ...], bool]]
) -> None:
    tokens = [
        TokenScores(f"w{place}", np.array(values, np.float32), 2 * place, 2 * place + 1, place + 1, continues)
        for place, (values, continues) in enumerate(drawn)
    ]
    before = [
        {
            "word": token.word,
            "scores": token.scores,
            "start": token.start,
            "end": token.end,
            "index": token.index,
            "is_subword": token.continues,
        }
        for token in tokens
    ]
    expected = library(marks=True).aggregate(before, AggregationStrategy(strategy))
    assert_equal(expected, entities(tokens, LABELS, strategy, join))


found_in_windows = st.lists(
    st.builds(
        lambda start, length, score: Entity("A", score, f"{start}+{length}", start, start + length),
        st.integers(0, 12),
        st.integers(1, 6),
        st.sampled_from([0.25, 0.5, 0.75]),
    ),
    max_size=10,
)


@given(found=found_in_windows)
def test_of_entities_that_overlap_those_stay_that_the_library_keeps(found: list[Entity]) -> None:
    named = [
        {"entity_group": one.label, "score": one.score, "word": one.word, "start": one.start, "end": one.end}
        for one in found
    ]
    assert_equal(library(marks=True).aggregate_overlapping_entities(named), without_overlaps(found))


def window(*spans: tuple[int, int, str]) -> tuple[Any, Floats]:
    """A window's tokens by place and label, and logits that are sure of the labels."""
    pieces = [Piece(1, "w", start, end, False, ()) for start, end, _ in spans]
    logits = np.zeros((len(spans), len(LABELS)), np.float32)
    for row, (_, _, label) in enumerate(spans):
        logits[row, LABELS.index(label)] = 9
    return encoding(pieces), logits


def test_of_two_windows_the_longer_entity_stays_and_labels_are_left_out_before() -> None:
    first = window((0, 3, "O"), (4, 7, "B-PER"))
    second = window((4, 7, "B-PER"), (8, 11, "I-PER"), (12, 15, "O"))
    encodings, rows = zip(first, second, strict=True)
    head_ = head(marks=False)
    found = head_.answer(Call("aaa bbb ccc ddd", TokenParameters("simple")), encodings, rows)
    assert [("PER", 4, 11)] == [(one.label, one.start, one.end) for one in found]
    everything = TokenParameters("simple", ignored=frozenset())
    found = head_.answer(Call("aaa bbb ccc ddd", everything), encodings, rows)
    assert [("O", 0, 3), ("PER", 4, 11), ("O", 12, 15)] == [(one.label, one.start, one.end) for one in found]
    found = head_.answer(Call("aaa bbb ccc ddd", TokenParameters("none")), [first[0]], [first[1]])
    assert [("B-PER", 1)] == [(one.label, one.index) for one in found]
