"""A model reads the tokens of its transformers tokenizer, which is the oracle: whole, cut, in windows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from standpipe_server.backends.reading import TextReader, shorten, token_limit
from standpipe_server.errors import InvalidInputError, ModelLoadError
from standpipe_server.programs import Cut, Encoding, Text, TruncationSide
from tiny_models import byte_pairs, word_pieces

MANY = 1 << 16


@dataclass(frozen=True)
class Reading:
    """A tokenizer of the library, and this server's reader of the same files."""

    library: Any
    reader: TextReader
    segments: bool


@pytest.fixture(scope="module", params=[word_pieces, byte_pairs], ids=["word pieces", "byte pairs"])
def reading(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reading:
    folder = tmp_path_factory.mktemp("tokenizer")
    library = request.param(max_tokens=MANY)
    library.save_pretrained(folder)
    return Reading(library, TextReader(folder, SimpleNamespace()), segments=request.param is word_pieces)


def save_with(tokenizer: Any, folder: Path, **stated: Any) -> None:
    """Write a tokenizer whose files state what an instance of it doesn't write."""
    tokenizer.save_pretrained(folder)
    config = folder / "tokenizer_config.json"
    written = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(written | stated), encoding="utf-8")


words = st.sampled_from(
    ["the", "lazy", "Lovelace", "summarize", "a", "水", "é", "🚰", "\u0301", ".", "'s", "x" * 40]
)
spaces = st.sampled_from([" ", " ", "  ", "\n", ""])
texts = st.lists(st.tuples(words, spaces), max_size=12).map(lambda parts: "".join(map("".join, parts)))
sides: st.SearchStrategy[TruncationSide] = st.sampled_from(["left", "right"])


def read(
    reading: Reading, text: Text, limit: int, cut: Cut, *, offsets: bool = True
) -> Encoding | InvalidInputError:
    """What the reader makes of a text."""
    reading.reader.max_tokens = limit
    (one,) = reading.reader.encode([text], [cut], offsets=offsets)
    (spread,) = reading.reader.encode([text], [cut], offsets=offsets, spread=True)
    if isinstance(one, Exception) or isinstance(spread, Exception):
        assert isinstance(one, InvalidInputError)
        assert str(one) == str(spread)
        return one
    assert (one.ids, one.type_ids) == (spread.ids, spread.type_ids)
    return one


def by_library(
    reading: Reading, texts: Sequence[str], side: TruncationSide, **options: Any
) -> list[Encoding]:
    """The library's sequences; in lists it takes an empty second text for one, by itself for none."""
    reading.library.truncation_side = side
    found: list[Encoding] = reading.library(*([text] for text in texts), **options).encodings
    return found


def assert_equal(
    expected: Sequence[Encoding], found: Sequence[Encoding | Exception], *, pair: bool, segments: bool
) -> None:
    """The same sequences, in all that heads look at: they ask for the words of the last text only."""
    assert len(expected) == len(found)
    for library, own in zip(expected, found, strict=True):
        assert not isinstance(own, Exception)
        assert (library.ids, library.tokens) == (own.ids, own.tokens)
        assert (library.offsets, library.special_tokens_mask) == (own.offsets, own.special_tokens_mask)
        # The library gives windows after the first segments even where the model has none.
        assert (library.type_ids if segments else [0] * len(own)) == own.type_ids
        of_last = [place for place, text in enumerate(library.sequence_ids) if text == pair]
        assert of_last == [place for place, text in enumerate(own.sequence_ids) if text == pair]
        for place in of_last:
            word = library.token_to_word(place)
            assert word == own.token_to_word(place)
            assert word is None or library.word_to_chars(word, pair) == own.word_to_chars(word, pair)


@given(text=texts, limit=st.integers(3, 20), side=sides)
def test_a_text_is_cut_as_the_library_cuts_it(
    reading: Reading, text: str, limit: int, side: TruncationSide
) -> None:
    found = read(reading, text, limit, Cut(side=side))
    assert_equal(
        by_library(reading, [text], side, truncation=True, max_length=limit),
        [found],
        pair=False,
        segments=reading.segments,
    )


