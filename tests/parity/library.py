"""The library as the oracles ask it: its pipelines and classes in-process, and what a request sets.

Not aware of tasks.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers

Answer = dict[str, Any]
"""A response as the contract would hold it, without metadata."""


@cache
def pipe(task: str, folder: Path) -> Any:
    return transformers.pipeline(task, model=str(folder), device="cpu", dtype=torch.float32)


@cache
def auto(kind: str, folder: Path) -> Any:
    return getattr(transformers, kind).from_pretrained(folder)


@cache
def diffuser(folder: Path) -> Any:
    """The pipeline that a folder's files name."""
    import diffusers

    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def given(request: Any, *names: str) -> dict[str, Any]:
    """The optional fields that a request sets."""
    return {name: getattr(request, name) for name in names if request.HasField(name)}


def enum_word(request: Any, field: str) -> str | None:
    """An enum's value in the library's words: ``none`` of AGGREGATION_STRATEGY_NONE."""
    kind = request.DESCRIPTOR.fields_by_name[field].enum_type
    if not getattr(request, field):
        return None
    prefix = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
    word: str = kind.values_by_number[getattr(request, field)].name.removeprefix(prefix).lower()
    return word
