"""Trains a low-rank adapter for all-MiniLM-L6-v2 that finds people, places and organisations.

`python -m training.ner [--base FOLDER] [--output FOLDER] [--evaluate]`
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
from training import adapters, common, sentiment_data
from training.ner_data import KINDS, LABELS, Entity, Example, held_out, sample, tags

STEPS = 400
BATCH = 32
_KIND = {"id2label": dict(enumerate(LABELS))}


def train(base: Path, folder: Path) -> None:
    """Train on sentences from patterns and write the adapter."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    model = transformers.AutoModelForTokenClassification.from_pretrained(base, **_KIND)
    adapters.adapt(model)
    adapters.fit(model, _batches(tokenizer), STEPS)
    adapters.save(model, folder, **_KIND)


def _batches(tokenizer: Any) -> Iterator[dict[str, torch.Tensor]]:
    source = random.Random(common.SEED)  # noqa: S311
    while True:
        examples = sample(BATCH, source)
        texts = [example.text for example in examples]
        inputs = tokenizer(texts, padding=True, return_tensors="pt", return_offsets_mapping=True)
        offsets = inputs.pop("offset_mapping").tolist()
        labels = torch.tensor([tags(example, row) for example, row in zip(examples, offsets, strict=True)])
        special = torch.tensor([[start == end for start, end in row] for row in offsets])
        yield {**inputs, "labels": labels.masked_fill(special, -100)}


def measure(base: Path, folder: Path) -> common.Figures:
    """Precision, recall and F1 of the merged model's entities on the sentences written by hand."""
    with tempfile.TemporaryDirectory() as scratch:
        merge(base, folder, Path(scratch))
        model = transformers.AutoModelForTokenClassification.from_pretrained(scratch)
        tokenizer = transformers.AutoTokenizer.from_pretrained(scratch)
        examples = held_out()
        entities = sum(len(example.entities) for example in examples)
        figures = {"Held out": f"{len(examples)} sentences, {entities} entities"}
        for strategy in ("first", "simple"):
            find = transformers.pipeline(
                "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy=strategy
            )
            answers = [_entities(found) for found in find([example.text for example in examples])]
            figures[f"All kinds, aggregation_strategy={strategy}"] = _score(examples, answers, KINDS)
            if strategy == "first":
                figures |= {f"{kind}, {strategy}": _score(examples, answers, (kind,)) for kind in KINDS}
                others = [example.text for example in sentiment_data.held_out()]
                figures[f"Found in {len(others)} other sentences, which name two cities"] = str(
                    sum(len(found) for found in find(others))
                )
    figures["Size of adapter.safetensors"] = common.size(folder / "adapter.safetensors")
    return figures


def _entities(found: list[dict[str, Any]]) -> set[Entity]:
    return {Entity(one["entity_group"], one["start"], one["end"]) for one in found}


def _score(examples: list[Example], answers: list[set[Entity]], kinds: tuple[str, ...]) -> str:
    """Strict: an entity is right where kind, first and last character are."""
    wanted = _of([set(example.entities) for example in examples], kinds)
    given = _of(answers, kinds)
    right = len(wanted & given)
    precision, recall = right / max(len(given), 1), right / len(wanted)
    f1 = 2 * right / (len(given) + len(wanted))
    return f"F1 {100 * f1:.1f} %, precision {100 * precision:.1f} %, recall {100 * recall:.1f} %"


def _of(answers: list[set[Entity]], kinds: tuple[str, ...]) -> set[tuple[int, Entity]]:
    return {(at, one) for at, answer in enumerate(answers) for one in answer if one.kind in kinds}


ABOUT = (__doc__ or "").splitlines()[0]

if __name__ == "__main__":
    options = common.parser(ABOUT)
    options.add_argument("--base", type=Path, help="folder of all-MiniLM-L6-v2; by default it is fetched")
    given = options.parse_args()
    base = given.base or adapters.default_base()
    model = common.Model("ner", ABOUT, partial(train, base), partial(measure, base))
    common.run(model, given.output, only_evaluate=given.evaluate)