@given(first=texts, second=texts, limit=st.integers(4, 30), side=sides)
@example(first="a a a", second="a a a a", limit=6, side="right")
@example(first="a a a a", second="a a a", limit=6, side="right")
@example(first="a", second="a a a a a a a a", limit=6, side="left")
def test_of_a_pair_the_longer_is_cut_first_as_in_the_library(
    reading: Reading, first: str, second: str, limit: int, side: TruncationSide
) -> None:
    found = read(reading, (first, second), limit, Cut(side=side))
    expected = by_library(reading, [first, second], side, truncation="longest_first", max_length=limit)
    assert_equal(expected, [found], pair=True, segments=reading.segments)


@given(first=texts, second=texts, limit=st.integers(4, 30), side=sides)
def test_of_a_pair_the_first_alone_is_cut_as_in_the_library_or_refused_where_it_refuses(
    reading: Reading, first: str, second: str, limit: int, side: TruncationSide
) -> None:
    found = read(reading, (first, second), limit, Cut(side=side, first_only=True))
    try:
        expected = by_library(reading, [first, second], side, truncation="only_first", max_length=limit)
    # The tokenizers library raises Exception itself.
    except Exception as error:
        assert "Truncation error" in str(error)  # noqa: PT017 - it may not raise too
        assert isinstance(found, InvalidInputError)
        assert f"the second text leaves no room for the first among the model's {limit} tokens" == str(found)
        return
    assert_equal(expected, [found], pair=True, segments=reading.segments)


@given(first=texts, second=texts)
def test_what_fits_is_read_whole_whatever_is_to_be_cut(reading: Reading, first: str, second: str) -> None:
    for text in (first, (first, second)):
        parts = [text] if isinstance(text, str) else list(text)
        whole = by_library(reading, parts, "right")
        for cut in (Cut(), Cut(truncate=False), Cut(side="left", first_only=True)):
            found = read(reading, text, len(whole[0]), cut)
            assert_equal(whole, [found], pair=len(parts) > 1, segments=reading.segments)


@given(text=texts, limit=st.integers(3, 20))
def test_ids_and_segments_are_the_same_where_nobody_asks_for_places(
    reading: Reading, text: str, limit: int
) -> None:
    with_places, without = (read(reading, text, limit, Cut(), offsets=offsets) for offsets in (True, False))
    assert not isinstance(with_places, Exception)
    assert not isinstance(without, Exception)
    assert (with_places.ids, with_places.type_ids) == (without.ids, without.type_ids)


def test_where_nothing_may_be_cut_a_text_that_is_too_long_is_refused_alone(reading: Reading) -> None:
    reading.reader.max_tokens = 6
    whole = len(by_library(reading, ["a a a a a a a a"], "right")[0])
    short, long = reading.reader.encode(["a", "a a a a a a a a"], [Cut(truncate=False)] * 2)
    assert not isinstance(short, Exception)
    assert f"the text has {whole} tokens, more than the model's 6" == str(long)
    cut, long = reading.reader.encode(["a a a a a a a a"] * 2, [Cut(), Cut(truncate=False)])
    assert (6, True) == (len(cut.ids) if not isinstance(cut, Exception) else 0, isinstance(long, Exception))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_is_cut_on_the_tokenizers_own_side_unless_another_is_asked_for(
    tmp_path: Path, side: TruncationSide
) -> None:
    save_with(word_pieces(4), tmp_path, truncation_side=side)
    reader = TextReader(tmp_path, SimpleNamespace())
    kept = {"left": "lazy dog", "right": "the lazy"}
    for cut, expected in [
        (Cut(), kept[side]),
        (Cut(side="left"), "lazy dog"),
        (Cut(side="right"), "the lazy"),
    ]:
        (found,) = reader.encode(["the lazy dog"], [cut])
        assert not isinstance(found, Exception)
        assert ["[CLS]", *expected.split(), "[SEP]"] == found.tokens


