"""Samples that come without a file: raw ones are read, and a stream of them is resampled."""

from __future__ import annotations

from itertools import pairwise
from struct import pack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe_server.errors import InvalidInputError
from standpipe_server.media.audio import RawEncoding, raw_samples
from standpipe_server.media.resampling import StreamResampler


@pytest.mark.parametrize(
    ("encoding", "kind", "values", "mixed"),
    [
        ("pcm16", "<i2", [0, 16384, -32768, 32767], [0.0, 0.5, -1.0, 32767 / 32768]),
        ("float32", "<f4", [0.0, 0.5, -1.0, 1.5], [0.0, 0.5, -1.0, 1.5]),
    ],
)
def test_raw_samples_are_read(
    encoding: RawEncoding, kind: str, values: list[float], mixed: list[float]
) -> None:
    chunk = np.array(values, kind).tobytes()
    assert mixed == raw_samples(chunk, encoding, 1, "audio").tolist()
    pairs = [sum(pair) / 2 for pair in (mixed[:2], mixed[2:])]
    assert pairs == raw_samples(chunk, encoding, 2, "audio").tolist()
    nothing = raw_samples(b"", encoding, 2, "audio")
    assert (np.dtype(np.float32), 0) == (nothing.dtype, len(nothing))


@pytest.mark.parametrize(
    ("chunk", "encoding", "channels", "why"),
    [
        (bytes(3), "pcm16", 1, "3 bytes aren't whole frames"),
        (bytes(6), "pcm16", 2, "6 bytes aren't whole frames"),
        (bytes(6), "float32", 1, "6 bytes aren't whole frames"),
        (bytes(12), "float32", 2, "12 bytes aren't whole frames"),
        (pack("<f", float("nan")), "float32", 1, "no numbers"),
        (pack("<ff", 0.0, float("inf")), "float32", 2, "infinite"),
    ],
)
def test_raw_samples_that_are_none_are_refused(
    chunk: bytes, encoding: RawEncoding, channels: int, why: str
) -> None:
    with pytest.raises(InvalidInputError, match=why) as caught:
        raw_samples(chunk, encoding, channels, "chunk.samples")
    assert "chunk.samples" == caught.value.field


@settings(max_examples=50)
@given(
    rates=st.sampled_from([(8000, 16000), (44100, 16000), (47999, 16000), (16000, 24000), (16000, 16000)]),
    cuts=st.lists(st.integers(0, 3000), max_size=12),
)
def test_samples_that_come_in_chunks_are_resampled_as_a_whole(
    rates: tuple[int, int], cuts: list[int]
) -> None:
    whole = np.random.default_rng(0).uniform(-1, 1, 3000).astype(np.float32)
    at_once, by_chunks = StreamResampler(*rates), StreamResampler(*rates)
    places = [0, *sorted(cuts), len(whole)]
    parts = [by_chunks.feed(whole[begin:end]) for begin, end in pairwise(places)]
    expected = np.concatenate([at_once.feed(whole), at_once.finish()])
    actual = np.concatenate([*parts, by_chunks.finish()])
    assert len(expected) == pytest.approx(len(whole) * rates[1] / rates[0], abs=1)
    assert len(expected) == len(actual)
    assert 0.0 == pytest.approx(np.abs(expected - actual).max(), abs=1e-4)


def test_a_resampler_gives_before_it_has_everything() -> None:
    resampler = StreamResampler(44100, 16000)
    given = sum(len(resampler.feed(np.zeros(441, np.float32))) for _ in range(100))
    assert 14_000 < given < 16_000
    assert 16_000 == given + len(resampler.finish())
