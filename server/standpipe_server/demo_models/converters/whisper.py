"""Whisper, which writes down what is said, from CTranslate2's file of it.

Knows CTranslate2's names for the layers, and that it keeps queries, keys and values of one layer in one
matrix, with a bias for the keys that Whisper hasn't: noughts.

Not aware of models of several languages, whose generation config has more to say of languages and tasks, or
of quantized ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForSpeechSeq2Seq,
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperProcessor,
    WhisperTokenizerFast,
)
from transformers import WhisperForConditionalGeneration as Model

from standpipe_server.demo_models.converters.ctranslate2 import read_ctranslate2
from standpipe_server.demo_models.converters.folders import check_recognizer, write_audio_model

Tensors = Mapping[str, NDArray[Any]]

_AROUND = {
    "encoder/conv1": "encoder.conv1",
    "encoder/conv2": "encoder.conv2",
    "encoder/position_encodings": "encoder.embed_positions",
    "encoder/layer_norm": "encoder.layer_norm",
    "decoder/embeddings": "decoder.embed_tokens",
    "decoder/position_encodings": "decoder.embed_positions",
    "decoder/layer_norm": "decoder.layer_norm",
    "decoder/projection": "proj_out",
}
# Several where one matrix is those of several layers, one below the other.
_IN_LAYER = {
    "self_attention/layer_norm": ("self_attn_layer_norm",),
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/layer_norm": ("encoder_attn_layer_norm",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "ffn/layer_norm": ("final_layer_norm",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
}
_LAYER = re.compile(r"(encoder|decoder)/layer_(\d+)/(.+)")
_TENSOR = {"gamma": "weight", "beta": "bias", "encodings": "weight"}
_NO_BIAS = ".k_proj.bias"
# A first timestamp is within the first second, in steps of 20 ms.
_FIRST_TIMESTAMP = 50


def convert(source: Path, target: Path) -> None:
    """Write the model, with what generating needs to know.

    The package has it in float16, whose numbers float32 has too. Saved as float16, the library would compute
    in that, which takes a processor three times as long.

    Raises:
        ValueError: The file isn't of a Whisper of one language, or the model doesn't answer.
    """
    stored = read_ctranslate2(source / "model.bin")
    if stored.kind != "WhisperSpec":
        raise ValueError(f"the file is of a {stored.kind}, not of a WhisperSpec")
    said: dict[str, Any] = json.loads((source / "config.json").read_text("utf-8"))
    tokenizer = _tokenizer(source)
    config = _config(stored.tensors, tokenizer)
    model = Model(config)
    model.generation_config = _generation(config, said, tokenizer)
    extractor = WhisperFeatureExtractor(feature_size=config.num_mel_bins)
    processor = WhisperProcessor(extractor, tokenizer)
    write_audio_model(model, dict(_weights(stored.tensors)), processor, target)
    check_recognizer(target, AutoModelForSpeechSeq2Seq)


def _tokenizer(source: Path) -> Any:
    ends = "<|endoftext|>"
    return WhisperTokenizerFast(
        tokenizer_file=str(source / "tokenizer.json"),
        **dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), ends),
    )


def _config(tensors: Tensors, tokenizer: Any) -> Any:
    """Sizes as the tensors have them."""
    words, width = tensors["decoder/embeddings/weight"].shape
    begins = tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
    return WhisperConfig(
        vocab_size=words,
        d_model=width,
        num_mel_bins=tensors["encoder/conv1/weight"].shape[1],
        encoder_layers=_layers(tensors, "encoder"),
        decoder_layers=_layers(tensors, "decoder"),
        encoder_attention_heads=int(tensors["encoder/num_heads"]),
        decoder_attention_heads=int(tensors["decoder/num_heads"]),
        encoder_ffn_dim=len(tensors["encoder/layer_0/ffn/linear_0/bias"]),
        decoder_ffn_dim=len(tensors["decoder/layer_0/ffn/linear_0/bias"]),
        max_source_positions=len(tensors["encoder/position_encodings/encodings"]),
        max_target_positions=len(tensors["decoder/position_encodings/encodings"]),
        bos_token_id=begins,
        decoder_start_token_id=begins,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # What isn't to be said is in the generation config, where it belongs.
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


def _generation(config: Any, said: Mapping[str, Any], tokenizer: Any) -> Any:
    return GenerationConfig(
        bos_token_id=config.bos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        prev_sot_token_id=tokenizer.convert_tokens_to_ids("<|startofprev|>"),
        no_timestamps_token_id=tokenizer.convert_tokens_to_ids("<|notimestamps|>"),
        suppress_tokens=said["suppress_ids"],
        begin_suppress_tokens=said["suppress_ids_begin"],
        alignment_heads=said["alignment_heads"],
        max_length=config.max_target_positions,
        max_initial_timestamp_index=_FIRST_TIMESTAMP,
        is_multilingual=False,
        return_timestamps=False,
    )


def _layers(names: Iterable[str], side: str) -> int:
    found = (_LAYER.match(name) for name in names)
    return len({match[2] for match in found if match and match[1] == side})


def _weights(tensors: Tensors) -> Iterator[tuple[str, torch.Tensor]]:
    """State dict of the model; a weight that has no place in it keeps the file's name."""
    for name, tensor in tensors.items():
        # Integers are settings.
        if tensor.dtype.kind != "f":
            continue
        path, _, last = name.rpartition("/")
        modules = _modules(path)
        for module, part in zip(modules, np.split(tensor, len(modules)), strict=True):
            weight = f"{module}.{_TENSOR.get(last, last)}"
            if not weight.endswith(_NO_BIAS):
                # Copied: what lies in the file's own bytes can't be written to, and torch wants it writable.
                yield weight, torch.from_numpy(part.copy())
            elif part.any():
                raise ValueError(f"{name} moves the keys, which Whisper doesn't")


def _modules(path: str) -> tuple[str, ...]:
    """Names in transformers of the layers that a module of the file is."""
    if match := _LAYER.fullmatch(path):
        side, index, layer = match.groups()
        return tuple(f"model.{side}.layers.{index}.{name}" for name in _IN_LAYER.get(layer, (layer,)))
    around = _AROUND.get(path, path)
    return (around if around in (path, "proj_out") else f"model.{around}",)