@pytest.mark.parametrize("first_only", [True, False])
@given(first=st.integers(0, 12), second=st.integers(0, 12), room=st.integers(1, 14))
def test_what_is_kept_of_a_pair_fills_the_room_and_is_never_more_than_there_was(
    first: int, second: int, room: int, first_only: bool
) -> None:
    kept = shorten([first, second], room, first_only=first_only)
    if kept is None:
        assert first_only
        assert second >= room
        return
    assert min(room, first + second) == sum(kept)
    assert all(0 <= after <= before for after, before in zip(kept, [first, second], strict=True))
    if first_only:
        assert second == kept[1]


# Windows


def windows(reading: Reading, context: str, question: str, limit: int, stride: int) -> list[Encoding]:
    return reading.reader.windows(context, before=question, stride=stride, max_tokens=limit)


@given(question=texts, context=texts, room=st.integers(1, 8), stride=st.integers(0, 7))
def test_windows_of_a_context_are_the_librarys_each_with_the_whole_question(
    reading: Reading, question: str, context: str, room: int, stride: int
) -> None:
    assume(question)
    asked = reading.library(question, add_special_tokens=False)["input_ids"]
    limit = len(asked) + reading.library.num_special_tokens_to_add(pair=True) + room
    if stride >= room:
        with pytest.raises(InvalidInputError, match=rf"hold {room} of the text: they can't share {stride}"):
            windows(reading, context, question, limit, stride)
        return
    expected = by_library(
        reading,
        [question, context],
        "right",
        truncation="only_second",
        max_length=limit,
        stride=stride,
        return_overflowing_tokens=True,
    )
    found = windows(reading, context, question, limit, stride)
    assert_equal(expected, found, pair=True, segments=reading.segments)


@given(text=texts, room=st.integers(1, 8), stride=st.integers(0, 7))
def test_windows_of_a_text_alone_are_the_librarys(
    reading: Reading, text: str, room: int, stride: int
) -> None:
    assume(stride < room)
    limit = room + reading.library.num_special_tokens_to_add(pair=False)
    expected = by_library(
        reading,
        [text],
        "right",
        truncation=True,
        max_length=limit,
        stride=stride,
        return_overflowing_tokens=True,
    )
    found = reading.reader.windows(text, stride=stride, max_tokens=limit)
    assert_equal(expected, found, pair=False, segments=reading.segments)


@pytest.mark.parametrize(
    ("size", "shared"),
    [(100, 50), (101, 50), (300, 128), (10, 5)],
)
def test_windows_share_half_of_their_tokens_and_128_at_most_where_nobody_says(
    reading: Reading, size: int, shared: int
) -> None:
    context = "a " * 1000
    found = reading.reader.windows(context, stride=None, max_tokens=size)
    assert [one.ids for one in windows(reading, context, "", size, shared)] == [one.ids for one in found]
    assert len(found) > 1


def test_windows_that_hold_little_share_less_than_they_hold(reading: Reading) -> None:
    special = reading.library.num_special_tokens_to_add(pair=True)
    asked = len(reading.library("a a a a", add_special_tokens=False)["input_ids"])
    found = reading.reader.windows("a " * 9, before="a a a a", stride=None, max_tokens=asked + special + 2)
    assert [one.ids for one in found] == [
        one.ids for one in windows(reading, "a " * 9, "a a a a", asked + special + 2, 1)
    ]


def test_windows_without_room_for_the_text_are_refused(reading: Reading) -> None:
    special = reading.library.num_special_tokens_to_add(pair=True)
    asked = len(reading.library("a a", add_special_tokens=False)["input_ids"])
    assert 1 == len(windows(reading, "a", "a a", special + asked + 1, 0))
    for stride in (0, None):
        with pytest.raises(InvalidInputError, match="have no room for the text"):
            reading.reader.windows("a", before="a a", stride=stride, max_tokens=special + asked)


