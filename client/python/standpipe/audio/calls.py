"""AudioService's RPCs, declared once for both clients.

Those that make sound are made for a format: an answer doesn't name its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from standpipe.audio import requests
from standpipe.audio.chunks import AudioRequests
from standpipe.audio.options import AudioFormatName
from standpipe.audio.results import (
    Sound,
    SpokenSentence,
    Transcript,
    TranscriptEvent,
    TranscriptPart,
    joined,
)
from standpipe.calls import Rpc, StreamRpc, labels
from standpipe.v1 import audio_pb2


def _transcript(transcript: audio_pb2.Transcript) -> Transcript:
    parts = tuple(TranscriptPart(part.text, part.start, part.end) for part in transcript.parts)
    return Transcript(transcript.text, parts, transcript.duration)


def _interim(part: audio_pb2.TranscriptPart) -> TranscriptEvent:
    return TranscriptEvent(part.text, part.start, part.end, settled=False)


def _settled(part: audio_pb2.TranscriptPart) -> TranscriptEvent:
    return TranscriptEvent(part.text, part.start, part.end, settled=True)


def _sound(audio: audio_pb2.GeneratedAudio, form: AudioFormatName | None) -> Sound:
    """A sound, in the form that was asked for."""
    return Sound(audio.content, audio.sample_rate, audio.channels, audio.duration, form or requests.SAMPLES)


def _sounds(audios: Iterable[audio_pb2.GeneratedAudio], form: AudioFormatName | None) -> list[Sound]:
    return [_sound(audio, form) for audio in audios]


TRANSCRIBE_AUDIO = Rpc(
    lambda stubs: stubs.audio.TranscribeAudio,
    requests.transcribe_audio_request,
    lambda response: [_transcript(result) for result in response.results],
)

STREAM_TRANSCRIBE_AUDIO = StreamRpc(
    lambda stubs: stubs.audio.StreamTranscribeAudio,
    AudioRequests,
    {"interim": _interim, "segment": _settled},
    "result",
    lambda _, whole: _transcript(whole),
)

CLASSIFY_AUDIO = Rpc(
    lambda stubs: stubs.audio.ClassifyAudio,
    requests.classify_audio_request,
    lambda response: labels(response.results),
)

CLASSIFY_AUDIO_ZERO_SHOT = Rpc(
    lambda stubs: stubs.audio.ClassifyAudioZeroShot,
    requests.classify_audio_zero_shot_request,
    lambda response: labels(response.results),
)


def synthesize_speech(form: AudioFormatName | None) -> Rpc[..., Any, Any, list[Sound]]:
    """SynthesizeSpeech, its answers in a format."""
    return Rpc(
        lambda stubs: stubs.audio.SynthesizeSpeech,
        requests.synthesize_speech_request,
        lambda response: _sounds(response.results, form),
    )


def stream_synthesize_speech(form: AudioFormatName | None) -> StreamRpc[..., Any, SpokenSentence, Sound]:
    """StreamSynthesizeSpeech, its sentences in a format."""
    return StreamRpc(
        lambda stubs: stubs.audio.StreamSynthesizeSpeech,
        requests.stream_synthesize_speech_request,
        {"sentence": lambda sentence: SpokenSentence(sentence.text, _sound(sentence.audio, form))},
        "end",
        lambda sentences, _: joined([sentence.sound for sentence in sentences]),
    )


def generate_audio(form: AudioFormatName | None) -> Rpc[..., Any, Any, list[Sound]]:
    """GenerateAudio, its answers in a format."""
    return Rpc(
        lambda stubs: stubs.audio.GenerateAudio,
        requests.generate_audio_request,
        lambda response: _sounds(response.results, form),
    )
