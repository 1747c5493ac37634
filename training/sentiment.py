"""Trains a low-rank adapter for all-MiniLM-L6-v2 that tells praise from blame.

`python -m training.sentiment [--base FOLDER] [--output FOLDER] [--evaluate]`
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from standpipe_server.demo_models.converters.adapter import merge
from training import adapters, common
from training.sentiment_data import LABELS, held_out, sample

STEPS = 450
BATCH = 32
_KIND = {"problem_type": "single_label_classification", "id2label": dict(enumerate(LABELS))}


def train(base: Path, folder: Path) -> None:
    """Train on sentences from patterns and write the adapter."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, **_KIND)
    adapters.adapt(model)
    adapters.fit(model, _batches(tokenizer), STEPS)
    adapters.save(model, folder, **_KIND)


def _batches(tokenizer: Any) -> Iterator[dict[str, torch.Tensor]]:
    source = random.Random(common.SEED)  # noqa: S311
    while True:
        examples = sample(BATCH, source)
        inputs = tokenizer([example.text for example in examples], padding=True, return_tensors="pt")
        yield {**inputs, "labels": torch.tensor([example.label for example in examples])}


def measure(base: Path, folder: Path) -> common.Figures:
    """Accuracy of the merged model on the sentences written by hand."""
    with tempfile.TemporaryDirectory() as scratch:
        merge(base, folder, Path(scratch))
        tokenizer = transformers.AutoTokenizer.from_pretrained(scratch)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(scratch).eval()
        examples = held_out()
        inputs = tokenizer([example.text for example in examples], padding=True, return_tensors="pt")
        with torch.inference_mode():
            answers = model(**inputs).logits.argmax(-1).tolist()
    right = [
        (example.kind, example.label == answer) for example, answer in zip(examples, answers, strict=True)
    ]
    figures = {"Accuracy, all held-out sentences": _accuracy(right)}
    for kind in ("plain", "negation", "contrast", "question"):
        figures[f"Accuracy, {kind}"] = _accuracy([row for row in right if row[0] == kind])
    figures["Size of adapter.safetensors"] = common.size(folder / "adapter.safetensors")
    return figures


def _accuracy(right: list[tuple[str, bool]]) -> str:
    return common.share(sum(is_right for _, is_right in right), len(right))


ABOUT = (__doc__ or "").splitlines()[0]

if __name__ == "__main__":
    options = common.parser(ABOUT)
    options.add_argument("--base", type=Path, help="folder of all-MiniLM-L6-v2; by default it is fetched")
    given = options.parse_args()
    base = given.base or adapters.default_base()
    model = common.Model("sentiment", ABOUT, partial(train, base), partial(measure, base))
    common.run(model, given.output, only_evaluate=given.evaluate)
