"""The end of every conversion: the folder is written, and loads as a server will load it.

Not aware of tasks: whether the answers are good is for tests to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer
from transformers.utils import logging

_SENTENCE = "The quick brown fox jumps over the lazy dog."
# Numbers from nought to the longest text; older versions of transformers saved them as if they were weights.
_HARMLESS = "embeddings.position_ids"


def write(model: Any, weights: Mapping[str, NDArray[np.float32]], tokenizer: Any, target: Path) -> None:
    """Write a model's folder: config, weights, tokenizer.

    Args:
        model: Of a transformers class, with any weights.
        weights: Its state dict; a weight too many or too few is refused.
        tokenizer: A fast one.
        target: The folder to make.
    """
    _quieten()
    model.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    model.save_pretrained(target)
    # What a package ships may pad or cut every text on its own; here the caller says when.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(target)


def check(folder: Path, auto: Any) -> None:
    """See that a folder loads and answers.

    Args:
        folder: Of a text model with its tokenizer.
        auto: The Auto class that a server loads it with.

    Raises:
        ValueError: Weights are missing or left over, or the model doesn't answer with numbers.
    """
    _quieten()
    model, report = auto.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    report["unexpected_keys"] = set(report["unexpected_keys"]) - {_HARMLESS}
    wrong = {what: found for what, found in report.items() if found}
    if wrong:
        raise ValueError(f"the weights don't fit {type(model).__name__}: {wrong}")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    inputs = tokenizer(_SENTENCE, return_tensors="pt")
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    with torch.inference_mode():
        answer = model.eval()(**inputs)[0]
    if not torch.isfinite(answer).all():
        raise ValueError(f"{type(model).__name__} answers with something else than numbers")


def _quieten() -> None:
    """Keep the library's reports and bars off the terminal: what goes wrong is raised."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
