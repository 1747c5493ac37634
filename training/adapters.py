"""Low-rank adapters for a BERT encoder: small factors beside frozen weights, and a new head.

Not aware of what is learned: it trains on batches that carry their labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from training import common

BASE = "all-MiniLM-L6-v2"
RANK = 8
SCALE = 2.0
PEAK_RATE = 2e-3
CARD = "README.md"


class LowRank(nn.Module):
    """A frozen linear layer with a learned product of two thin matrices beside it."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.lora_a = nn.Parameter(torch.randn(RANK, linear.in_features) / linear.in_features**0.5)
        self.lora_b = nn.Parameter(torch.zeros(linear.out_features, RANK))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """What the merged layer gives."""
        beside = hidden @ self.lora_a.T @ self.lora_b.T
        return torch.add(self.linear(hidden), beside, alpha=SCALE)


def default_base() -> Path:
    """The base's folder, fetched where it isn't in the cache."""
    from standpipe_server import demo_models

    recipe = next(recipe for recipe in demo_models.RECIPES if recipe.name == BASE)
    return demo_models.fetch(recipe, lambda _done, _whole: None)


def adapt(model: Any) -> None:
    """Freeze a model, put factors beside its encoder's linear layers, and leave its classifier to learn."""
    model.requires_grad_(False)
    linears = [(name, layer) for name, layer in model.bert.named_modules() if isinstance(layer, nn.Linear)]
    for name, layer in linears:
        parent, _, last = name.rpartition(".")
        setattr(model.bert.get_submodule(parent), last, LowRank(layer))
    model.classifier.requires_grad_(True)


def fit(model: Any, batches: Iterator[dict[str, torch.Tensor]], steps: int) -> None:
    """Learn from this many batches."""
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1)
    model.train()
    for _ in common.steps(steps):
        loss = model(**next(batches)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def save(model: Any, folder: Path, **labels: Any) -> None:
    """Write factors and classifier, at half precision, with what `merge` must know of them."""
    tensors = {f"classifier.{name}": weight for name, weight in model.classifier.named_parameters()}
    for name, layer in model.bert.named_modules():
        if isinstance(layer, LowRank):
            tensors |= {f"{name}.lora_a": layer.lora_a, f"{name}.lora_b": layer.lora_b}
    halves = {name: weight.detach().half().contiguous() for name, weight in tensors.items()}
    weights = folder / "adapter.safetensors"
    save_file(halves, weights)
    weights.chmod(0o644)  # safetensors leaves it to its owner alone
    config = {"base": BASE, "architecture": type(model).__name__, "scale": SCALE, **labels}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
