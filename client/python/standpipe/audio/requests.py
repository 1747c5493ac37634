"""AudioService's requests from Python arguments; shared by both clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from standpipe.audio.options import (
    AudioFormatName,
    ClassifyAudioOptions,
    ClassifyAudioZeroShotOptions,
    GenerateAudioOptions,
    SynthesizeSpeechOptions,
    TranscribeAudioOptions,
)
from standpipe.fields import filled, gathered, several
from standpipe.media import AudioSource, audio_messages
from standpipe.v1 import audio_pb2

SAMPLES: AudioFormatName = "pcm16"
"""What is asked for where the caller names no format: what can be heard, or reckoned with, at once."""


def transcribe_audio_request(
    audios: Sequence[AudioSource], **options: Unpack[TranscribeAudioOptions]
) -> audio_pb2.TranscribeAudioRequest:
    """A request to write down what is said.

    Raises:
        TypeError: ``audios`` is one audio, or holds what is none.
        ValueError: An array can't be sent, or an option's value is none of those there are.
        OSError: A file can't be read. All three hold for every request here.
    """
    messages = audio_messages("audios", audios)
    return filled(audio_pb2.TranscribeAudioRequest, gathered(options), audios=messages)


def classify_audio_request(
    audios: Sequence[AudioSource], **options: Unpack[ClassifyAudioOptions]
) -> audio_pb2.ClassifyAudioRequest:
    """A request to label sounds."""
    return filled(audio_pb2.ClassifyAudioRequest, options, audios=audio_messages("audios", audios))


def classify_audio_zero_shot_request(
    audios: Sequence[AudioSource],
    candidate_labels: Sequence[str],
    **options: Unpack[ClassifyAudioZeroShotOptions],
) -> audio_pb2.ClassifyAudioZeroShotRequest:
    """A request to label sounds with labels of the caller's own."""
    return filled(
        audio_pb2.ClassifyAudioZeroShotRequest,
        options,
        audios=audio_messages("audios", audios),
        candidate_labels=several("candidate_labels", candidate_labels),
    )


def synthesize_speech_request(
    texts: Sequence[str], **options: Unpack[SynthesizeSpeechOptions]
) -> audio_pb2.SynthesizeSpeechRequest:
    """A request to speak texts."""
    fields = _spoken(options)
    return filled(audio_pb2.SynthesizeSpeechRequest, fields, texts=several("texts", texts))


def stream_synthesize_speech_request(
    text: str, **options: Unpack[SynthesizeSpeechOptions]
) -> audio_pb2.StreamSynthesizeSpeechRequest:
    """A request to speak a text, sentence by sentence."""
    return filled(audio_pb2.StreamSynthesizeSpeechRequest, _spoken(options), text=text)


def generate_audio_request(
    prompts: Sequence[str], **options: Unpack[GenerateAudioOptions]
) -> audio_pb2.GenerateAudioRequest:
    """A request to make sounds that are described."""
    fields = {**gathered(options), "format": options.get("format") or SAMPLES}
    return filled(audio_pb2.GenerateAudioRequest, fields, prompts=several("prompts", prompts))


def _spoken(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, those that say how a text is spoken gathered in one message."""
    known = audio_pb2.SpeechParameters.DESCRIPTOR.fields_by_name
    given = {"format": SAMPLES, **{name: value for name, value in options.items() if value is not None}}
    speaking = {name: given.pop(name) for name in list(given) if name in known}
    return {**given, "parameters": filled(audio_pb2.SpeechParameters, speaking)}
