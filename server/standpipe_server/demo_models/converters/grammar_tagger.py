"""The quire grammar tagger, a DistilBERT that names the edit each token needs, from its 8-bit ONNX export.

Not aware of how the edits are carried out: ``$REPLACE_their`` is a label like any other.
"""

from __future__ import annotations

import json
from pathlib import Path

from transformers import AutoModelForTokenClassification, DistilBertConfig, PreTrainedTokenizerFast
from transformers import DistilBertForTokenClassification as Model

from standpipe_server.demo_models.converters.folders import check, write
from standpipe_server.demo_models.converters.onnx_weights import read_onnx


def convert(source: Path, target: Path) -> None:
    """Write the model, in float32 as the reranker, with the package's names for its labels."""
    labels: list[str] = json.loads((source / "tag_vocab.json").read_text(encoding="utf-8"))["tags"]
    weights = read_onnx(source / "tagger.onnx")
    config = DistilBertConfig(
        vocab_size=len(weights["distilbert.embeddings.word_embeddings.weight"]),
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(source / "tokenizer.json"),
        **{f"{kind}_token": f"[{kind.upper()}]" for kind in ("unk", "sep", "pad", "cls", "mask")},
        model_max_length=config.max_position_embeddings,
        # DistilBERT has no token types; without this they would be passed to it.
        model_input_names=["input_ids", "attention_mask"],
    )
    write(Model(config), weights, tokenizer, target)
    check(target, AutoModelForTokenClassification)
