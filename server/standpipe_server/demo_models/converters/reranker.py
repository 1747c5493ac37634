"""The ms-marco-MiniLM-L12 cross-encoder, from its 8-bit ONNX export.

Its one number says how well a passage answers a question. Under the name of entailment it also serves
zero-shot classification, where a label's sentence takes the passage's place. Not aware of how a task makes
scores of the number; having no second class, it can't weigh a label against its opposite.
"""

from __future__ import annotations

from pathlib import Path

from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig
from transformers import BertForSequenceClassification as Model

from standpipe_server.demo_models.converters.folders import check, write
from standpipe_server.demo_models.converters.onnx_weights import read_onnx


def convert(source: Path, target: Path) -> None:
    """Write the model, in float32: half precision moves its numbers by some thousandths."""
    config = BertConfig(
        vocab_size=30522,
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=1536,
        id2label={0: "entailment"},
        label2id={"entailment": 0},
        # As the model's authors publish it: sentence-transformers is to give the number as it is.
        sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity"},
    )
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    write(Model(config), read_onnx(source / "model.onnx"), tokenizer, target)
    check(target, AutoModelForSequenceClassification)
