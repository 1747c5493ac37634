"""Audio files to one channel of samples at a model's rate, within limits; and samples to files.

A file is looked at in two steps. Its first bytes are checked where the request is read, which costs nothing;
it is decoded where the model runs, block by block, so that no more of it is held than what the model is to
hear, whatever its header says.

What libsndfile reads without complaint is taken, with one exception: a file that is shorter than its own
header says is refused, since half an upload would get half an answer, and nobody would notice. A header may
leave the length open, as those of recordings do that are sent while they are made.

Not aware of messages, models or tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from standpipe_server.errors import InvalidInputError, LimitExceededError, ModelFailedError, check_limit
from standpipe_server.media.mpeg import BrokenMpegError, begins_like_mpeg, with_its_length
from standpipe_server.media.resampling import StreamResampler
from standpipe_server.media.wav import missing_seconds

_FORMATS = "WAV, FLAC, Ogg (Vorbis or Opus) or MP3"

# Of the many that libsndfile reads those that people send; few look at the decoders of the others.
_READ = {"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3"}
_CODINGS = {
    *("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
    *("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"),
}

# Files by what they begin with: each is a mark and where it stands.
_MARKS: tuple[tuple[tuple[int, bytes], ...], ...] = (
    ((0, b"RIFF"), (8, b"WAVE")),
    ((0, b"RF64"), (8, b"WAVE")),
    ((0, b"fLaC"),),
    ((0, b"OggS"),),
)

_BLOCK = 1 << 16  # frames that are decoded at a time
_WRITTEN = 1 << 12  # libvorbis has what it is given at once on the stack: minutes of it end the process
_MAX_WRITTEN_RATE = 192_000  # with more than 200,000 libvorbis ends the process
_MISSING_SECONDS = 0.1  # that writers of headers may miscount
_UNKNOWN_FRAMES = 1 << 62  # less than what libsndfile says where a header leaves the length open
_LOUDEST = 1e6  # full scale is 1, or 32768 in float files of the careless
_MOST_TAGS = 4  # before a file; one is usual

AudioFormat = Literal["wav", "flac", "ogg", "pcm16"]
"""What samples are written as: 16 bits each, or Vorbis in Ogg. Opus would know only five sample rates."""

RawEncoding = Literal["pcm16", "float32"]
"""What raw samples are, little-endian."""

# How a number stands in raw bytes, and what it is divided by.
_RAW: dict[RawEncoding, tuple[np.dtype[Any], np.float32]] = {
    "pcm16": (np.dtype("<i2"), np.float32(32768)),
    "float32": (np.dtype("<f4"), np.float32(1)),
}


@dataclass(frozen=True, slots=True)
class AudioFileLimits:
    """What an audio file may be.

    Attributes:
        max_bytes: Of the file.
        max_seconds: That it plays.
        max_channels: That it has.
        min_sample_rate: Samples a second, at least.
        max_sample_rate: Samples a second, at most.
    """

    max_bytes: int = 32 << 20
    max_seconds: float = 3600.0
    max_channels: int = 2
    min_sample_rate: int = 4_000
    max_sample_rate: int = 192_000


@dataclass(frozen=True, slots=True)
class EncodedAudio:
    """An audio file whose beginning was checked.

    Attributes:
        content: The file, without a tag before it.
        limits: What it may be.
        field: Where the request has it.
    """

    content: bytes
    limits: AudioFileLimits
    field: str

    def samples(self, rate: int) -> NDArray[np.float32]:
        """All of it, mixed to one channel: (n,), from -1 to 1 unless the file has louder ones.

        Args:
            rate: Samples a second that are wanted.

        Raises:
            InvalidInputError: It can't be read, has nothing in it or ends early, naming the field.
            LimitExceededError: It is longer than it may be, or has more channels or another sample rate.
        """
        try:
            with _Forwards(BytesIO(with_its_length(self.content) or self.content)) as file:
                self._check_header(file)
                samples = self._resampled(file, rate)
        except (BrokenMpegError, soundfile.SoundFileError) as error:
            raise InvalidInputError(f"the audio can't be read: {_why(error)}", self.field) from error
        if not samples.size:
            raise InvalidInputError("the audio is empty: there are no samples in the file", self.field)
        return samples

    def _check_header(self, file: soundfile.SoundFile) -> None:
        """Refuse what needn't be decoded to be refused."""
        if file.format not in _READ or file.subtype not in _CODINGS:
            raise InvalidInputError(
                f"{file.format} with {file.subtype} isn't read here: send a {_FORMATS} file", self.field
            )
        limits = self.limits
        if file.channels > limits.max_channels:
            raise self._too("channels", file.channels, "max_channels", limits.max_channels)
        if file.samplerate > limits.max_sample_rate:
            raise self._too("samples a second", file.samplerate, "max_sample_rate", limits.max_sample_rate)
        if file.samplerate < limits.min_sample_rate:
            raise self._too("samples a second", file.samplerate, "min_sample_rate", limits.min_sample_rate)
        if file.frames < _UNKNOWN_FRAMES:
            self._check_seconds(file.frames / file.samplerate)

    def _check_seconds(self, seconds: float) -> None:
        if seconds > self.limits.max_seconds:
            raise self._too("seconds", round(seconds, 1), "max_seconds", self.limits.max_seconds)

    def _too(self, what: str, value: float, limit: str, bound: float) -> LimitExceededError:
        beyond = "are fewer than" if limit.startswith("min") else "exceed"
        message = f"{value:g} {what} {beyond} the limit {limit} = {bound:g}"
        return LimitExceededError(message, self.field, limit=limit, value=f"{bound:g}")

    def _resampled(self, file: soundfile.SoundFile, rate: int) -> NDArray[np.float32]:
        resampler = StreamResampler(file.samplerate, rate)
        kept = bytearray()  # grows in place: joined at the end, parts would take their memory twice
        frames = 0
        for block in _blocks(file):
            frames += len(block)
            self._check_seconds(frames / file.samplerate)
            kept += resampler.feed(_mixed(block, self.field)).data
        kept += resampler.finish().data
        said = file.frames if file.frames < _UNKNOWN_FRAMES else 0
        missing = max((said - frames) / file.samplerate, missing_seconds(self.content))
        if missing > _MISSING_SECONDS:
            raise InvalidInputError(
                f"the audio ends early: {missing:.1f} s of what it should hold are missing or broken",
                self.field,
            )
        return np.frombuffer(kept, np.float32)


