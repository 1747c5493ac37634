"""Merges a low-rank adapter into the BERT encoder that it was trained on, as a stock Hugging Face folder.

An adapter's folder holds adapter.safetensors and config.json. For a layer L of the base, the weights may have
L.lora_a and L.lora_b: the merged layer's weight is the base's + scale × lora_b · lora_a. All other tensors
are the head's, by the names that the merged model gives them. config.json names the architecture, the scale,
and the labels.

Not aware of what the model is for, of its training, of where the base comes from, or of any encoder but BERT.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Tensors = dict[str, np.ndarray[Any, np.dtype[Any]]]

_TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_POOLED = "BertForSequenceClassification"
_ARCHITECTURES = (_POOLED, "BertForTokenClassification")


def merge(base: Path, adapter: Path, target: Path) -> None:
    """Write the merged model with the base's tokenizer and the adapter's card, and check that it answers.

    Args:
        base: Folder of the encoder, whose files of sentence-transformers stay behind.
        adapter: Folder of the adapter.
        target: Folder to write; made where it isn't there.

    Raises:
        ValueError: The adapter doesn't fit the base, or the merged model gives something else than numbers.
    """
    import transformers
    from safetensors.numpy import load_file, save_file

    from standpipe_server.demo_models.converters.folders import check

    about = json.loads((adapter / "config.json").read_text("utf-8"))
    architecture = about["architecture"]
    if architecture not in _ARCHITECTURES:
        raise ValueError(f"{architecture} isn't one of {', '.join(_ARCHITECTURES)}")
    merged = _merge(
        load_file(base / "model.safetensors"), load_file(adapter / "adapter.safetensors"), about["scale"]
    )
    if architecture != _POOLED:
        merged = {name: tensor for name, tensor in merged.items() if not name.startswith("bert.pooler.")}
    if len(merged["classifier.bias"]) != len(about["id2label"]):
        raise ValueError(
            f"the head gives {len(merged['classifier.bias'])} numbers for other labels: {about['id2label']}"
        )
    target.mkdir(parents=True, exist_ok=True)
    save_file(merged, target / "model.safetensors", metadata={"format": "pt"})
    (target / "model.safetensors").chmod(0o644)  # safetensors leaves it to its owner alone
    _write_config(base, about, target)
    _write_tokenizer(base, target)
    if (adapter / "README.md").exists():
        shutil.copy(adapter / "README.md", target)
    check(target, getattr(transformers, architecture))


def _merge(base: Tensors, adapter: Tensors, scale: float) -> Tensors:
    """All tensors of the merged model, in 32 bits: transformers computes in what it finds."""
    merged = {f"bert.{name}": tensor for name, tensor in base.items() if name != "embeddings.position_ids"}
    for name, tensor in adapter.items():
        layer, _, factor = name.rpartition(".")
        if factor == "lora_a":
            weight = f"bert.{layer}.weight"
            if weight not in merged:
                raise ValueError(f"the base has no {layer}, which the adapter changes")
            product = adapter[f"{layer}.lora_b"].astype("float32") @ tensor.astype("float32")
            merged[weight] = merged[weight].astype("float32") + scale * product
        elif factor != "lora_b":
            merged[name] = tensor
    return {name: tensor.astype("float32") for name, tensor in merged.items()}


def _write_config(base: Path, about: dict[str, Any], target: Path) -> None:
    config = json.loads((base / "config.json").read_text("utf-8"))
    config.pop("_name_or_path", None)
    labels = about["id2label"]
    config |= {
        "architectures": [about["architecture"]],
        "dtype": "float32",
        "id2label": labels,
        "label2id": {label: int(index) for index, label in labels.items()},
    }
    if "problem_type" in about:
        config["problem_type"] = about["problem_type"]
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def _write_tokenizer(base: Path, target: Path) -> None:
    """Copy the tokenizer, without the base's habit to pad and cut every text: here the caller says when."""
    tokenizer = json.loads((base / "tokenizer.json").read_text("utf-8"))
    tokenizer |= {"padding": None, "truncation": None}
    (target / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), "utf-8")
    for name in _TOKENIZER:
        if (base / name).exists():
            shutil.copy(base / name, target)
