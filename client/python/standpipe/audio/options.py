"""The options of AudioService's calls, by name; ``standpipe.options`` says how they work."""

from __future__ import annotations

from typing import Literal, TypedDict

from standpipe.options import FunctionName, GenerationOptions
from standpipe.pcm import EncodingName

AudioFormatName = Literal["wav", "flac", "ogg", "pcm16"]
TranscriptionTaskName = Literal["transcribe", "translate"]
TimestampName = Literal["segment", "word"]


class TranscribeAudioOptions(GenerationOptions, total=False):
    """The optional fields of TranscribeAudioRequest, and how the model writes."""

    model: str | None
    language: str | None
    task: TranscriptionTaskName | None
    timestamps: TimestampName | None
    chunk_length: float | None


class StreamTranscribeAudioOptions(TypedDict, total=False):
    """The model, and the fields of StreamTranscriptionConfig.

    Arrays say their encoding themselves; bytes are "pcm16" unless ``encoding`` says otherwise.
    """

    model: str | None
    encoding: EncodingName | None
    sample_rate: int | None
    channels: int | None
    language: str | None
    task: TranscriptionTaskName | None
    interim_results: bool | None


class ClassifyAudioOptions(TypedDict, total=False):
    """The optional fields of ClassifyAudioRequest."""

    model: str | None
    top_k: int | None
    function_to_apply: FunctionName | None


class ClassifyAudioZeroShotOptions(TypedDict, total=False):
    """The optional fields of ClassifyAudioZeroShotRequest."""

    model: str | None
    hypothesis_template: str | None


class SynthesizeSpeechOptions(TypedDict, total=False):
    """The model, and the fields of SpeechParameters; without a ``format`` the clients ask for samples."""

    model: str | None
    format: AudioFormatName | None
    speaker_id: int | None
    speaking_rate: float | None
    seed: int | None


class GenerateAudioOptions(GenerationOptions, total=False):
    """The optional fields of GenerateAudioRequest, and how the model writes; ``format`` as for speech."""

    model: str | None
    format: AudioFormatName | None
    guidance_scale: float | None
    negative_prompt: str | None
    num_inference_steps: int | None
    duration: float | None
