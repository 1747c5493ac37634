"""The streams of AudioService: in pieces what the whole says, each mistake by its field, and an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from audio_seeds import audio_file
from parity.sounds import RATE, waves
from standpipe import CallError
from standpipe.v1 import audio_pb2, audio_pb2_grpc, common_pb2
from standpipe_bench.server_process import ServerProcess

Asked = audio_pb2.StreamTranscribeAudioRequest
Config = audio_pb2.StreamTranscriptionConfig
Speech = audio_pb2.SpeechParameters

# What each model says, by which a stream is settled.
PARTS = {
    "ctc-torch": audio_pb2.TIMESTAMP_GRANULARITY_WORD,
    "whisper-torch": audio_pb2.TIMESTAMP_GRANULARITY_SEGMENT,
}
SOUND = waves(2.6, 1)
TIMEOUT = 60


@pytest.fixture
def audio(tiny_parity_server: ServerProcess) -> Iterator[audio_pb2_grpc.AudioServiceStub]:
    with grpc.insecure_channel(tiny_parity_server.address) as channel:
        yield audio_pb2_grpc.AudioServiceStub(channel)


def pcm(frames: NDArray[np.float32]) -> bytes:
    return (frames * 32767).astype("<i2").tobytes()


def pieces(sound: bytes, size: int = 9000) -> list[Asked]:
    return [Asked(audio=sound[place : place + size]) for place in range(0, len(sound), size)]


def begin(model: str = "ctc-torch", **config: Any) -> Asked:
    return Asked(model=model, config=Config(**config))


def heard(audio: audio_pb2_grpc.AudioServiceStub, requests: Iterable[Asked]) -> list[Any]:
    return list(audio.StreamTranscribeAudio(iter(requests), timeout=TIMEOUT))


def events(messages: Iterable[Any]) -> list[str]:
    return [message.WhichOneof("event") for message in messages]


def unary(audio: audio_pb2_grpc.AudioServiceStub, model: str, frames: NDArray[np.float32], rate: int) -> Any:
    file = common_pb2.Audio(content=audio_file(frames, rate, "WAV", "FLOAT"))
    asked = audio_pb2.TranscribeAudioRequest(model=model, audios=[file])
    asked.timestamps = PARTS[model]
    (transcript,) = audio.TranscribeAudio(asked, timeout=TIMEOUT).results
    return transcript


def refusal(call: Any) -> tuple[grpc.StatusCode, list[str]]:
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    error = CallError(caught.value)
    return error.code, list(error.fields)


@pytest.mark.parametrize("model", PARTS)
def test_the_whole_is_what_the_segments_say_and_what_one_call_says(
    audio: audio_pb2_grpc.AudioServiceStub, model: str
) -> None:
    frames = np.frombuffer(pcm(SOUND), "<i2").astype(np.float32)[:, None] / np.float32(32768)
    messages = heard(audio, [begin(model, interim_results=False), *pieces(pcm(SOUND))])
    *segments, last = messages
    assert {"segment"} == set(events(segments))
    said = [message.segment for message in segments]
    assert said == list(last.result.parts)
    assert last.result.text == " ".join(part.text for part in said)
    whole = unary(audio, model, frames, RATE)
    assert [part for part in whole.parts if part.text] == said
    assert len(SOUND) / RATE == last.result.duration
    assert [""] * len(segments) == [message.metadata.model for message in segments]
    assert model == last.metadata.model


@pytest.mark.parametrize(
    ("config", "rate", "channels"),
    [
        ({"encoding": audio_pb2.AUDIO_ENCODING_FLOAT32}, RATE, 1),
        ({"encoding": audio_pb2.AUDIO_ENCODING_FLOAT32, "sample_rate": 44_100, "channels": 2}, 44_100, 2),
        ({"sample_rate": 8_000}, 8_000, 1),
    ],
)
def test_samples_are_read_as_the_config_says(
    audio: audio_pb2_grpc.AudioServiceStub, config: dict[str, Any], rate: int, channels: int
) -> None:
    levels = (waves(0.7, 2, rate=rate, channels=channels) * 32768).astype("<i2")
    frames = levels.astype(np.float32) / np.float32(32768)
    content = frames.tobytes() if "encoding" in config else levels.tobytes()
    *_, last = heard(audio, [begin(**config), *pieces(content, 8 * 1001)])
    whole = unary(audio, "ctc-torch", frames, rate)
    assert (whole.text, whole.duration) == (last.result.text, last.result.duration)


def test_what_is_heard_so_far_comes_before_the_end(audio: audio_pb2_grpc.AudioServiceStub) -> None:
    requests: SimpleQueue[Asked | None] = SimpleQueue()
    call = audio.StreamTranscribeAudio(iter(requests.get, None), timeout=TIMEOUT)
    for request in [begin(), *pieces(pcm(SOUND[: RATE + 1000]))]:
        requests.put(request)
    first = next(call)
    assert "interim" == first.WhichOneof("event")
    assert first.interim.text
    requests.put(Asked(audio=pcm(SOUND[RATE + 1000 :])))
    requests.put(None)
    names = events(call)
    assert ["segment", "result"] == names[-2:]
    # What is settled isn't shown as if it weren't.
    order = ("interim", "segment", "result")
    assert sorted(names, key=order.index) == names


def test_none_is_sent_that_is_not_wanted(audio: audio_pb2_grpc.AudioServiceStub) -> None:
    messages = heard(audio, [begin(interim_results=False), *pieces(pcm(SOUND))])
    assert "interim" not in events(messages)


def test_a_long_sound_is_settled_part_by_part(audio: audio_pb2_grpc.AudioServiceStub) -> None:
    frames = np.concatenate([waves(5, seed) for seed in range(7)])
    messages = heard(audio, [begin(interim_results=False), *pieces(pcm(frames), 64_000)])
    *segments, last = messages
    said = [message.segment for message in segments]
    assert said == list(last.result.parts)
    assert sorted(part.start for part in said) == [part.start for part in said]
    # The window ends after 30 seconds, and what follows has its place in the whole.
    assert said[0].start < 5
    assert said[-1].end > 30
    assert 35 == pytest.approx(last.result.duration)


REFUSED: dict[str, tuple[list[Asked], str]] = {
    "nothing at all": ([], "config"),
    "no config": ([Asked(model="ctc-torch", audio=b"ab")], "config"),
    "only a model": ([Asked(model="ctc-torch")], "config"),
    "a config and no sound": ([begin()], "audio"),
    "a second config": ([begin(), begin()], "audio"),
    "half a sample": ([begin(), Asked(audio=b"abc")], "audio"),
    "half a frame": ([begin(channels=2), Asked(audio=b"ab")], "audio"),
    "no numbers": ([begin(encoding=2), Asked(audio=np.full(9, np.nan, "<f4").tobytes())], "audio"),
    "an unknown encoding": ([begin(encoding=9)], "config.encoding"),
    "too low a rate": ([begin(sample_rate=7_999)], "config.sample_rate"),
    "too high a rate": ([begin(sample_rate=192_001)], "config.sample_rate"),
    "no channels": ([begin(channels=0)], "config.channels"),
    "three channels": ([begin(channels=3)], "config.channels"),
    "an unknown task": ([begin(task=9)], "config.task"),
    "a language of a model without": ([begin(language="en"), Asked(audio=bytes(9000))], "config.language"),
    "an unknown language": (
        [begin("whisper-torch", language="tlh"), Asked(audio=bytes(9000))],
        "config.language",
    ),
    "more than a minute": (
        [begin(sample_rate=8_000, interim_results=False), Asked(audio=bytes(62 * 16_000))],
        "audio",
    ),
    "what can't be read so short": ([begin(), Asked(audio=bytes(20))], "audio"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_ends_a_stream_with_the_name_of_its_field(
    audio: audio_pb2_grpc.AudioServiceStub, name: str
) -> None:
    requests, field = REFUSED[name]
    found = refusal(audio.StreamTranscribeAudio(iter(requests), timeout=TIMEOUT))
    assert (grpc.StatusCode.INVALID_ARGUMENT, [field]) == found


def test_a_model_that_is_not_there_is_not_found(audio: audio_pb2_grpc.AudioServiceStub) -> None:
    code, _ = refusal(audio.StreamTranscribeAudio(iter([begin("none")]), timeout=TIMEOUT))
    assert grpc.StatusCode.NOT_FOUND == code


def test_a_model_that_says_no_times_settles_the_whole(audio: audio_pb2_grpc.AudioServiceStub) -> None:
    *_, settled, last = heard(audio, [begin("speech_to_text-torch"), *pieces(pcm(SOUND))])
    assert settled.segment.text
    assert (0, len(SOUND) / RATE) == (settled.segment.start, settled.segment.end)
    assert ([settled.segment], settled.segment.text) == (list(last.result.parts), last.result.text)


def test_who_goes_away_leaves_the_server_as_it_was(audio: audio_pb2_grpc.AudioServiceStub) -> None:
    for _ in range(20):
        requests: SimpleQueue[Asked | None] = SimpleQueue()
        call = audio.StreamTranscribeAudio(iter(requests.get, None), timeout=TIMEOUT)
        for request in [begin(), *pieces(pcm(SOUND))]:
            requests.put(request)
        assert "interim" == next(call).WhichOneof("event")
        call.cancel()
        requests.put(None)
    *_, last = heard(audio, [begin(), *pieces(pcm(SOUND))])
    assert last.result.text


def test_sentences_are_spoken_one_after_the_other(audio: audio_pb2_grpc.AudioServiceStub) -> None:
    said = ["hello ada.", "does water stand ready?", "it does!"]
    parameters = Speech(seed=7, format=audio_pb2.AUDIO_FORMAT_PCM16)
    asked = audio_pb2.StreamSynthesizeSpeechRequest(
        model="vits-torch", text=" ".join([*said, "😀 ..."]), parameters=parameters
    )
    *spoken, last = audio.StreamSynthesizeSpeech(asked, timeout=TIMEOUT)
    assert said == [message.sentence.text for message in spoken]
    each = audio_pb2.SynthesizeSpeechRequest(model="vits-torch", texts=said, parameters=parameters)
    alone = audio.SynthesizeSpeech(each, timeout=TIMEOUT).results
    assert list(alone) == [message.sentence.audio for message in spoken]
    assert ("end", 3) == (last.WhichOneof("event"), last.end.sentences)
    assert sum(one.duration for one in alone) == last.end.duration
    assert ["", "", "", "vits-torch"] == [message.metadata.model for message in [*spoken, last]]
    assert last.metadata.tokens > 0


@pytest.mark.parametrize(
    ("text", "parameters", "field"),
    [
        ("", Speech(), "text"),
        (" \n", Speech(), "text"),
        ("...", Speech(), "text"),
        ("123", Speech(), "text"),
        ("hello. 123.", Speech(), "text"),
        ("hello", Speech(format=9), "parameters.format"),  # type: ignore[arg-type]
        ("hello", Speech(speaking_rate=9), "parameters.speaking_rate"),
        ("hello", Speech(speaker_id=1), "parameters.speaker_id"),
    ],
)
def test_what_cannot_be_spoken_is_refused_with_the_name_of_its_field(
    audio: audio_pb2_grpc.AudioServiceStub, text: str, parameters: Speech, field: str
) -> None:
    asked = audio_pb2.StreamSynthesizeSpeechRequest(model="vits-torch", text=text, parameters=parameters)
    found = refusal(audio.StreamSynthesizeSpeech(asked, timeout=TIMEOUT))
    assert (grpc.StatusCode.INVALID_ARGUMENT, [field]) == found
