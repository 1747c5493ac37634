"""What the library itself answers to each RPC about sounds; see ``oracles``.

Sounds stand in answers as ``comparing.legible`` shows them.
"""

from __future__ import annotations

import json
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import soundfile
import torch
from google.protobuf.message import Message
from numpy.typing import NDArray

from parity.comparing import level, steps
from parity.library import Answer, diffuser, enum_word, given, pipe
from standpipe_server.media.audio import AudioFileLimits, EncodedAudio

_GRANULARITY = {None: None, "segment": True, "word": "word"}


def heard(audio: Any, rate: int) -> NDArray[np.float32]:
    """A sound as the library's pipelines take it, mixed to one channel.

    No two resamplers agree to more than two digits: what has another rate is read by ours, for what follows
    to be compared.
    """
    frames, own = soundfile.read(BytesIO(audio.content), dtype="float32", always_2d=True)
    if own != rate:
        return EncodedAudio(audio.content, AudioFileLimits(), "content").samples(rate)
    mixed: NDArray[np.float32] = frames.mean(1)
    return mixed


def transcribe_audio(folder: Path, request: Any) -> Answer:
    listen = pipe("automatic-speech-recognition", folder)
    return {"results": [_transcript(listen, audio, request) for audio in request.audios]}


def _transcript(listen: Any, audio: Any, request: Any) -> Answer:
    rate = listen.feature_extractor.sampling_rate
    samples = heard(audio, rate)
    timestamps = _GRANULARITY[enum_word(request, "timestamps")]
    options: dict[str, Any] = {"return_timestamps": timestamps} if timestamps else {}
    if listen.type == "seq2seq_whisper" and len(samples) > listen.feature_extractor.n_samples:
        options.setdefault("return_timestamps", True)
    if request.HasField("chunk_length"):
        options["chunk_length_s"] = request.chunk_length
    generation = {field.name: value for field, value in request.parameters.ListFields()}
    generation |= given(request, "language")
    task = enum_word(request, "task")
    # The library won't let an English-only model be told what it does anyhow.
    if task and listen.model.generation_config.is_multilingual:
        generation["task"] = task
    if generation:
        options["generate_kwargs"] = generation
    found = listen({"raw": samples, "sampling_rate": rate}, **options)
    duration = len(samples) / rate
    answer: Answer = {"text": found["text"].strip(), "duration": duration}
    if timestamps:
        answer["parts"] = [_part(chunk, duration) for chunk in found["chunks"]]
    return answer


def _part(chunk: Any, duration: float) -> Answer:
    start, end = chunk["timestamp"]
    # What the sound's end cuts off has none of its own.
    return {
        "text": chunk["text"].strip(),
        "start": float(start),
        "end": duration if end is None else float(end),
    }


def classify_audio(folder: Path, request: Any) -> Answer:
    label = pipe("audio-classification", folder)
    options: dict[str, Any] = {"top_k": None} | given(request, "top_k")
    if function := enum_word(request, "function_to_apply"):
        options["function_to_apply"] = function
    rate = label.feature_extractor.sampling_rate
    return {"results": [{"labels": label(heard(audio, rate), **options)} for audio in request.audios]}


def classify_audio_zero_shot(folder: Path, request: Any) -> Answer:
    label = pipe("zero-shot-audio-classification", folder)
    options = {"candidate_labels": list(request.candidate_labels), **given(request, "hypothesis_template")}
    rate = label.feature_extractor.sampling_rate
    return {"results": [{"labels": label(heard(audio, rate), **options)} for audio in request.audios]}


def synthesize_speech(folder: Path, request: Any) -> Answer:
    speak, asked = pipe("text-to-audio", folder), request.parameters
    rate = given(asked, "speaking_rate").get("speaking_rate", speak.model.speaking_rate)
    forward = given(asked, "speaker_id") if speak.model.config.num_speakers > 1 else {}
    results = []
    for text in request.texts:
        with drawn(asked.seed), patch.object(speak.model, "speaking_rate", rate):
            found = speak(_spelled(folder, text), forward_params=forward)
        results.append(_made(found, enum_word(asked, "format")))
    return {"results": results}


def _spelled(folder: Path, text: str) -> str:
    """A text without marks as the model reads it: for a voice of Piper in phonemes."""
    file = folder / "phonemes.json"
    if not file.is_file():
        return text
    signs = json.loads(file.read_text("utf-8"))
    program = ["espeak-ng", "-q", "--ipa", "-v", signs["voice"], text]
    said = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    return f"{signs['begin']}{unicodedata.normalize('NFD', said.strip())}{signs['end']}"


def generate_audio(folder: Path, request: Any) -> Answer:
    if (folder / "model_index.json").is_file():
        return _diffused(folder, request)
    make = pipe("text-to-audio", folder)
    options = {field.name: value for field, value in request.parameters.ListFields()}
    options |= given(request, "guidance_scale")
    seed = options.pop("seed", 0)
    results = []
    for prompt in request.prompts:
        with drawn(seed):
            found = make(prompt, generate_kwargs=dict(options))
        results.append(_made(found, enum_word(request, "format")))
    return {"results": results}


def _diffused(folder: Path, request: Any) -> Answer:
    make = diffuser(folder)
    options = given(request, "num_inference_steps", "guidance_scale", "negative_prompt")
    # What the one calls a sound's length, and who knows its rate.
    length, part = ("audio_length_in_s", "vocoder") if hasattr(make, "vocoder") else ("audio_end_in_s", "vae")
    if request.HasField("duration"):
        options[length] = round(request.duration, 6)
    results = []
    for prompt in request.prompts:
        generator = torch.Generator("cpu").manual_seed(request.parameters.seed)
        audio = make(prompt, generator=generator, output_type="np", **options).audios[0]
        found = {"audio": audio, "sampling_rate": getattr(make, part).config.sampling_rate}
        results.append(_made(found, enum_word(request, "format")))
    return {"results": results}


@contextmanager
def drawn(seed: int) -> Iterator[None]:
    """Whatever the library draws, drawn from this seed on."""
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(seed)
        yield


def _made(found: Any, form: str | None) -> Answer:
    """A sound (samples,) or (channels, samples) as an answer has it, whose levels go from frame to frame."""
    frames, rate = np.atleast_2d(np.asarray(found["audio"]).squeeze()).T, found["sampling_rate"]
    levels = np.clip(np.rint(frames * 32768), -32768, 32767)
    content: Answer = {"form": (form or "wav").upper()}
    if form == "ogg":
        file = BytesIO()
        soundfile.write(file, levels.astype(np.int16), rate, "VORBIS", format="OGG")
        levels = soundfile.read(BytesIO(file.getvalue()), dtype="int16")[0]
        # What is lossy may sound a little different.
        content |= {"count": len(levels), "level": level(levels)}
    else:
        content["samples"] = steps(levels)
    length, channels = frames.shape
    return {"content": content, "sample_rate": rate, "channels": channels, "duration": length / rate}


AUDIO_ORACLES: dict[str, Callable[[Path, Message], Answer]] = {
    "TranscribeAudio": transcribe_audio,
    "ClassifyAudio": classify_audio,
    "ClassifyAudioZeroShot": classify_audio_zero_shot,
    "SynthesizeSpeech": synthesize_speech,
    "GenerateAudio": generate_audio,
}
