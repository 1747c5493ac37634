"""For packages that ship a folder as ``diffusers`` saves it: copied, and checked.

Not aware of what it draws: whether the pictures are good is for tests to say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils.logging import disable_progress_bar

from standpipe_server.demo_models.converters.folders import quieten, whole
from standpipe_server.demo_models.converters.plain import copy

_PROMPT = "a picture"
_STEPS = 2


def convert(source: Path, target: Path) -> None:
    """Take over a pipeline that draws what a text says."""
    copy(source, target)
    check(target)


def check(folder: Path) -> None:
    """See that a folder loads and draws.

    Args:
        folder: Of a pipeline from texts to pictures.

    Raises:
        ValueError: Weights of a part are missing or left over, or the picture isn't one.
    """
    quieten()
    disable_progress_bar()
    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    # The library fills what is missing with random numbers, and says so of a part but not of a pipeline.
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            whole(folder / name, type(part))
    pipeline.set_progress_bar_config(disable=True)
    drawn: Any = pipeline(_PROMPT, num_inference_steps=_STEPS, output_type="np").images
    if not np.isfinite(drawn).all():
        raise ValueError(f"{type(pipeline).__name__} draws something else than numbers")
