"""AudioService's methods."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from typing import Unpack

from standpipe.aio.connection import AsyncConnection
from standpipe.audio import calls
from standpipe.audio.chunks import Chunk
from standpipe.audio.options import (
    ClassifyAudioOptions,
    ClassifyAudioZeroShotOptions,
    GenerateAudioOptions,
    StreamTranscribeAudioOptions,
    SynthesizeSpeechOptions,
    TranscribeAudioOptions,
)
from standpipe.audio.results import Sound, SpokenSentence, Transcript, TranscriptEvent
from standpipe.media import AudioSource
from standpipe.results import Label
from standpipe.streams import AsyncResultStream


class AsyncAudioMethods(AsyncConnection):
    """The methods of AudioService.

    Files are read, and arrays packed, on a thread beside the event loop.
    """

    async def transcribe_audio(
        self,
        audios: Sequence[AudioSource],
        *,
        timeout: float | None = None,
        **options: Unpack[TranscribeAudioOptions],
    ) -> list[Transcript]:
        """What is said in each sound, however long it is."""
        return await self._make_aside(calls.TRANSCRIBE_AUDIO, timeout, audios, **options)

    def stream_transcribe_audio(
        self,
        chunks: Iterable[Chunk] | AsyncIterable[Chunk],
        *,
        timeout: float | None = None,
        **options: Unpack[StreamTranscribeAudioOptions],
    ) -> AsyncResultStream[TranscriptEvent, Transcript]:
        """What is said, while it is still being said: ``async for event in …``.

        The pieces may come from an asynchronous generator; any other is asked on a thread.
        """
        return self._make_result_stream(calls.STREAM_TRANSCRIBE_AUDIO, timeout, chunks, **options)

    async def classify_audio(
        self,
        audios: Sequence[AudioSource],
        *,
        timeout: float | None = None,
        **options: Unpack[ClassifyAudioOptions],
    ) -> list[list[Label]]:
        """The labels of each sound, best first."""
        return await self._make_aside(calls.CLASSIFY_AUDIO, timeout, audios, **options)

    async def classify_audio_zero_shot(
        self,
        audios: Sequence[AudioSource],
        candidate_labels: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[ClassifyAudioZeroShotOptions],
    ) -> list[list[Label]]:
        """The candidate labels for each sound, best first."""
        return await self._make_aside(
            calls.CLASSIFY_AUDIO_ZERO_SHOT, timeout, audios, candidate_labels, **options
        )

    async def synthesize_speech(
        self,
        texts: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[SynthesizeSpeechOptions],
    ) -> list[Sound]:
        """Each text, spoken."""
        rpc = calls.synthesize_speech(options.get("format"))
        return await self._make(rpc, timeout, texts, **options)

    def stream_synthesize_speech(
        self, text: str, *, timeout: float | None = None, **options: Unpack[SynthesizeSpeechOptions]
    ) -> AsyncResultStream[SpokenSentence, Sound]:
        """A text, spoken sentence by sentence: ``async for sentence in …``."""
        rpc = calls.stream_synthesize_speech(options.get("format"))
        return self._make_result_stream(rpc, timeout, text, **options)

    async def generate_audio(
        self,
        prompts: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[GenerateAudioOptions],
    ) -> list[Sound]:
        """A sound for each description."""
        return await self._make(calls.generate_audio(options.get("format")), timeout, prompts, **options)