def encoded_audio(content: bytes, field: str, limits: AudioFileLimits) -> EncodedAudio:
    """An audio file, once its size and its first bytes are checked; nothing is decoded.

    Raises:
        InvalidInputError: It is none of the formats that are read.
        LimitExceededError: It has more bytes than it may.
    """
    check_limit(len(content), field, "max_media_bytes", limits.max_bytes, "bytes")
    if not content:
        raise InvalidInputError(f"the audio is empty: send a {_FORMATS} file", field)
    content = _untagged(content)
    marked = any(all(content.startswith(mark, place) for place, mark in marks) for marks in _MARKS)
    if marked or begins_like_mpeg(content):
        return EncodedAudio(content, limits, field)
    raise InvalidInputError(
        f"it begins like none of the formats read here: send a {_FORMATS} file, not raw samples", field
    )


def raw_samples(chunk: bytes, encoding: RawEncoding, channels: int, field: str) -> NDArray[np.float32]:
    """Samples that come without a file, mixed to one channel: (n,).

    Args:
        chunk: Whole frames: a number for each channel.
        encoding: What a number is.
        channels: That take turns.
        field: Where the request has them.

    Raises:
        InvalidInputError: A frame is incomplete, or a number isn't one.
    """
    kind, scale = _RAW[encoding]
    size = kind.itemsize * channels
    if len(chunk) % size:
        raise InvalidInputError(
            f"{len(chunk)} bytes aren't whole frames: {encoding} × {channels} is {size} bytes each",
            field,
        )
    numbers = np.frombuffer(chunk, kind).astype(np.float32) / scale
    return _mixed(numbers.reshape(-1, channels), field)


def encode_audio(samples: NDArray[np.float32], rate: int, kind: AudioFormat) -> bytes:
    """Samples (n,), or (channels, n), as a file, or raw, channels interleaved; what is louder than 1 is cut.

    Raises:
        ModelFailedError: One isn't a number: a model wrote it.
        ValueError: There are more of them a second than can be written.
    """
    if rate > _MAX_WRITTEN_RATE:
        raise ValueError(f"{rate} samples a second are more than {_MAX_WRITTEN_RATE}")
    if not np.isfinite(samples).all():
        raise ModelFailedError("the model wrote samples that aren't numbers")
    # What 16 bits held before comes out of it unchanged.
    frames = np.atleast_2d(samples).T
    numbers: NDArray[np.int16] = np.rint(np.clip(frames, -1, 1) * 32768).clip(max=32767).astype("<i2")
    if kind == "pcm16":
        return numbers.tobytes()
    content = BytesIO()
    coding = "VORBIS" if kind == "ogg" else "PCM_16"
    with soundfile.SoundFile(content, "w", rate, numbers.shape[1], coding, format=kind.upper()) as file:
        for place in range(0, len(numbers), _WRITTEN):
            file.write(numbers[place : place + _WRITTEN])
    return content.getvalue()


class _Forwards(soundfile.SoundFile):  # type: ignore[misc]
    """Reads from the beginning to the end only: soundfile would seek after each block to where it stands."""

    def seekable(self) -> bool:
        return False


def _blocks(file: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    """Its frames (frames, channels), some at a time: not those behind the last, which may be tags."""
    left = file.frames
    while len(block := file.read(min(_BLOCK, left), "float32", always_2d=True)):
        left -= len(block)
        yield block


def _mixed(block: NDArray[np.float32], field: str) -> NDArray[np.float32]:
    """The mean of a block's channels (frames, channels)."""
    # Asked like this, since nothing is true of what is no number.
    if not np.abs(block).max(initial=0) <= _LOUDEST:
        raise InvalidInputError("samples are infinite, or no numbers at all", field)
    channels = block.shape[1]
    return block[:, 0] if channels == 1 else block @ np.full(channels, 1 / channels, np.float32)


def _untagged(content: bytes) -> bytes:
    """A file without the ID3 tags before it: behind one libsndfile would try any format that it knows."""
    place = 0
    for _ in range(_MOST_TAGS):
        if not content.startswith(b"ID3", place) or len(content) < place + 10:
            break
        footer = 10 if content[place + 5] & 0x10 else 0
        size = 0
        for byte in content[place + 6 : place + 10]:
            size = size << 7 | byte & 0x7F
        place += 10 + size + footer
    return content[place:]


def _why(error: Exception) -> str:
    """What the library said, in one line, without the name that it gave to bytes."""
    words = " ".join(str(getattr(error, "error_string", error)).split())
    if words.startswith("File does not exist"):  # what it says of MPEG audio without any frame
        return "there is no audio where its first frame should be"
    return words.removeprefix("Error : ").rstrip(".")
