"""Tokens into text, stop strings out of it: what every engine of causal models does alike."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from standpipe_server.backends.decoding import Decoder, SequenceWriter, StopWatch
from standpipe_server.backends.engines import Job
from standpipe_server.interfaces import Chunk
from standpipe_server.programs import Writing
from tiny_models import byte_pairs


def sentence_pieces() -> Tokenizer:
    """As Llama 2's: the first space of a text goes, and what has no token is written in bytes."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words += ["▁", "▁a", "▁the", "a", "the", "é", "日", "▁▁"]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True, unk_token="<unk>"))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


BYTES = Tokenizer.from_str(byte_pairs(ends=False).backend_tokenizer.to_str())
PIECES = sentence_pieces()


def tokens(tokenizer: Tokenizer) -> st.SearchStrategy[list[list[int]]]:
    """The tokens of steps: any, or those of a text.

    A byte that doesn't belong there unmakes the bytes before it, where bytes are tokens: pieces have none.
    """
    ids = [token for word, token in tokenizer.get_vocab().items() if not word.startswith("<0x")]
    any_ids = st.lists(st.sampled_from(sorted(ids)), max_size=20)
    of_texts = st.text(max_size=8).map(lambda text: list(tokenizer.encode(text).ids))
    return st.lists(any_ids | of_texts, max_size=8).map(
        lambda parts: [[token] for part in parts for token in part]
    ) | st.lists(any_ids | of_texts, max_size=4)


@pytest.mark.parametrize("tokenizer", [BYTES, PIECES], ids=["bytes", "pieces"])
@given(st.data())
@settings(max_examples=300)
def test_the_parts_joined_are_the_text_of_all_tokens(tokenizer: Tokenizer, data: st.DataObject) -> None:
    steps = data.draw(tokens(tokenizer))
    decoder = Decoder(tokenizer)
    parts = [decoder.add(step) for step in steps]
    whole = tokenizer.decode([token for step in steps for token in step], skip_special_tokens=True)
    assert whole == "".join(parts) + decoder.rest()


def test_a_character_of_several_tokens_is_told_when_it_is_whole() -> None:
    decoder = Decoder(BYTES)
    parts = [decoder.add([token]) for token in BYTES.encode("日é").ids]
    assert ["", "", "日", "", "é"] == parts


def test_a_special_token_in_a_text_keeps_the_next_words_space() -> None:
    decoder = Decoder(PIECES)
    words = ["▁the", "</s>", "▁the"]
    assert "the the" == "".join(decoder.add([PIECES.token_to_id(word)]) for word in words)


def naive(text: str, stops: list[str]) -> tuple[str, str]:
    for end in range(len(text) + 1):
        for stop in sorted(stops, key=len, reverse=True):
            if text[:end].endswith(stop):
                return text[: end - len(stop)], stop
    return text, ""


letters = st.text("ab", max_size=30)


@given(st.lists(letters, max_size=10), st.lists(st.text("ab", min_size=1, max_size=5), max_size=4))
@settings(max_examples=500)
def test_stop_strings_end_a_text_however_it_comes(parts: list[str], stops: list[str]) -> None:
    watch = StopWatch(stops)
    shown = ""
    for part in parts:
        shown += watch.pass_on(part)
        if watch.reached:
            break
    else:
        shown += watch.rest()
    assert naive("".join(parts), stops) == (shown, watch.reached)


@given(letters, st.text("ab", min_size=1, max_size=5))
def test_only_what_may_be_a_stop_string_is_held_back(text: str, stop: str) -> None:
    watch = StopWatch([stop])
    shown = watch.pass_on(text)
    if not watch.reached:
        assert len(text) - len(shown) < len(stop)
        assert stop.startswith(text[len(shown) :])


def writer(stops: tuple[str, ...] = (), *, logprobs: bool = False) -> SequenceWriter:
    return SequenceWriter(BYTES, Job([5, 6, 7], {}, Writing(stop_strings=stops, logprobs=logprobs)), 3)


def ids(text: str) -> list[int]:
    found: list[int] = BYTES.encode(text).ids
    return found


def test_a_text_that_waits_is_told_with_its_end() -> None:
    one = writer(("abcd",))
    assert [None, None] == [one.add(ids("a")), one.add(ids("b"))]
    chunk = one.end("length", cached_tokens=2)
    assert ("ab", 3) == (chunk.text, chunk.sequence)
    assert chunk.finish is not None
    finish = chunk.finish
    assert ("length", 3, 2, "", 2) == (
        finish.reason,
        finish.prompt_tokens,
        finish.generated_tokens,
        finish.stop_string,
        finish.cached_tokens,
    )
    assert one.finished


def test_a_stop_string_is_the_end_and_isnt_told() -> None:
    one = writer(("bc", "zz"))
    assert one.add(ids("xa")) == Chunk("xa", sequence=3)
    assert one.add(ids("b")) is None
    chunk = one.add(ids("c"))
    assert chunk is not None
    assert chunk.finish is not None
    assert ("", "stop_string", "bc") == (chunk.text, chunk.finish.reason, chunk.finish.stop_string)
    assert one.finished


def test_a_stop_string_may_be_complete_only_at_the_end() -> None:
    incomplete = ids("é")[:1]
    one = writer(("\ufffd",))
    assert one.add(incomplete) is None
    chunk = one.end("length")
    assert chunk.finish is not None
    assert ("", "stop_string") == (chunk.text, chunk.finish.reason)


def test_tokens_are_told_also_while_their_text_waits() -> None:
    one = writer(logprobs=True)
    first, last = ids("é")
    chunk = one.add([first], [-1.5])
    assert chunk is not None
    assert ("", [(first, "\ufffd", -1.5)]) == (
        chunk.text,
        [(said.id, said.token, said.logprob) for said in chunk.logprobs],
    )
    chunk = one.last([last], [-2.5], "stop")
    assert chunk.finish is not None
    assert ("é", "stop", 2, -2.5) == (
        chunk.text,
        chunk.finish.reason,
        chunk.finish.generated_tokens,
        chunk.logprobs[0].logprob,
    )


def test_the_last_tokens_may_say_nothing_or_reach_a_stop_string() -> None:
    nothing = writer().last([2], (), "stop")
    assert nothing.finish is not None
    assert ("", "stop", 1) == (nothing.text, nothing.finish.reason, nothing.finish.generated_tokens)
    stopped = writer(("b",)).last(ids("ab"), (), "length")
    assert stopped.finish is not None
    assert ("a", "stop_string") == (stopped.text, stopped.finish.reason)
