"""What the demo models say and hear, served as a newcomer serves them."""

from __future__ import annotations

import re
from shutil import which

import pytest

from standpipe import Client
from standpipe_bench.server_process import ServerProcess

pytestmark = pytest.mark.skipif(which("espeak-ng") is None, reason="the voice needs espeak-ng")
SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "It was the best of times, it was the worst of times.",
    "Water stands ready in the pipe.",
]


def words(text: str) -> list[str]:
    """Its words alone: marks and capitals are the writer's."""
    return re.findall(r"[a-z']+", text.lower())


@pytest.fixture
def client(default_server: ServerProcess) -> Client:
    return Client(default_server.address, retry=False, timeout=100)


def test_what_is_said_is_written_down_word_for_word(client: Client) -> None:
    spoken = client.synthesize_speech(SENTENCES, seed=0)
    heard = client.transcribe_audio([(sound.samples, sound.sample_rate) for sound in spoken])
    assert [words(text) for text in SENTENCES] == [words(transcript.text) for transcript in heard]


def test_a_seed_says_the_same_again_and_a_rate_says_it_faster(client: Client) -> None:
    one, same = (client.synthesize_speech(SENTENCES[:1], seed=7)[0] for _ in range(2))
    (fast,) = client.synthesize_speech(SENTENCES[:1], seed=7, speaking_rate=1.5)
    assert one.samples.tolist() == same.samples.tolist()
    assert fast.duration < 0.8 * one.duration


def test_sentences_come_one_by_one(client: Client) -> None:
    stream = list(client.stream_synthesize_speech(" ".join(SENTENCES), seed=0))
    assert SENTENCES == [one.text for one in stream]


def test_speech_is_written_down_while_it_is_spoken_and_ends_as_the_whole_file_does(client: Client) -> None:
    spoken = client.synthesize_speech([" ".join(SENTENCES)], seed=0)[0]
    samples, rate = spoken.samples, spoken.sample_rate
    pieces = [samples[start : start + rate // 2] for start in range(0, len(samples), rate // 2)]
    stream = client.stream_transcribe_audio(iter(pieces), sample_rate=rate)
    events = list(stream)
    (whole,) = client.transcribe_audio([(samples, rate)])
    assert words(whole.text) == words(stream.result().text)
    assert events
