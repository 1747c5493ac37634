"""From CTranslate2's file to the library's Whisper: the same numbers, and what generating needs to know."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForSpeechSeq2Seq,
    AutoProcessor,
    AutoTokenizer,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from standpipe_server.demo_models.converters.ctranslate2 import read_ctranslate2
from standpipe_server.demo_models.converters.folders import check_recognizer
from standpipe_server.demo_models.converters.whisper import convert

Tensors = dict[str, NDArray[Any]]

SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|startofprev|>", "<|notimestamps|>"]
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
ENDS, BEGINS, PREVIOUS, NO_TIMESTAMPS = range(len(LETTERS), len(LETTERS) + len(SPECIAL))
SAID = {"suppress_ids": [5, 6], "suppress_ids_begin": [7, ENDS], "alignment_heads": [[0, 1]]}
TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def text(content: str) -> bytes:
    return struct.pack("<H", len(content.encode()) + 1) + content.encode() + b"\0"


def tensor(name: str, values: NDArray[Any]) -> bytes:
    head = struct.pack(f"<B{values.ndim}IB", values.ndim, *values.shape, TYPES[values.dtype.name])
    return text(name) + head + struct.pack("<I", values.nbytes) + values.tobytes()


def stored(
    tensors: Tensors, others: dict[str, str] | None = None, version: int = 6, kind: str = "WhisperSpec"
) -> bytes:
    """A file as CTranslate2 writes it."""
    parts = [struct.pack("<I", version), text(kind), struct.pack("<II", 3, len(tensors))]
    parts += [tensor(name, values) for name, values in tensors.items()]
    parts += [struct.pack("<I", len(others or {}))]
    parts += [text(other) + text(name) for other, name in (others or {}).items()]
    return b"".join(parts)


def read(tmp_path: Path, content: bytes) -> dict[str, ArrayLike]:
    (tmp_path / "model.bin").write_bytes(content)
    return {name: value.tolist() for name, value in read_ctranslate2(tmp_path / "model.bin").tensors.items()}


SMALL: Tensors = {
    "a/weight": np.array([[1.5, -2.0], [0.25, 7.0]], np.float16),
    "a/bias": np.array([3.0], np.float32),
    "a/steps": np.array([-3, 300], np.int16),
    "heads": np.array(6, np.int32),
}


def test_tensors_of_every_type_and_shape_are_read_under_all_their_names(tmp_path: Path) -> None:
    expected = {"a/weight": [[1.5, -2.0], [0.25, 7.0]], "a/bias": [3.0], "a/steps": [-3, 300], "heads": 6}
    assert {**expected, "b": [3.0]} == read(tmp_path, stored(SMALL, {"b": "a/bias"}))


WORDS = {"decoder/embeddings/weight": np.zeros((2, 2), np.float16)}
WHOLE = stored({"a/weight": np.zeros(2, np.float32)}, {"b": "a/weight"})


@pytest.mark.parametrize("size", range(len(WHOLE)))
def test_a_file_that_ends_anywhere_before_its_end_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(ValueError, match=f"the file ends at byte {size}, in the middle of "):
        read(tmp_path, WHOLE[:size])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (stored(SMALL, version=5), r"model\.bin isn't of CTranslate2's version 6, but of 5"),
        (WHOLE + b"\0\0", "2 bytes are left"),
        (stored(SMALL, {"b": "c"}), "b stands for c, which isn't there"),
        (
            WHOLE.replace(struct.pack("<BIB", 1, 2, 0), struct.pack("<BIB", 1, 2, 9)),
            "a/weight is of CTra.* 9",
        ),
        (
            WHOLE.replace(struct.pack("<BIB", 1, 2, 0), struct.pack("<BIB", 1, 3, 0)),
            r"8 bytes.*\[3\] of float32",
        ),
        (WHOLE.replace(b"a/weight\0", b"a/weight!"), "a tensor's name doesn't end where it should"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(tmp_path, content)


@pytest.fixture(scope="module")
def whisper() -> Any:
    """With random weights, all of them numbers of 16 bits, and sizes that tell everything apart."""
    torch.manual_seed(7)
    words = len(LETTERS) + len(SPECIAL)
    config = WhisperConfig(
        vocab_size=words,
        d_model=24,
        num_mel_bins=80,
        encoder_layers=2,
        decoder_layers=3,
        encoder_attention_heads=2,
        decoder_attention_heads=4,
        encoder_ffn_dim=20,
        decoder_ffn_dim=28,
        max_target_positions=32,
        decoder_start_token_id=BEGINS,
        bos_token_id=BEGINS,
        eos_token_id=ENDS,
        pad_token_id=ENDS,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config).eval()
    for weight in model.state_dict().values():
        weight.copy_((torch.randn_like(weight) * 0.3).half())
    return model


def attention(name: str, module: Any, joined: tuple[str, ...]) -> Iterator[tuple[str, torch.Tensor]]:
    """Linear layers as CTranslate2 joins them: several of the library's by their letters in each."""
    for index, letters in enumerate(joined):
        layers = [getattr(module, f"{letter}_proj") for letter in letters.split()]
        biases = [torch.zeros(24) if layer.bias is None else layer.bias for layer in layers]
        yield f"{name}/linear_{index}/weight", torch.cat([layer.weight for layer in layers])
        yield f"{name}/linear_{index}/bias", torch.cat(biases)


