"""What is asked of each RPC about sounds, on which models; see ``cases``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parity.pictures import File, file_of
from parity.sounds import sound

Request = dict[str, Any]

EXAMPLES = Path(__file__).parents[2] / "protos" / "examples"

SOUND = sound(0.8)
SHORT = sound(0.4, 1)
FORMATS = [
    sound(0.7, 2, "WAV", "FLOAT"),
    sound(0.6, 3, "FLAC"),
    sound(0.5, 4, "OGG", "VORBIS"),
    sound(0.9, 5, "MP3", "MPEG_LAYER_III"),
    sound(0.6, 6, "WAV", "PCM_24", channels=2),
]
OTHER_RATES = [sound(0.7, 7, rate=44_100, channels=2), sound(0.7, 8, "FLAC", rate=8_000)]
# More than the tiny Whisper hears at once, which is two seconds.
LONG_SOUND = sound(5, 9)
LABELS = ["a bell", "rain", "the house of Ada"]
WRITE = {"maxNewTokens": 10}
GREEDY = WRITE | {"numBeams": 1}
MAKE = {"maxNewTokens": 12}
FORMS = [f"AUDIO_FORMAT_{form}" for form in ("WAV", "FLAC", "OGG", "PCM16")]
HELLO = "hello ada"
SPOKEN = {"seed": "7"}

AUDIO_CASES: dict[str, list[Request]] = {
    "TranscribeAudio": [{"audios": [SOUND]}, {"audios": [SHORT, FORMATS[1]]}],
    "ClassifyAudio": [
        {"audios": [SOUND]},
        {"audios": [SHORT, *FORMATS], "topK": 2},
        {"audios": OTHER_RATES},
        {"audios": [SOUND, SHORT], "functionToApply": "CLASSIFICATION_FUNCTION_SIGMOID"},
        {"audios": [SOUND], "functionToApply": "CLASSIFICATION_FUNCTION_SOFTMAX", "topK": 50},
        {"audios": [SHORT], "functionToApply": "CLASSIFICATION_FUNCTION_NONE", "topK": 1},
    ],
    "ClassifyAudioZeroShot": [
        {"audios": [SOUND, FORMATS[1]], "candidateLabels": LABELS},
        {"audios": [SHORT, *FORMATS[2:]], "candidateLabels": LABELS[:1]},
        {"audios": [SOUND], "candidateLabels": [*LABELS, "rain"], "hypothesisTemplate": "{}!"},
    ],
    "SynthesizeSpeech": [
        *({"texts": [HELLO], "parameters": SPOKEN | {"format": form}} for form in FORMS),
        {"texts": [HELLO, "water stands ready"], "parameters": {"seed": "8"}},
        {"texts": [HELLO], "parameters": SPOKEN | {"speakingRate": 0.5}},
        {"texts": [HELLO], "parameters": SPOKEN | {"speakingRate": 2}},
        {"texts": [HELLO], "parameters": SPOKEN | {"speakerId": 0}},
    ],
    "GenerateAudio": [
        {"prompts": [HELLO], "parameters": MAKE | SPOKEN},
        {"prompts": [HELLO, "a calm bell"], "parameters": MAKE | SPOKEN | {"temperature": 3, "topK": 40}},
        *({"prompts": [HELLO], "format": form, "parameters": MAKE | {"doSample": False}} for form in FORMS),
        {"prompts": [HELLO], "parameters": MAKE | {"doSample": False}, "guidanceScale": 1},
        {"prompts": [HELLO], "parameters": MAKE | {"doSample": False}, "guidanceScale": 9.5},
        {"prompts": [HELLO], "parameters": SPOKEN},
    ],
}

_SEGMENTS = {"timestamps": "TIMESTAMP_GRANULARITY_SEGMENT"}
_WORDS = {"timestamps": "TIMESTAMP_GRANULARITY_WORD"}
_WHISPER: list[Request] = [
    {"audios": [SOUND], "parameters": GREEDY},
    {"audios": [SOUND, SHORT], **_SEGMENTS},
    {"audios": [SHORT], **_WORDS, "parameters": GREEDY},
    {"audios": [SOUND], "parameters": WRITE | {"numBeams": 2, "repetitionPenalty": 1.5}},
    {"audios": [LONG_SOUND], "parameters": GREEDY},
    {"audios": [LONG_SOUND], **_SEGMENTS, "parameters": GREEDY},
    {"audios": [LONG_SOUND], **_WORDS, "parameters": GREEDY},
    {"audios": [LONG_SOUND], "chunkLength": 1.5, "parameters": GREEDY},
]

# Of diffusion models: they write no tokens, and by default take hundreds of steps.
_DIFFUSED: list[Request] = [
    {"prompts": [HELLO, "a calm bell"], "parameters": SPOKEN, "numInferenceSteps": 3},
    *({"prompts": [HELLO], "format": form, "parameters": SPOKEN, "numInferenceSteps": 2} for form in FORMS),
    {"prompts": [HELLO], "parameters": {"seed": "8"}, "numInferenceSteps": 4, "negativePrompt": "rain"},
    {"prompts": [HELLO], "parameters": SPOKEN, "numInferenceSteps": 3, "guidanceScale": 1},
    {
        "prompts": [HELLO],
        "parameters": SPOKEN,
        "numInferenceSteps": 3,
        "guidanceScale": 9.5,
        "duration": 0.07,
    },
]
# More letters than it reads, for more seconds than it was made for.
_LENGTHY: Request = {"prompts": [HELLO * 20], "parameters": SPOKEN, "numInferenceSteps": 1, "duration": 1}

AUDIO_SPECIAL: dict[str, dict[str, list[Request]]] = {
    "ctc": {
        "TranscribeAudio": [
            {"audios": FORMATS},
            {"audios": [SOUND, SHORT], **_WORDS},
            {"audios": [LONG_SOUND], "chunkLength": 1.5},
            {"audios": [LONG_SOUND], "chunkLength": 1, **_WORDS},
        ],
    },
    "whisper": {
        "TranscribeAudio": [
            *_WHISPER,
            {"audios": [SOUND], "language": "de", "parameters": GREEDY},
            {"audios": [SOUND], "language": "french", "task": "TRANSCRIPTION_TASK_TRANSLATE"},
            {"audios": [SHORT], "task": "TRANSCRIPTION_TASK_TRANSCRIBE", "parameters": GREEDY},
        ],
    },
    "whisper_en": {
        "TranscribeAudio": [
            *_WHISPER[:3],
            {"audios": [SHORT], "task": "TRANSCRIPTION_TASK_TRANSCRIBE", "parameters": GREEDY},
        ],
    },
    "speech_to_text": {"TranscribeAudio": [{"audios": [SOUND], "parameters": GREEDY}]},
    "audioldm2": {"GenerateAudio": [*_DIFFUSED, _LENGTHY]},
    "stable_audio": {"GenerateAudio": _DIFFUSED},
    "voices": {
        "SynthesizeSpeech": [
            {"texts": [HELLO], "parameters": SPOKEN | {"speakerId": 1}},
            {"texts": [HELLO], "parameters": SPOKEN | {"speakerId": 2, "speakingRate": 1.25}},
        ],
    },
}

AUDIO_TINY: dict[str, tuple[str, list[str]]] = {
    "ctc": ("automatic-speech-recognition", ["TranscribeAudio"]),
    "whisper": ("automatic-speech-recognition", ["TranscribeAudio"]),
    "whisper_en": ("automatic-speech-recognition", ["TranscribeAudio"]),
    "speech_to_text": ("automatic-speech-recognition", ["TranscribeAudio"]),
    "wav2vec2": ("audio-classification", ["ClassifyAudio"]),
    "ast": ("audio-classification", ["ClassifyAudio"]),
    "clap": ("zero-shot-audio-classification", ["ClassifyAudioZeroShot"]),
    "vits": ("text-to-speech", ["SynthesizeSpeech"]),
    "voices": ("text-to-speech", ["SynthesizeSpeech"]),
    "musicgen": ("text-to-audio", ["GenerateAudio"]),
    "audioldm2": ("text-to-audio", ["GenerateAudio"]),
    "stable_audio": ("text-to-audio", ["GenerateAudio"]),
}

# Models that are asked their own cases only.
AUDIO_APART = ("audioldm2", "stable_audio")


def _example(rpc: str) -> Request:
    request: Request = json.loads((EXAMPLES / f"{rpc}.json").read_text("utf-8"))
    return {name: value for name, value in request.items() if name != "model"}


_SPEECH = {"audios": _example("TranscribeAudio")["audios"]}
AUDIO_REAL_CASES: dict[str, list[Request]] = {
    "TranscribeAudio": [_SPEECH | {"parameters": {"numBeams": 1}}, _SPEECH | _SEGMENTS, _SPEECH | _WORDS],
    "SynthesizeSpeech": [
        {"texts": ["Water stands ready in the pipe"], "parameters": SPOKEN},
        {"texts": ["Hello Ada"], "parameters": SPOKEN | {"speakingRate": 1.5, "format": "AUDIO_FORMAT_FLAC"}},
    ],
}

NO_SOUND = file_of(b"this is no sound")
_WHOLE = SOUND["content"]
_CUT = {"content": _WHOLE[: len(_WHOLE) // 8 * 4]}
_EMPTY = sound(0)
_WIDE = sound(0.1, channels=8)
_FAST = sound(0.1, rate=384_000)
_ELSEWHERE = {"uri": "https://example.com/bell.wav"}
_TEXT = "water stands ready in the pipe for any hose " * 40

# By RPC: the request's other fields.
_HEARD: dict[str, Request] = {
    "TranscribeAudio": {},
    "ClassifyAudio": {},
    "ClassifyAudioZeroShot": {"candidateLabels": LABELS},
}

AUDIO_INVALID: dict[str, tuple[Request, str]] = {
    "TranscribeAudio": ({"audios": [SOUND, NO_SOUND]}, "audios[1].content"),
    "ClassifyAudio": ({"audios": [SOUND, _CUT]}, "audios[1].content"),
    "ClassifyAudioZeroShot": ({"audios": [SOUND]}, "candidate_labels"),
    "SynthesizeSpeech": ({"texts": ["a"], "parameters": {"speakerId": 1}}, "parameters.speaker_id"),
    "GenerateAudio": ({"prompts": ["a"], "guidanceScale": 21}, "guidance_scale"),
}


def _of_sounds(rpc: str, others: Request) -> list[tuple[str, Request, str]]:
    """What can be wrong with sounds in any request."""
    bad: tuple[File, ...] = (NO_SOUND, {}, {"content": ""}, _CUT, _EMPTY, _WIDE, _FAST)
    return [
        (rpc, others, "audios"),
        *((rpc, others | {"audios": [SOUND, file]}, "audios[1].content") for file in bad),
        (rpc, others | {"audios": [_ELSEWHERE]}, "audios[0].uri"),
    ]


AUDIO_MISTAKES: list[tuple[str, Request, str]] = [
    *(row for rpc, others in _HEARD.items() for row in _of_sounds(rpc, others)),
    ("TranscribeAudio", {"audios": [SOUND], **_SEGMENTS}, "timestamps"),
    ("TranscribeAudio", {"audios": [SOUND], "timestamps": 99}, "timestamps"),
    ("TranscribeAudio", {"audios": [SOUND], "task": 99}, "task"),
    ("TranscribeAudio", {"audios": [SOUND], "task": "TRANSCRIPTION_TASK_TRANSLATE"}, "task"),
    ("TranscribeAudio", {"audios": [SOUND], "language": "en"}, "language"),
    ("TranscribeAudio", {"audios": [SOUND], "chunkLength": 99}, "chunk_length"),
    ("TranscribeAudio", {"audios": [SOUND], "chunkLength": 0}, "chunk_length"),
    ("TranscribeAudio", {"audios": [SOUND], "parameters": WRITE}, "parameters"),
    ("TranscribeAudio", {"audios": [SOUND], "parameters": {"seed": "7"}}, "parameters.seed"),
    ("TranscribeAudio", {"audios": [SOUND], "parameters": {"numBeams": 0}}, "parameters.num_beams"),
    # Shorter than its windows.
    ("TranscribeAudio", {"audios": [SOUND, sound(0.003)]}, "audios[1]"),
    ("ClassifyAudio", {"audios": [SOUND], "topK": 0}, "top_k"),
    ("ClassifyAudio", {"audios": [SOUND], "functionToApply": 99}, "function_to_apply"),
    (
        "ClassifyAudioZeroShot",
        {"audios": [SOUND], "candidateLabels": ["a", _TEXT]},
        "candidate_labels[1]",
    ),
    (
        "ClassifyAudioZeroShot",
        {"audios": [SOUND], "candidateLabels": LABELS, "hypothesisTemplate": "no place"},
        "hypothesis_template",
    ),
    ("SynthesizeSpeech", {}, "texts"),
    ("SynthesizeSpeech", {"texts": ["a", " "]}, "texts[1]"),
    ("SynthesizeSpeech", {"texts": ["a"], "parameters": {"speakingRate": 9}}, "parameters.speaking_rate"),
    ("SynthesizeSpeech", {"texts": ["a"], "parameters": {"format": 99}}, "parameters.format"),
    ("GenerateAudio", {}, "prompts"),
    ("GenerateAudio", {"prompts": ["a", ""]}, "prompts[1]"),
    ("GenerateAudio", {"prompts": ["a"], "format": 99}, "format"),
    ("GenerateAudio", {"prompts": ["a"], "parameters": {"temperature": 0}}, "parameters.temperature"),
    ("GenerateAudio", {"prompts": ["a"], "parameters": {"maxNewTokens": 5000}}, "parameters.max_new_tokens"),
    ("GenerateAudio", {"prompts": ["a"], "numInferenceSteps": 0}, "num_inference_steps"),
    ("GenerateAudio", {"prompts": ["a"], "numInferenceSteps": 251}, "num_inference_steps"),
    *(
        ("GenerateAudio", {"prompts": ["a"], "duration": length}, "duration")
        for length in (0, -1, 60.1, "NaN")
    ),
]
# Model, RPC, request, and the field.
AUDIO_MISTAKES_BY_MODEL: list[tuple[str, str, Request, str]] = [
    ("whisper_en", "TranscribeAudio", {"audios": [SHORT], "language": "en"}, "language"),
    ("whisper_en", "TranscribeAudio", {"audios": [SHORT], "task": "TRANSCRIPTION_TASK_TRANSLATE"}, "task"),
    *(
        ("whisper", "TranscribeAudio", {"audios": [SHORT], "language": language}, "language")
        for language in ("tlh", "klingon", "xx", "Spanish", "")
    ),
    ("speech_to_text", "TranscribeAudio", {"audios": [SHORT], **_WORDS}, "timestamps"),
    ("voices", "SynthesizeSpeech", {"texts": ["a"], "parameters": {"speakerId": 3}}, "parameters.speaker_id"),
    ("musicgen", "GenerateAudio", {"prompts": ["a"], "negativePrompt": "rain"}, "negative_prompt"),
    ("musicgen", "GenerateAudio", {"prompts": ["a"], "numInferenceSteps": 2}, "num_inference_steps"),
    ("musicgen", "GenerateAudio", {"prompts": ["a"], "duration": 1}, "duration"),
    ("audioldm2", "GenerateAudio", {"prompts": ["a"], "parameters": MAKE}, "parameters.max_new_tokens"),
    # Less than the model's least, and more than its most.
    ("audioldm2", "GenerateAudio", {"prompts": ["a"], "duration": 0.001}, "duration"),
    ("stable_audio", "GenerateAudio", {"prompts": ["a"], "duration": 30}, "duration"),
]
