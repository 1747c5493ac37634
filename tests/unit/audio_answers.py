"""An answer for each RPC of AudioService: for a stream its messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.duration_pb2 import Duration
from vision_answers import LABELS

from standpipe.v1 import audio_pb2, common_pb2

METADATA = common_pb2.Metadata(model="m", time_to_first_token=Duration(nanos=250_000_000))

# Four samples, the loudest ones among them.
SAMPLES = np.array([0, 16384, -32768, 32767], "<i2")

SOUND = audio_pb2.GeneratedAudio(content=SAMPLES.tobytes(), sample_rate=8000, channels=1, duration=0.0005)

# The same as two samples of two channels each.
STEREO = audio_pb2.GeneratedAudio(content=SAMPLES.tobytes(), sample_rate=8000, channels=2, duration=0.00025)

PARTS = [
    audio_pb2.TranscriptPart(text=" Open", start=0.5, end=0.75),
    audio_pb2.TranscriptPart(text=" the valve.", start=0.75, end=1.5),
]
TRANSCRIPT = audio_pb2.Transcript(text="Open the valve.", parts=PARTS, duration=2.5)

AUDIO_ANSWERS: dict[str, Any] = {
    "TranscribeAudio": audio_pb2.TranscribeAudioResponse(
        results=[TRANSCRIPT, audio_pb2.Transcript(text="", duration=0.25)]
    ),
    "StreamTranscribeAudio": [
        audio_pb2.StreamTranscribeAudioResponse(
            interim=audio_pb2.TranscriptPart(text=" Oh", start=0.5, end=0.625)
        ),
        audio_pb2.StreamTranscribeAudioResponse(segment=PARTS[0]),
        audio_pb2.StreamTranscribeAudioResponse(segment=PARTS[1]),
        audio_pb2.StreamTranscribeAudioResponse(result=TRANSCRIPT, metadata=METADATA),
    ],
    "ClassifyAudio": audio_pb2.ClassifyAudioResponse(results=[LABELS, common_pb2.LabelScores()]),
    "ClassifyAudioZeroShot": audio_pb2.ClassifyAudioZeroShotResponse(results=[LABELS]),
    "SynthesizeSpeech": audio_pb2.SynthesizeSpeechResponse(results=[SOUND, STEREO]),
    "StreamSynthesizeSpeech": [
        audio_pb2.StreamSynthesizeSpeechResponse(
            sentence=audio_pb2.SpokenSentence(text="Open.", audio=SOUND)
        ),
        audio_pb2.StreamSynthesizeSpeechResponse(
            sentence=audio_pb2.SpokenSentence(text="Close.", audio=SOUND)
        ),
        audio_pb2.StreamSynthesizeSpeechResponse(
            end=audio_pb2.SpeechEnd(sentences=2, duration=0.001), metadata=METADATA
        ),
    ],
    "GenerateAudio": audio_pb2.GenerateAudioResponse(results=[STEREO]),
}
