from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from struct import pack

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from audio_seeds import RATE, SECONDS, audio_file, audio_seeds, tone
from standpipe_server.errors import InvalidInputError, LimitExceededError, ModelFailedError
from standpipe_server.media.audio import (
    AudioFileLimits,
    AudioFormat,
    encode_audio,
    encoded_audio,
)

SEEDS = audio_seeds()
LIMITS = AudioFileLimits()
PCM = SEEDS["wav-pcm_16-1"]
DATA = PCM.index(b"data")

# What a coding may lose: where the level ends up, and how far the length is off.
EXACT, LOSSY = (0.001, 1), (0.03, 1)


def decoded(
    content: bytes, rate: int = RATE, limits: AudioFileLimits = LIMITS, field: str = "audio"
) -> NDArray[np.float32]:
    return encoded_audio(content, field, limits).samples(rate)


def refusal(
    content: bytes, kind: type[InvalidInputError] = InvalidInputError, limits: AudioFileLimits = LIMITS
) -> InvalidInputError:
    with pytest.raises(kind) as caught:
        decoded(content, limits=limits)
    assert "audio" == caught.value.field
    return caught.value


def heard(samples: NDArray[np.float32], rate: int) -> tuple[float, float]:
    """The loudest frequency and its level, off the ends."""
    middle = samples[len(samples) // 8 : -len(samples) // 8].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(spectrum.argmax() * rate / len(middle)), float(np.sqrt(2 * np.mean(middle**2)))


def wav_saying(size: int) -> bytes:
    return PCM[: DATA + 4] + pack("<I", size) + PCM[DATA + 8 :]


def floats(*values: float) -> bytes:
    return audio_file(np.array(values, np.float32)[:, None], RATE, "WAV", "FLOAT")


def mpeg(frames: NDArray[np.float32], rate: int = 44_100) -> bytes:
    """An MP3 of varying bit rate."""
    content = BytesIO()
    kind = {
        "format": "MP3",
        "subtype": "MPEG_LAYER_III",
        "bitrate_mode": "VARIABLE",
        "compression_level": 0.3,
    }
    soundfile.write(content, frames, rate, **kind)
    return content.getvalue()


def without_length(content: bytes) -> bytes:
    """An MP3 without its first frame, which says how many follow."""
    return content[content.index(content[:2], 4) :]


@pytest.mark.parametrize(
    ("container", "coding", "rates", "loses"),
    [
        ("WAV", "PCM_U8", (8000, 16000), (0.01, 1)),
        ("WAV", "PCM_16", (4000, 8000, 11025, 16000, 44100, 47999, 192000), EXACT),
        ("WAV", "PCM_24", (16000, 48000), EXACT),
        ("WAV", "PCM_32", (22050,), EXACT),
        ("WAV", "FLOAT", (16000, 44100), EXACT),
        ("WAV", "DOUBLE", (32000,), EXACT),
        ("WAV", "ULAW", (8000,), LOSSY),
        ("WAV", "ALAW", (8000,), LOSSY),
        ("WAVEX", "PCM_16", (44100,), EXACT),
        ("RF64", "PCM_16", (44100,), EXACT),
        ("FLAC", "PCM_16", (8000, 16000, 44100, 96000), EXACT),
        ("FLAC", "PCM_24", (48000, 192000), EXACT),
        ("OGG", "VORBIS", (8000, 16000, 44100, 96000), LOSSY),
        ("OGG", "OPUS", (8000, 16000, 24000, 48000), LOSSY),
        ("MP3", "MPEG_LAYER_III", (8000, 16000, 22050, 24000, 44100, 48000), LOSSY),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_heard_is_what_was_written(
    container: str, coding: str, rates: tuple[int, ...], loses: tuple[float, int], channels: int
) -> None:
    level, frames = loses
    for rate in rates:
        samples = decoded(audio_file(tone(440.0, rate, 1.0, channels), rate, container, coding))
        assert (1, np.dtype(np.float32)) == (samples.ndim, samples.dtype)
        assert RATE == pytest.approx(len(samples), abs=frames), rate
        assert (440.0, 0.5) == pytest.approx(heard(samples, RATE), abs=2.0, rel=level), rate
        assert 0.5 == pytest.approx(heard(samples, RATE)[1], rel=level), rate


@pytest.mark.parametrize("wanted", [8000, 16000, 24000, 48000])
def test_any_rate_may_be_wanted(wanted: int) -> None:
    samples = decoded(audio_file(tone(440.0, 44100, 1.0), 44100, "WAV", "PCM_16"), wanted)
    assert wanted == len(samples)
    assert 440.0 == pytest.approx(heard(samples, wanted)[0], abs=2.0)


def test_at_its_own_rate_a_file_comes_out_as_it_is() -> None:
    frames = tone(440.0, RATE, SECONDS)
    assert (frames[:, 0] == decoded(audio_file(frames, RATE, "WAV", "FLOAT"))).all()


def test_channels_are_mixed_evenly() -> None:
    frames = np.stack([np.full(800, 0.5), np.full(800, -0.25)], axis=1).astype(np.float32)
    assert np.full(800, 0.125) == pytest.approx(decoded(audio_file(frames, RATE, "WAV", "FLOAT")))


def test_what_the_wanted_rate_cannot_hold_is_silent_and_does_not_fold_back() -> None:
    samples = decoded(audio_file(tone(9000.0, 44100, 1.0), 44100, "WAV", "FLOAT"))
    assert 0.0 == pytest.approx(heard(samples, RATE)[1], abs=1e-4)


def test_a_file_longer_than_one_block_has_no_seams() -> None:
    samples = decoded(audio_file(tone(440.0, 48000, 5.0), 48000, "WAV", "FLOAT"))
    differences = np.abs(samples - tone(440.0, RATE, 5.0)[:, 0])
    assert 0.0 == pytest.approx(differences[800:-800].max(), abs=1e-3)


def test_louder_than_full_scale_stays_louder() -> None:
    assert [0.0, 2.0, -3.0] == decoded(floats(0.0, 2.0, -3.0)).tolist()


@pytest.mark.parametrize("content", SEEDS.values(), ids=SEEDS)
def test_tags_round_a_file_do_no_harm(content: bytes) -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    assert (decoded(content) == decoded(tag + tag + content)).all()
    assert (decoded(content) == decoded(content + b"TAG" + bytes(125))).all()


@pytest.mark.parametrize(
    ("limits", "limit", "value"),
    [
        (AudioFileLimits(max_bytes=100), "max_media_bytes", "100"),
        (AudioFileLimits(max_seconds=0.2), "max_seconds", "0.2"),
        (AudioFileLimits(max_channels=1), "max_channels", "1"),
        (AudioFileLimits(max_sample_rate=8000), "max_sample_rate", "8000"),
        (AudioFileLimits(min_sample_rate=20000), "min_sample_rate", "20000"),
    ],
)
@pytest.mark.parametrize("name", ["wav-pcm_16-2", "flac-pcm_16-2", "ogg-vorbis-2", "mp3-mpeg_layer_iii-2"])
def test_a_limit_is_named(limits: AudioFileLimits, limit: str, value: str, name: str) -> None:
    error = refusal(SEEDS[name], LimitExceededError, limits)
    assert {"limit": limit, "value": value} == error.details
    assert f"{limit} = {value}" in str(error)


@pytest.mark.parametrize(
    ("channels", "rate", "limit"),
    [(8, 48000, "max_channels"), (1, 384_000, "max_sample_rate"), (1, 1000, "min_sample_rate")],
)
def test_what_few_have_is_refused_by_default(channels: int, rate: int, limit: str) -> None:
    content = audio_file(tone(440.0, rate, 0.1, channels), rate, "WAV", "PCM_16")
    assert limit == refusal(content, LimitExceededError).details["limit"]


def test_what_a_header_says_is_refused_before_anything_is_decoded() -> None:
    flac = bytearray(SEEDS["flac-pcm_16-1"])
    flac[21] |= 0x0F  # the upper bits of the number of samples
    assert "max_seconds" == refusal(bytes(flac), LimitExceededError).details["limit"]


@pytest.mark.parametrize("said", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFF0000])
def test_a_wav_that_was_sent_while_it_was_made_is_read(said: int) -> None:
    assert (decoded(PCM) == decoded(wav_saying(said))).all()


def open_flac() -> bytes:
    flac = bytearray(SEEDS["flac-pcm_16-1"])
    flac[21:26] = bytes([flac[21] & 0xF0, 0, 0, 0, 0])
    return bytes(flac)


def test_a_flac_that_was_sent_while_it_was_made_is_read() -> None:
    assert (decoded(SEEDS["flac-pcm_16-1"]) == decoded(open_flac())).all()


@pytest.mark.parametrize(
    "content", [open_flac(), wav_saying(0xFFFFFFFF), without_length(SEEDS["mp3-mpeg_layer_iii-1"])]
)
def test_the_length_is_held_where_no_header_says_it(content: bytes) -> None:
    limits = AudioFileLimits(max_seconds=0.2)
    assert "max_seconds" == refusal(content, LimitExceededError, limits).details["limit"]


@pytest.mark.parametrize("rate", [44_100, 22_050, 11_025])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("order", [1, -1])
def test_an_mp3_of_varying_rate_that_does_not_say_its_length_is_read_to_its_end(
    rate: int, channels: int, order: int
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, (rate * 2, channels))
    content = mpeg(np.concatenate([noise, np.zeros_like(noise)][::order]), rate)
    stripped = without_length(content)
    guessed = soundfile.info(BytesIO(stripped)).duration
    assert not 3.0 < guessed < 5.0  # or there is nothing to see here
    assert 4.0 == pytest.approx(len(decoded(content)) / RATE, abs=0.001)
    assert 4.0 == pytest.approx(len(decoded(stripped)) / RATE, abs=0.15)


def test_mp3s_that_were_joined_are_read_to_their_end() -> None:
    content = SEEDS["mp3-mpeg_layer_iii-1"]
    joined = decoded(content + content + content)
    assert 3 * SECONDS == pytest.approx(len(joined) / RATE, abs=0.4)
    assert 2.5 * SECONDS < len(joined) / RATE


def test_an_mp3_with_a_gap_is_refused_whether_or_not_it_says_its_length() -> None:
    content = SEEDS["mp3-mpeg_layer_iii-1"] * 20
    middle = len(content) // 2
    for whole in (content, without_length(content)):
        assert "broken behind frame" in str(refusal(whole[:middle] + bytes(2000) + whole[middle:]))


def test_an_mp3_that_is_broken_everywhere_is_refused() -> None:
    content = SEEDS["mp3-mpeg_layer_iii-1"]
    with_junk = b"".join(b"junk" + content for _ in range(20)).removeprefix(b"junk")
    assert "broken behind frame" in str(refusal(with_junk))


@pytest.mark.parametrize(
    "name", ["wav-pcm_16-1", "wav-float-2", "wavex-pcm_16-1", "flac-pcm_16-1", "mp3-mpeg_layer_iii-1"]
)
def test_half_a_file_is_refused(name: str) -> None:
    content = SEEDS[name]
    assert str(refusal(content[: len(content) // 2])).startswith("the audio ")


@pytest.mark.parametrize("content", SEEDS.values(), ids=SEEDS)
def test_a_beginning_alone_is_refused(content: bytes) -> None:
    for size in (0, 3, 4, 8, 12, 16, 40):
        refusal(content[:size])


@pytest.mark.parametrize(("container", "coding"), [("OGG", "VORBIS"), ("FLAC", "PCM_16")])
def test_a_hole_in_a_file_is_refused(container: str, coding: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, (RATE * 4, 1)).astype(np.float32)
    content = audio_file(noise, RATE, container, coding)
    middle = len(content) // 2
    refusal(content[:middle] + bytes(6000) + content[middle + 6000 :])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"hello, world", "WAV, FLAC, Ogg (Vorbis or Opus) or MP3"),
        (bytes(4096), "raw samples"),
        (b"\xff\xf1\x50\x80" + bytes(400), "like none of the formats"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00" * 1000, "like none of the formats"),
        (b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", "like none of the formats"),
        (audio_file(tone(440.0, RATE, 0.1), RATE, "AIFF", "PCM_16"), "like none of the formats"),
        (audio_file(tone(440.0, RATE, 0.1), RATE, "WAV", "GSM610"), "WAV with GSM610"),
        (audio_file(tone(440.0, RATE, 0.0), RATE, "WAV", "PCM_16"), "no samples"),
        (wav_saying(0), "no samples"),
        (b"\xff\xfb\x90\x00" + bytes(40), "first frame"),
        (floats(0.0, float("nan"), 0.0), "infinite, or no numbers"),
        (floats(0.0, float("-inf"), 0.0), "infinite, or no numbers"),
        (floats(0.0, 1e30, 0.0), "infinite, or no numbers"),
    ],
)
def test_what_cannot_be_heard_is_refused_with_a_reason(content: bytes, why: str) -> None:
    assert why in str(refusal(content))


def test_nothing_is_decoded_where_the_request_is_read() -> None:
    assert "audio" == encoded_audio(PCM[:12] + b"nonsense", "audio", LIMITS).field


def test_broken_headers_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for place in range(0, DATA + 8, 2):
        for number in (0, 0x80000000, 0xFFFFFFF0):
            content = PCM[:place] + pack("<I", number) + PCM[place + 4 :]
            try:
                decoded(content)
            except InvalidInputError as error:
                assert "<" not in str(error)  # noqa: PT017
    assert ("", "") == capfd.readouterr()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize(("kind", "level"), [("wav", 0.001), ("flac", 0.001), ("ogg", 0.03)])
def test_what_is_written_can_be_read_again(kind: AudioFormat, level: float, rate: int) -> None:
    content = encode_audio(tone(440.0, rate, 1.0)[:, 0], rate, kind)
    frames, found = soundfile.read(BytesIO(content), dtype="float32")
    assert (rate, rate) == (found, len(frames))
    assert 440.0 == pytest.approx(heard(frames, rate)[0], abs=2.0)
    assert 0.5 == pytest.approx(heard(frames, rate)[1], rel=level)


@pytest.mark.parametrize(
    "read", [lambda content: decoded(content), lambda content: soundfile.read(BytesIO(content))[0]]
)
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_sixteen_bits_go_round_unchanged(
    kind: AudioFormat, read: Callable[[bytes], NDArray[np.float32]]
) -> None:
    samples = (np.arange(-32768, 32768) / 32768).astype(np.float32)
    assert (samples == read(encode_audio(samples, RATE, kind))).all()


def test_raw_samples_are_written() -> None:
    samples = np.array([0.0, 0.5, -1.0, 7.0, -7.0], np.float32)
    assert np.array([0, 16384, -32768, 32767, -32768], "<i2").tobytes() == encode_audio(
        samples, RATE, "pcm16"
    )


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
def test_what_is_louder_than_full_scale_is_cut(kind: AudioFormat) -> None:
    loud = decoded(encode_audio(4 * tone(440.0, RATE, 1.0)[:, 0], RATE, kind))
    assert 1.0 == pytest.approx(np.abs(loud).max(), abs=0.15)


def test_minutes_can_be_written() -> None:
    samples = np.zeros(8000 * 150, np.float32)
    samples[::80] = 0.5
    assert len(samples) == soundfile.info(BytesIO(encode_audio(samples, 8000, "ogg"))).frames


def test_what_a_model_wrote_wrong_is_not_written() -> None:
    with pytest.raises(ModelFailedError, match="aren't numbers"):
        encode_audio(np.array([0.0, np.nan], np.float32), RATE, "wav")


def test_a_rate_that_no_one_can_write_is_refused() -> None:
    with pytest.raises(ValueError, match="192000"):
        encode_audio(np.zeros(10, np.float32), 200_001, "ogg")


@pytest.mark.parametrize("kind", ["wav", "flac", "pcm16"])
def test_two_channels_are_written_side_by_side(kind: AudioFormat) -> None:
    left, right = (tone(pitch, 16000, 0.1)[:, 0] for pitch in (440.0, 220.0))
    content = encode_audio(np.stack([left, right]), 16000, kind)
    found = (
        np.frombuffer(content, "<i2").reshape(-1, 2) / 32768
        if kind == "pcm16"
        else soundfile.read(BytesIO(content))[0]
    )
    assert np.abs(found - np.stack([left, right], 1)).max() < 1e-4
