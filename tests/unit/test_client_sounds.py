"""Sound piece by piece as the clients send it, and sounds that were made as they give them."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import soundfile
from audio_answers import SAMPLES
from client_fakes import ANSWERS, fake_client

from standpipe import Sound
from standpipe.audio import options
from standpipe.audio.chunks import AudioRequests
from standpipe.audio.results import joined
from standpipe.v1 import audio_pb2

PCM = SAMPLES.tobytes()
FLOATS = np.array([0.0, 0.5, -1.0, 1.0], np.float32)
ENCODING = audio_pb2.AudioEncoding


def sent(chunks: Any, **options: Any) -> tuple[Any, list[bytes]]:
    """The first request, and what is in the others."""
    first, *others = AudioRequests(chunks, **options)
    assert {"audio"} >= {one.WhichOneof("content") for one in others}
    return first, [one.audio for one in others]


@pytest.mark.parametrize(
    ("option", "given", "expected"),
    [
        ("encoding", "float32", ENCODING.AUDIO_ENCODING_FLOAT32),
        ("sample_rate", 8000, 8000),
        ("channels", 2, 2),
        ("language", "en", "en"),
        ("task", "translate", audio_pb2.TRANSCRIPTION_TASK_TRANSLATE),
        ("interim_results", False, False),
    ],
)
def test_how_to_read_a_stream_is_its_first_request(option: str, given: Any, expected: Any) -> None:
    first, audio = sent([8 * b"a"], model="m", **{option: given})
    assert ("m", expected, [8 * b"a"]) == (first.model, getattr(first.config, option), audio)
    assert {option} == {field.name for field, _ in first.config.ListFields()}


def test_every_field_of_a_stream_can_be_said_and_none_is_as_if_it_were_not() -> None:
    declared = set(get_type_hints(options.StreamTranscribeAudioOptions))
    assert declared == {"model"} | {one.name for one in audio_pb2.StreamTranscriptionConfig.DESCRIPTOR.fields}
    first, _ = sent([PCM], **dict.fromkeys(declared))
    assert audio_pb2.StreamTranscribeAudioRequest(config=audio_pb2.StreamTranscriptionConfig()) == first


@pytest.mark.parametrize("chunks", [[], [b""]])
def test_a_stream_of_nothing_says_how_to_read_it_all_the_same(chunks: list[bytes]) -> None:
    first, audio = sent(chunks, sample_rate=8000)
    assert (8000, []) == (first.config.sample_rate, audio)


@pytest.mark.parametrize(
    ("chunk", "encoding", "audio"),
    [
        (bytearray(PCM), ENCODING.AUDIO_ENCODING_UNSPECIFIED, PCM),
        (memoryview(PCM), ENCODING.AUDIO_ENCODING_UNSPECIFIED, PCM),
        (SAMPLES, ENCODING.AUDIO_ENCODING_PCM16, PCM),
        (SAMPLES.astype(">i2"), ENCODING.AUDIO_ENCODING_PCM16, PCM),
        (SAMPLES[::-1], ENCODING.AUDIO_ENCODING_PCM16, SAMPLES[::-1].tobytes()),
        (SAMPLES[:, None], ENCODING.AUDIO_ENCODING_PCM16, PCM),
        (FLOATS, ENCODING.AUDIO_ENCODING_FLOAT32, FLOATS.tobytes()),
        (FLOATS.astype(np.float64), ENCODING.AUDIO_ENCODING_FLOAT32, FLOATS.tobytes()),
    ],
)
def test_an_array_says_how_its_samples_travel(chunk: Any, encoding: int, audio: bytes) -> None:
    first, pieces = sent([chunk, chunk])
    assert (encoding, [audio, audio]) == (first.config.encoding, pieces)


def test_channels_lie_side_by_side() -> None:
    both = np.array([[1, 2], [3, 4], [5, 6]], np.int16)
    assert np.arange(1, 7, dtype="<i2").tobytes() == sent([both], channels=2)[1][0]
    assert np.arange(1, 7, dtype="<i2").tobytes() == sent([np.asfortranarray(both)], channels=2)[1][0]


def test_a_long_piece_is_sent_in_several_of_whole_samples() -> None:
    long = np.arange(500_000, dtype=np.float32).reshape(-1, 1).repeat(3, 1)
    _, audio = sent([long], channels=3)
    assert long.tobytes() == b"".join(audio)
    assert [0, 0, 0, 0, 0, 0] == [len(piece) % 12 for piece in audio]
    assert max(map(len, audio)) <= 1 << 20


@pytest.mark.parametrize("one", [PCM, bytearray(PCM), memoryview(PCM), SAMPLES, "a.wav", Path("a.wav")])
def test_one_piece_where_several_are_meant_is_refused(one: Any) -> None:
    with pytest.raises(TypeError, match=r"^chunks is one piece of a sound; send a list: \[chunk\]"):
        fake_client(ANSWERS)[0].stream_transcribe_audio(one)


def test_what_is_no_sequence_of_pieces_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^chunks is of type 'int'; it may be: a list, or a generator"):
        fake_client(ANSWERS)[0].stream_transcribe_audio(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chunk", "options", "kind", "problem"),
    [
        (PCM[:3], {}, ValueError, "has 3 bytes; send a whole number of samples of 2 bytes, of all channels"),
        (PCM[:6], {"channels": 2}, ValueError, "has 6 bytes; send a whole number of samples of 4 bytes, of"),
        (PCM[:6], {"encoding": "float32"}, ValueError, "has 6 bytes; send a whole number of samples of 4"),
        (FLOATS, {"encoding": "pcm16"}, ValueError, "is an array of float32, but the stream is pcm16"),
        (
            SAMPLES.astype(np.int32),
            {},
            ValueError,
            "is an array of int32; send one of float32, from -1 to 1, or",
        ),
        (SAMPLES.reshape(2, 2), {}, ValueError, "is an array of shape (2, 2); send one of shape (n,)"),
        (SAMPLES, {"channels": 2}, ValueError, "is an array of shape (4,); send one of shape (n, 2)"),
        (SAMPLES[0], {}, TypeError, "is of type 'int16'; it may be: bytes, or an array of float32 or int16"),
        ("a.wav", {}, TypeError, "is of type 'str'; it may be: bytes, or an array of float32 or int16"),
    ],
)
def test_a_piece_that_can_not_be_sent_is_named(
    chunk: Any, options: dict[str, Any], kind: type[Exception], problem: str
) -> None:
    whole = {"float32": FLOATS, None: SAMPLES.reshape(-1, options.get("channels", 1))}
    with pytest.raises(kind) as raised:
        sent([whole.get(options.get("encoding"), PCM), chunk], **options)
    assert str(raised.value).startswith(f"chunks[1] {problem}")


def test_pieces_are_made_when_they_are_asked_for() -> None:
    taken: list[int] = []

    def microphone() -> Iterator[bytes]:
        for index in range(3):
            taken.append(index)
            yield PCM

    made = iter(AudioRequests(microphone()))
    assert ("config", [0]) == (next(made).WhichOneof("content"), taken)
    assert ("audio", [0]) == (next(made).WhichOneof("content"), taken)
    assert ("audio", [0, 1]) == (next(made).WhichOneof("content"), taken)


async def test_the_async_client_takes_pieces_of_either_kind_of_generator() -> None:
    async def later() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield PCM

    expected = list(AudioRequests([PCM, PCM, PCM]))
    either: list[Iterable[bytes] | AsyncIterator[bytes]] = [[PCM] * 3, iter([PCM] * 3), later()]
    for chunks in either:
        assert expected == [request async for request in AudioRequests(chunks)]
    nothing: list[bytes] = []
    assert list(AudioRequests(nothing)) == [request async for request in AudioRequests(nothing)]


def file(form: str, *, subtype: str = "PCM_16", channels: int = 1) -> bytes:
    """The samples as a file, written by another hand."""
    content = BytesIO()
    soundfile.write(content, SAMPLES.reshape(-1, channels), 8000, format=form, subtype=subtype)
    return content.getvalue()


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_floats_however_they_came(channels: int) -> None:
    expected = np.array([0, 0.5, -1, 32767 / 32768], np.float32)
    wav = file("WAV", channels=channels)
    for sound in (
        Sound(PCM, 8000, channels, 0.1, "pcm16"),
        Sound(wav, 8000, channels, 0.1, "wav"),
    ):
        np.testing.assert_array_equal(expected if channels == 1 else expected.reshape(2, 2), sound.samples)
        assert np.float32 == sound.samples.dtype
        assert sound.samples.flags.writeable


@pytest.mark.parametrize(
    ("sound", "problem"),
    [
        (Sound(b"fLaC", 8000, 1, 0.1, "flac"), "a sound in flac can't be read here: ask for pcm16 or wav"),
        (Sound(b"OggS", 8000, 1, 0.1, "ogg"), "a sound in ogg can't be read here: ask for pcm16 or wav"),
        (Sound(PCM, 8000, 1, 0.1, "wav"), "the sound can't be read as WAV: file does not start with RIFF id"),
        (Sound(b"RIFF", 8000, 1, 0.1, "wav"), "the sound can't be read as WAV: it ends early"),
        (
            Sound(file("WAV", subtype="PCM_24"), 8000, 1, 0.1, "wav"),
            "the sound has samples of 24 bits; what can be read here has 16",
        ),
    ],
)
def test_samples_of_what_takes_a_library_to_read_are_refused(sound: Sound, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        sound.samples  # noqa: B018


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_saved_as_a_wav_file(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "a.wav"
    Sound(PCM, 8000, channels, 0.1, "pcm16").save(path)
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert ((4 // channels, channels), 8000) == (samples.shape, rate)
    assert PCM == samples.tobytes()
    with wave.open(str(path)) as header:
        assert 4 // channels == header.getnframes()


@pytest.mark.parametrize("form", ["wav", "flac", "ogg"])
def test_a_file_is_saved_as_it_is(tmp_path: Path, form: Any) -> None:
    Sound(b"a file", 8000, 1, 0.1, form).save(str(tmp_path / "a"))
    assert b"a file" == (tmp_path / "a").read_bytes()


def test_wav_files_are_joined_to_one() -> None:
    sound = Sound(file("WAV"), 8000, 1, 0.0005, "wav")
    both = joined([sound, sound])
    samples, rate = soundfile.read(BytesIO(both.content), dtype="int16")
    assert (8000, 2 * PCM) == (rate, samples.tobytes())
    assert (8000, 1, 0.001, "wav") == (both.sample_rate, both.channels, both.duration, both.format)


def test_what_can_not_be_joined_says_so() -> None:
    sound = Sound(b"OggS", 8000, 1, 0.1, "ogg")
    with pytest.raises(ValueError, match="a sound in ogg can't be joined here: ask for pcm16 or wav"):
        joined([sound, sound])
    with pytest.raises(ValueError, match="not one sentence was spoken"):
        joined([])


def test_a_sound_shows_itself_without_its_content() -> None:
    shown = "Sound(sample_rate=8000, channels=1, duration=0.0005, format='pcm16')"
    assert shown == repr(Sound(PCM, 8000, 1, 0.0005, "pcm16"))
