"""The models that a pipeline of diffusers is made of, each from its own folder.

Not aware of devices or tasks, nor of what the pipeline makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from standpipe_server.backends.sources import INDEX
from standpipe_server.errors import ModelLoadError

# How the two libraries call the argument.
_DTYPE = {"diffusers": "torch_dtype", "transformers": "dtype"}


def load_parts(folder: Path, dtype: torch.dtype) -> Iterator[tuple[str, Any]]:
    """Models by name, one at a time: who only wants to see that they are whole needn't hold them all.

    The libraries fill what the files don't hold with random numbers, or leave it out, and a pipeline that
    loads its own parts doesn't say so. What has no class of the two libraries is left to the pipeline.

    Args:
        folder: Of the pipeline.
        dtype: Of the models' numbers.

    Raises:
        ModelLoadError: The files hold no weights for a part of a model.
    """
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    listed = {name: entry for name, entry in index.items() if isinstance(entry, list)}
    for name, (library, kind) in listed.items():
        loader = getattr(import_module(library), kind, None) if library in _DTYPE else None
        if isinstance(loader, type) and issubclass(loader, torch.nn.Module):
            yield name, _part(loader, folder / name, {_DTYPE[library]: dtype})


def _part(loader: Any, folder: Path, options: dict[str, Any]) -> Any:
    # Pickles may do anything when they are read.
    model, report = loader.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, output_loading_info=True, **options
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelLoadError(f"{folder.name}: its files hold no weights for {', '.join(missing[:3])}")
    return model