@pytest.mark.parametrize("kept", [1, 2, 3, 9])
def test_a_question_is_cut_at_its_own_limit(reading: Reading, kept: int) -> None:
    asked = reading.library("the lazy dog", add_special_tokens=False)["input_ids"]
    found = reading.reader.windows("a", before="the lazy dog", stride=0, max_tokens=40, max_before=kept)
    (one,) = found
    (whole,) = by_library(reading, [reading.library.decode(asked[:kept]).strip(), "a"], "right")
    assert (whole.ids, whole.type_ids) == (one.ids, one.type_ids)


# The rest


def test_sequences_are_padded_on_the_right_with_the_models_pad(reading: Reading) -> None:
    reading.reader.max_tokens = MANY
    found = reading.reader.encode([("a", "b"), "a", ("a b c", "d")], [Cut()] * 3)
    encodings = [one for one in found if not isinstance(one, Exception)]
    arrays = reading.reader.arrays(encodings)
    longest = max(len(one) for one in encodings)
    assert {(3, longest)} == {array.shape for array in arrays.values()}
    assert {np.dtype(np.int64)} == {array.dtype for array in arrays.values()}
    pad = reading.library.pad_token_id
    for row, one in enumerate(encodings):
        padding = longest - len(one)
        assert [*one.ids, *[pad] * padding] == arrays["input_ids"][row].tolist()
        assert [*[1] * len(one), *[0] * padding] == arrays["attention_mask"][row].tolist()
        assert [*one.type_ids, *[0] * padding] == arrays["token_type_ids"][row].tolist()


@pytest.mark.parametrize("takes", [True, False])
def test_the_texts_of_a_pair_are_numbered_for_a_model_that_takes_numbers_and_for_no_other(
    tmp_path: Path, takes: bool
) -> None:
    tokenizer = word_pieces(64)
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if takes else [])]
    save_with(tokenizer, tmp_path, model_input_names=names)
    reader = TextReader(tmp_path, SimpleNamespace())
    (found,) = reader.encode([("the dog", "lazy")], [Cut()])
    assert not isinstance(found, Exception)
    numbers = [0, 0, 0, 0, 1, 1] if takes else [0] * 6
    assert numbers == reader.arrays([found])["token_type_ids"][0].tolist()


@pytest.mark.parametrize(
    ("stated", "positions", "limit"),
    [
        (64, 512, 64),
        (512, 64, 64),
        (64, None, 64),
        (int(1e30), 64, 64),
        (int(1e30), None, 1 << 20),
        (64, 0, 64),
    ],
)
def test_a_model_reads_as_many_tokens_as_the_lower_of_its_limits(
    stated: int, positions: int | None, limit: int
) -> None:
    config = SimpleNamespace(max_position_embeddings=positions)
    assert limit == token_limit(SimpleNamespace(model_max_length=stated), config)
    if positions is None:
        assert limit == token_limit(SimpleNamespace(model_max_length=stated), SimpleNamespace())


def test_a_tokenizer_without_a_fast_form_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SimpleNamespace(is_fast=False)
    monkeypatch.setattr("standpipe_server.backends.reading.load_tokenizer", lambda _: slow)
    with pytest.raises(ModelLoadError, match=r"its tokenizer has no fast \(Rust\) form"):
        TextReader(tmp_path, SimpleNamespace())


def test_reading_leaves_the_tokenizer_as_it_was(reading: Reading) -> None:
    """Heads of several runners look things up in it at once."""
    before = reading.reader.tokenizer.backend_tokenizer.to_str()
    reading.reader.max_tokens = 4
    reading.reader.encode(["a " * 20], [Cut(side="left")])
    reading.reader.windows("a " * 20, stride=1, max_tokens=4)
    assert before == reading.reader.tokenizer.backend_tokenizer.to_str()
