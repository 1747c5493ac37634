"""A sound that comes piece by piece, as the requests of a stream.

Not aware of how they are sent.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, TypeAlias, Unpack

import numpy as np

from standpipe.audio.options import StreamTranscribeAudioOptions
from standpipe.fields import filled
from standpipe.pcm import TYPES, EncodingName, Samples, encoding_of, packed
from standpipe.sending import one_by_one
from standpipe.v1 import audio_pb2

Chunk: TypeAlias = bytes | bytearray | memoryview | Samples
"""A piece of a sound: its samples as bytes, or in an array (n,) or (n, channels)."""

_Request: TypeAlias = audio_pb2.StreamTranscribeAudioRequest

# One of them is one piece, or none; iterating over it would give letters, numbers or lines.
_One = str | os.PathLike | bytes | bytearray | memoryview | np.ndarray  # type: ignore[type-arg] # as in media

# A longer piece is sent as several: messages are limited.
_MESSAGE = 1 << 20


class AudioRequests:
    """What a stream of sound is, then its pieces, each made when it is asked for; for one loop, of any kind.

    Args:
        chunks: The pieces. ``async for`` asks a generator that may block on a thread.
        options: The model, and how to read them.

    Raises:
        TypeError: ``chunks`` is one piece, or can't be iterated over.
        ValueError: An option's value is none of those there are.
    """

    def __init__(
        self, chunks: Iterable[Chunk] | AsyncIterable[Chunk], **options: Unpack[StreamTranscribeAudioOptions]
    ) -> None:
        if isinstance(chunks, _One):
            raise TypeError("chunks is one piece of a sound; send a list: [chunk], or a generator of them")
        if not isinstance(chunks, Iterable | AsyncIterable):
            kind = type(chunks).__name__
            raise TypeError(f"chunks is of type {kind!r}; it may be: a list, or a generator, of pieces")
        self._chunks: Iterable[Any] | AsyncIterable[Any] = chunks
        self._options: dict[str, Any] = {**options}
        self._model = self._options.pop("model", None)
        self._encoding = options.get("encoding")
        self._channels = options.get("channels") or 1
        self._config()

    def __iter__(self) -> Iterator[_Request]:
        if not isinstance(self._chunks, Iterable):
            raise TypeError("chunks can be iterated over by async for only, which AsyncClient does")
        index = -1
        for index, chunk in enumerate(self._chunks):
            yield from self._requests(chunk, index)
        if index < 0:
            yield self._first()

    async def __aiter__(self) -> AsyncIterator[_Request]:
        index = -1
        async for chunk in one_by_one(self._chunks):
            index += 1
            for request in self._requests(chunk, index):
                yield request
        if index < 0:
            yield self._first()

    def _requests(self, chunk: Chunk, index: int) -> Iterator[_Request]:
        audio = self._bytes(chunk, f"chunks[{index}]")
        if index == 0:
            yield self._first()
        longest = max(1, _MESSAGE // self._frame) * self._frame
        for start in range(0, len(audio), longest):
            yield _Request(audio=audio[start : start + longest])

    def _first(self) -> _Request:
        return _Request(model=self._model, config=self._config())

    def _config(self) -> audio_pb2.StreamTranscriptionConfig:
        return filled(audio_pb2.StreamTranscriptionConfig, {**self._options, "encoding": self._encoding})

    @property
    def _frame(self) -> int:
        """Bytes of one moment, of all channels."""
        encoding: EncodingName = self._encoding or "pcm16"
        return TYPES[encoding].itemsize * self._channels

    def _bytes(self, chunk: Chunk, place: str) -> bytes:
        if isinstance(chunk, np.ndarray):
            return self._array(chunk, place)
        if not isinstance(chunk, bytes | bytearray | memoryview):
            known = "bytes, or an array of float32 or int16"
            raise TypeError(f"{place} is of type {type(chunk).__name__!r}; it may be: {known}")
        audio = bytes(chunk)
        if len(audio) % self._frame:
            whole = f"a whole number of samples of {self._frame} bytes"
            raise ValueError(f"{place} has {len(audio)} bytes; send {whole}, of all channels")
        return audio

    def _array(self, chunk: Samples, place: str) -> bytes:
        encoding = encoding_of(chunk, place)
        if self._encoding is None:
            self._encoding = encoding
        if encoding != self._encoding:
            raise ValueError(f"{place} is an array of {chunk.dtype}, but the stream is {self._encoding}")
        shape = chunk.shape if chunk.ndim != 1 else (len(chunk), 1)
        if len(shape) != 2 or shape[1] != self._channels:
            known = "(n,)" if self._channels == 1 else f"(n, {self._channels})"
            raise ValueError(f"{place} is an array of shape {chunk.shape}; send one of shape {known}")
        return packed(chunk, encoding)
