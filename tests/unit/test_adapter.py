"""A low-rank adapter merged into a tiny random encoder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from standpipe_server.demo_models.converters.adapter import merge
from tiny_models import save_tiny_encoder

LAYERS = ("encoder.layer.0.attention.self.query", "encoder.layer.1.output.dense", "pooler.dense")
SCALE = 0.5
PAIR = {"0": "NEGATIVE", "1": "POSITIVE"}
SEQUENCE = {"architecture": "BertForSequenceClassification", "problem_type": "single_label_classification"}
TOKENS = {"architecture": "BertForTokenClassification"}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = save_tiny_encoder(tmp_path / "base")
    (folder / "modules.json").write_text("[]")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["truncation"] = {"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "embeddings.position_ids": np.arange(64)}, folder / "model.safetensors")
    return folder


def save_adapter(
    folder: Path, base: Path, about: dict[str, Any], layers: tuple[str, ...] = LAYERS
) -> dict[str, Any]:
    """Write an adapter of random factors of rank 4; the answer is its tensors."""
    folder.mkdir()
    random = np.random.default_rng(0)
    weights = load_file(base / "model.safetensors")
    tensors = {"classifier.weight": random.normal(size=(2, 32)), "classifier.bias": random.normal(size=2)}
    for layer in layers:
        wide, deep = weights.get(f"{layer}.weight", np.zeros((32, 32))).shape
        tensors[f"{layer}.lora_a"] = random.normal(size=(4, deep))
        tensors[f"{layer}.lora_b"] = random.normal(size=(wide, 4))
    halves = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
    save_file(halves, folder / "adapter.safetensors")
    (folder / "config.json").write_text(json.dumps({"scale": SCALE, "id2label": PAIR, **about}))
    (folder / "README.md").write_text("# A card\n")
    return halves


def test_each_weight_is_the_base_s_and_the_scaled_product_and_all_others_are_untouched(
    tmp_path: Path, base: Path
) -> None:
    adapter = save_adapter(tmp_path / "adapter", base, SEQUENCE)
    merge(base, tmp_path / "adapter", tmp_path / "merged")
    before = load_file(base / "model.safetensors")
    after = load_file(tmp_path / "merged" / "model.safetensors")
    for name, tensor in before.items():
        if name == "embeddings.position_ids":
            continue
        layer = name.removesuffix(".weight")
        wanted = tensor
        if layer in LAYERS:
            factors = [adapter[f"{layer}.{factor}"].astype(np.float32) for factor in ("lora_b", "lora_a")]
            wanted = tensor + SCALE * (factors[0] @ factors[1])
            assert not np.allclose(tensor, wanted)
        np.testing.assert_array_equal(wanted, after[f"bert.{name}"])
    np.testing.assert_array_equal(adapter["classifier.weight"].astype(np.float32), after["classifier.weight"])
    np.testing.assert_array_equal(adapter["classifier.bias"].astype(np.float32), after["classifier.bias"])
    assert len(after) == len(before) - 1 + 2
    assert {np.dtype(np.float32)} == {tensor.dtype for tensor in after.values()}


def test_the_merged_folder_is_stock_and_answers_as_base_and_factors_do_side_by_side(
    tmp_path: Path, base: Path
) -> None:
    adapter = save_adapter(tmp_path / "adapter", base, SEQUENCE, LAYERS[:1])
    merge(base, tmp_path / "adapter", tmp_path / "merged")
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "README.md",
    } == {path.name for path in (tmp_path / "merged").iterdir()}
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged").eval()
    assert {0: "NEGATIVE", 1: "POSITIVE"} == model.config.id2label
    assert {"NEGATIVE": 0, "POSITIVE": 1} == model.config.label2id
    assert "single_label_classification" == model.config.problem_type
    assert torch.float32 == model.dtype

    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "merged")
    inputs = tokenizer(["the quick brown fox", "water"], padding=True, return_tensors="pt")
    beside = transformers.AutoModel.from_pretrained(base).eval()
    query = beside.get_submodule(LAYERS[0])
    factors = {name: torch.from_numpy(tensor).float() for name, tensor in adapter.items()}
    thin, wide = factors[f"{LAYERS[0]}.lora_a"], factors[f"{LAYERS[0]}.lora_b"]
    query.register_forward_hook(lambda _, given, out: out + SCALE * given[0] @ thin.T @ wide.T)
    with torch.inference_mode():
        pooled = beside(**inputs).pooler_output
        wanted = pooled @ factors["classifier.weight"].T + factors["classifier.bias"]
        torch.testing.assert_close(wanted, model(**inputs).logits, atol=1e-5, rtol=1e-5)


def test_the_tokenizer_cuts_nothing_on_its_own(tmp_path: Path, base: Path) -> None:
    save_adapter(tmp_path / "adapter", base, SEQUENCE)
    merge(base, tmp_path / "adapter", tmp_path / "merged")
    tokenizers = [
        Tokenizer.from_file(str(folder / "tokenizer.json")) for folder in (base, tmp_path / "merged")
    ]
    cut, whole = (len(tokenizer.encode("water " * 20).ids) for tokenizer in tokenizers)
    assert 8 == cut
    assert whole >= 22


def test_a_tagger_has_no_pooler(tmp_path: Path, base: Path) -> None:
    save_adapter(tmp_path / "adapter", base, TOKENS, LAYERS[:2])
    merge(base, tmp_path / "adapter", tmp_path / "merged")
    model = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "merged")
    assert "BertForTokenClassification" == type(model).__name__
    assert not [name for name in load_file(tmp_path / "merged" / "model.safetensors") if "pooler" in name]


def test_an_adapter_of_another_base_is_refused(tmp_path: Path, base: Path) -> None:
    save_adapter(tmp_path / "adapter", base, SEQUENCE, ("encoder.layer.7.output.dense",))
    with pytest.raises(ValueError, match=r"the base has no encoder\.layer\.7\.output\.dense"):
        merge(base, tmp_path / "adapter", tmp_path / "merged")


def test_an_architecture_that_is_not_known_is_refused(tmp_path: Path, base: Path) -> None:
    save_adapter(tmp_path / "adapter", base, {"architecture": "BertForMaskedLM"})
    with pytest.raises(ValueError, match="BertForMaskedLM isn't one of"):
        merge(base, tmp_path / "adapter", tmp_path / "merged")


def test_labels_that_the_head_lacks_are_refused(tmp_path: Path, base: Path) -> None:
    save_adapter(tmp_path / "adapter", base, {**SEQUENCE, "id2label": {**PAIR, "2": "NEUTRAL"}})
    with pytest.raises(ValueError, match="the head gives 2 numbers for other labels"):
        merge(base, tmp_path / "adapter", tmp_path / "merged")


def test_a_merge_that_gives_no_numbers_is_refused(tmp_path: Path, base: Path) -> None:
    tensors = save_adapter(tmp_path / "adapter", base, SEQUENCE)
    tensors["classifier.bias"][0] = np.nan
    save_file(tensors, tmp_path / "adapter" / "adapter.safetensors")
    with pytest.raises(ValueError, match="something else than numbers"):
        merge(base, tmp_path / "adapter", tmp_path / "merged")


def test_importing_the_converter_imports_no_model_library() -> None:
    code = (
        "import sys, standpipe_server.demo_models.converters.adapter;"
        "sys.exit(bool({'torch', 'transformers', 'numpy', 'safetensors'} & set(sys.modules)))"
    )
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