def norm(name: str, module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    yield f"{name}/gamma", module.weight
    yield f"{name}/beta", module.bias


def side_of(name: str, side: Any) -> Iterator[tuple[str, torch.Tensor]]:
    yield f"{name}/position_encodings/encodings", side.embed_positions.weight
    yield from norm(f"{name}/layer_norm", side.layer_norm)
    for index, layer in enumerate(side.layers):
        its = f"{name}/layer_{index}"
        yield from norm(f"{its}/self_attention/layer_norm", layer.self_attn_layer_norm)
        yield from attention(f"{its}/self_attention", layer.self_attn, ("q k v", "out"))
        if name == "decoder":
            yield from norm(f"{its}/attention/layer_norm", layer.encoder_attn_layer_norm)
            yield from attention(f"{its}/attention", layer.encoder_attn, ("q", "k v", "out"))
        yield from norm(f"{its}/ffn/layer_norm", layer.final_layer_norm)
        for number, linear in enumerate((layer.fc1, layer.fc2)):
            yield f"{its}/ffn/linear_{number}/weight", linear.weight
            yield f"{its}/ffn/linear_{number}/bias", linear.bias


def tensors_of(model: Any) -> Tensors:
    encoder, decoder = model.model.encoder, model.model.decoder
    weights = dict([*side_of("encoder", encoder), *side_of("decoder", decoder)])
    weights["decoder/embeddings/weight"] = decoder.embed_tokens.weight
    for number, conv in enumerate((encoder.conv1, encoder.conv2), 1):
        weights[f"encoder/conv{number}/weight"] = conv.weight
        weights[f"encoder/conv{number}/bias"] = conv.bias
    settings = {"encoder/num_heads": np.array(2, np.int16), "decoder/num_heads": np.array(4, np.int16)}
    return {**{name: weight.detach().half().numpy() for name, weight in weights.items()}, **settings}


def package(folder: Path, tensors: Tensors, kind: str = "WhisperSpec") -> Path:
    """What the package ships, as a conversion gets it."""
    folder.mkdir()
    others = {"decoder/projection/weight": "decoder/embeddings/weight"}
    (folder / "model.bin").write_bytes(stored(tensors, others, kind=kind))
    (folder / "config.json").write_text(json.dumps(SAID))
    raw = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(LETTERS)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    raw.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def converted(whisper: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("whisper")
    convert(package(home / "package", tensors_of(whisper)), home / "made")
    return home / "made"


def test_the_converted_model_gives_the_numbers_of_the_original(whisper: Any, converted: Path) -> None:
    model = WhisperForConditionalGeneration.from_pretrained(converted).eval()
    assert torch.float32 == model.dtype
    heard = {"input_features": torch.randn(1, 80, 3000), "decoder_input_ids": torch.tensor([[BEGINS, 3, 4]])}
    with torch.inference_mode():
        expected, actual = whisper(**heard).logits, model(**heard).logits
    assert expected.std() > 0.1
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_generating_is_told_what_not_to_say_and_which_heads_know_the_time(converted: Path) -> None:
    told = WhisperForConditionalGeneration.from_pretrained(converted).generation_config
    expected = {
        "bos_token_id": BEGINS,
        "decoder_start_token_id": BEGINS,
        "eos_token_id": ENDS,
        "pad_token_id": ENDS,
        "prev_sot_token_id": PREVIOUS,
        "no_timestamps_token_id": NO_TIMESTAMPS,
        "suppress_tokens": [5, 6],
        "begin_suppress_tokens": [7, ENDS],
        "alignment_heads": [[0, 1]],
        "max_length": 32,
        "max_initial_timestamp_index": 50,
        "is_multilingual": False,
        "return_timestamps": False,
    }
    assert expected == {name: getattr(told, name) for name in expected}


def test_the_folder_reads_sound_and_writes_texts_of_its_own(converted: Path) -> None:
    processor = AutoProcessor.from_pretrained(converted)
    features = processor(np.zeros(16000, np.float32), sampling_rate=16000, return_tensors="np")
    assert (1, 80, 3000) == features["input_features"].shape
    tokenizer = AutoTokenizer.from_pretrained(converted)
    written = [BEGINS, NO_TIMESTAMPS, *tokenizer("naïve dog", add_special_tokens=False)["input_ids"], ENDS]
    assert "naïve dog" == tokenizer.decode(written, skip_special_tokens=True)


def without(tensors: Tensors, name: str) -> Tensors:
    return {other: values for other, values in tensors.items() if other != name}


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("encoder/conv3/bias", np.zeros(2, np.float16), "Unexpected.*encoder/conv3.bias"),
        ("encoder/layer_0/gate/bias", np.zeros(2, np.float16), r"Unexp.*encoder\.layers\.0\.gate\.bias"),
        ("decoder/layer_2/ffn/linear_1/bias", None, r"Missing.*decoder\.layers\.2\.fc2\.bias"),
        (
            "decoder/layer_0/self_attention/linear_0/bias",
            np.ones(72, np.float16),
            "decoder/layer_0/self_attention/linear_0/bias moves the keys",
        ),
    ],
)
def test_a_weight_that_has_no_place_or_is_missing_is_named_and_nothing_is_written(
    whisper: Any, tmp_path: Path, name: str, values: NDArray[Any] | None, words: str
) -> None:
    tensors = without(tensors_of(whisper), name) | ({} if values is None else {name: values})
    with pytest.raises((RuntimeError, ValueError), match=words):
        convert(package(tmp_path / "package", tensors), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_another_kind_of_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is of a TransformerSpec, not of a WhisperSpec"):
        convert(package(tmp_path / "package", WORDS, "TransformerSpec"), tmp_path / "made")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda bias: bias.fill_(torch.nan), "answers with something else than numbers"),
        (lambda bias: None, r"missing_keys.*model\.decoder\.layer_norm\.bias"),
    ],
)
def test_a_folder_that_does_not_load_whole_or_does_not_answer_is_refused(
    converted: Path, tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor | None], words: str
) -> None:
    shutil.copytree(converted, tmp_path / "m")
    weights = load_file(converted / "model.safetensors")
    changed = change(weights.pop("model.decoder.layer_norm.bias"))
    kept = {} if changed is None else {"model.decoder.layer_norm.bias": changed}
    save_file(weights | kept, tmp_path / "m" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=words):
        check_recognizer(tmp_path / "m", AutoModelForSpeechSeq2Seq)
