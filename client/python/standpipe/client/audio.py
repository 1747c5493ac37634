"""AudioService's methods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Unpack

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
from standpipe.client.connection import Connection
from standpipe.media import AudioSource
from standpipe.results import Label
from standpipe.streams import ResultStream


class AudioMethods(Connection):
    """The methods of AudioService.

    A sound may be the path of a file, an http or https address (which the server must admit), the bytes of a
    file, a ``common_pb2.Audio``, or ``(samples, sample_rate)``: an array (n,) or (n, channels), of a float
    type from -1 to 1 or of int16, and how many samples there are a second, as ``soundfile.read`` gives them.
    Arrays are sent as WAV, of int16 or of float32. A file that can't be read raises OSError.

    What is made comes as samples of 16 bits, unless ``format`` asks for a file.
    """

    def transcribe_audio(
        self,
        audios: Sequence[AudioSource],
        *,
        timeout: float | None = None,
        **options: Unpack[TranscribeAudioOptions],
    ) -> list[Transcript]:
        """What is said in each sound, however long it is.

        Args:
            audios: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of TranscribeAudioRequest and of GenerationParameters.
        """
        return self._make(calls.TRANSCRIBE_AUDIO, timeout, audios, **options)

    def stream_transcribe_audio(
        self,
        chunks: Iterable[Chunk],
        *,
        timeout: float | None = None,
        **options: Unpack[StreamTranscribeAudioOptions],
    ) -> ResultStream[TranscriptEvent, Transcript]:
        r"""What is said, while it is still being said.

        Args:
            chunks: The sound in pieces of any length: bytes, or arrays (n,) or (n, channels) of float32 or
                int16. They are taken one by one when they can be sent, on a thread beside the caller's, so
                they may come from a microphone. What is raised there is raised by the stream.
            timeout: Seconds for the whole stream, the sound that is waited for included; the client's own
                where None.
            options: The model, and the fields of StreamTranscriptionConfig. Without ``sample_rate`` and
                ``channels`` there are 16,000 samples a second of one channel; bytes are samples of 16 bits
                unless ``encoding`` is "float32", and arrays say it themselves.

        >>> for event in client.stream_transcribe_audio(microphone(), timeout=3600):  # doctest: +SKIP
        ...     print(event.text, end="\n" if event.settled else "\r")
        """
        return self._make_result_stream(calls.STREAM_TRANSCRIBE_AUDIO, timeout, chunks, **options)

    def classify_audio(
        self,
        audios: Sequence[AudioSource],
        *,
        timeout: float | None = None,
        **options: Unpack[ClassifyAudioOptions],
    ) -> list[list[Label]]:
        """The labels of each sound, best first.

        Args:
            audios: At least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of ClassifyAudioRequest.
        """
        return self._make(calls.CLASSIFY_AUDIO, timeout, audios, **options)

    def classify_audio_zero_shot(
        self,
        audios: Sequence[AudioSource],
        candidate_labels: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[ClassifyAudioZeroShotOptions],
    ) -> list[list[Label]]:
        """The candidate labels for each sound, best first.

        Args:
            audios: At least one.
            candidate_labels: The labels to choose from.
            timeout: Seconds; the client's own where None.
            options: As the fields of ClassifyAudioZeroShotRequest.
        """
        return self._make(calls.CLASSIFY_AUDIO_ZERO_SHOT, timeout, audios, candidate_labels, **options)

    def synthesize_speech(
        self,
        texts: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[SynthesizeSpeechOptions],
    ) -> list[Sound]:
        """Each text, spoken: ``sound.samples`` is an array, and ``sound.save(path)`` writes a file.

        Args:
            texts: At least one, none empty.
            timeout: Seconds; the client's own where None.
            options: The model, and the fields of SpeechParameters.
        """
        rpc = calls.synthesize_speech(options.get("format"))
        return self._make(rpc, timeout, texts, **options)

    def stream_synthesize_speech(
        self, text: str, *, timeout: float | None = None, **options: Unpack[SynthesizeSpeechOptions]
    ) -> ResultStream[SpokenSentence, Sound]:
        """A text, spoken sentence by sentence; the result is all of it, unless ``format`` is FLAC or Ogg.

        Args:
            text: The text.
            timeout: Seconds for the whole stream; the client's own where None.
            options: As for ``synthesize_speech``.

        >>> for sentence in client.stream_synthesize_speech(text):  # doctest: +SKIP
        ...     play(sentence.sound.samples, sentence.sound.sample_rate)
        """
        rpc = calls.stream_synthesize_speech(options.get("format"))
        return self._make_result_stream(rpc, timeout, text, **options)

    def generate_audio(
        self,
        prompts: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[GenerateAudioOptions],
    ) -> list[Sound]:
        """A sound for each description: music, noises, or speech with a voice of its own.

        Args:
            prompts: What they are to be, or for models that speak what they say; at least one.
            timeout: Seconds; the client's own where None.
            options: As the fields of GenerateAudioRequest and of GenerationParameters.
        """
        return self._make(calls.generate_audio(options.get("format")), timeout, prompts, **options)
