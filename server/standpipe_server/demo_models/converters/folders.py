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
from transformers import AutoProcessor, AutoTokenizer

# transformers itself gives it only where torchvision is.
from transformers.models.auto.image_processing_auto import AutoImageProcessor
from transformers.utils import logging

_SENTENCE = "The quick brown fox jumps over the lazy dog."
# Stripes, wider than high; as the image libraries have it: rows, columns, red, green and blue.
_PICTURE = np.tile(np.arange(0, 240, 5, dtype=np.uint8).reshape(16, 1, 3), (1, 24, 1))
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
    quieten()
    model.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    model.save_pretrained(target)
    # What a package ships may pad or cut every text on its own; here the caller says when.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(target)


def write_image_model(model: Any, weights: Mapping[str, torch.Tensor], processor: Any, target: Path) -> None:
    """Write a folder of a model that reads images: config, weights, image processor.

    Args:
        model: Of a transformers class, with any weights.
        weights: Its state dict; a weight too many or too few is refused.
        processor: What makes numbers of an image.
        target: The folder to make.
    """
    _write(model, weights, processor, target)


def write_audio_model(model: Any, weights: Mapping[str, torch.Tensor], processor: Any, target: Path) -> None:
    """Write a folder of a model that hears or speaks: config, weights, and what stands before it.

    Args:
        model: Of a transformers class, with any weights.
        weights: Its state dict; a weight too many or too few is refused.
        processor: What makes numbers of sound, or of the signs that the model speaks.
        target: The folder to make.
    """
    _write(model, weights, processor, target)


def _write(model: Any, weights: Mapping[str, torch.Tensor], processor: Any, target: Path) -> None:
    quieten()
    model.load_state_dict(weights)
    model.save_pretrained(target)
    processor.save_pretrained(target)


def check(folder: Path, auto: Any) -> None:
    """See that a folder loads and answers.

    Args:
        folder: Of a text model with its tokenizer.
        auto: The Auto class that a server loads it with.

    Raises:
        ValueError: Weights are missing or left over, or the model doesn't answer with numbers.
    """
    model = whole(folder, auto)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    inputs = tokenizer(_SENTENCE, return_tensors="pt")
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    _answer(model, inputs)


def check_image_model(folder: Path, auto: Any) -> None:
    """See that a folder loads and answers.

    Args:
        folder: Of a model that reads images, with its image processor.
        auto: The Auto class that a server loads it with.

    Raises:
        ValueError: Weights are missing or left over, or the model doesn't answer with numbers.
    """
    model = whole(folder, auto)
    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    _answer(model, processor(_PICTURE, return_tensors="pt"))


def check_recognizer(folder: Path, auto: Any) -> None:
    """See that a folder loads and answers.

    Args:
        folder: Of a model that writes down what is said, with its processor.
        auto: The Auto class that a server loads it with.

    Raises:
        ValueError: Weights are missing or left over, or the model doesn't answer with numbers.
    """
    model = whole(folder, auto)
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    rate = processor.feature_extractor.sampling_rate
    heard = processor(_tone(rate), sampling_rate=rate, return_tensors="pt")
    heard["decoder_input_ids"] = torch.tensor([[model.config.decoder_start_token_id]])
    _answer(model, heard)


def check_speaker(folder: Path, auto: Any, signs: str) -> None:
    """See that a folder loads and answers.

    Args:
        folder: Of a model that speaks, with its tokenizer.
        auto: The Auto class that a server loads it with.
        signs: What to say, as the tokenizer takes it.

    Raises:
        ValueError: Weights are missing or left over, or the model doesn't answer with numbers.
    """
    model = whole(folder, auto)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    _answer(model, tokenizer(signs, return_tensors="pt"))


def _tone(rate: int) -> NDArray[np.float32]:
    """A second of 440 Hz."""
    tone: NDArray[np.float32] = np.sin(np.arange(rate) * (2 * np.pi * 440 / rate)).astype(np.float32)
    return tone


def whole(folder: Path, auto: Any) -> Any:
    """Load a model whose weights must fit.

    Args:
        folder: The model's.
        auto: The class that loads it.

    Raises:
        ValueError: Weights are missing or left over.
    """
    quieten()
    model, report = auto.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    report["unexpected_keys"] = set(report["unexpected_keys"]) - {_HARMLESS}
    wrong = {what: found for what, found in report.items() if found}
    if wrong:
        raise ValueError(f"the weights don't fit {type(model).__name__}: {wrong}")
    return model


def _answer(model: Any, inputs: Any) -> None:
    with torch.inference_mode():
        answer = model.eval()(**inputs)[0]
    if not torch.isfinite(answer).all():
        raise ValueError(f"{type(model).__name__} answers with something else than numbers")


def quieten() -> None:
    """Keep the library's reports and bars off the terminal: what goes wrong is raised."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
