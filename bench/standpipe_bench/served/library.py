"""The library itself, in this process, in full precision: what served calls are to be faster than.

It is called as its own documentation calls it. Needs torch, transformers and diffusers, so only the command
that compares with it imports this.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.utils.logging import disable_progress_bar
from PIL import Image
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, pipeline
from transformers.utils import logging

# A bar for each model's weights, and what isn't installed, would stand among the results.
logging.set_verbosity_error()
logging.disable_progress_bar()
disable_progress_bar()

Text = str | tuple[str, str]


class Classifier:
    """The pipeline "text-classification".

    Args:
        folder: Of its model.
        device: As torch calls it.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self._pipeline = pipeline(
            "text-classification", model=str(folder), device=device, dtype=torch.float32
        )

    def one_by_one(self, texts: Sequence[Text]) -> list[Any]:
        """A call for each text, or pair."""
        return [self._pipeline(_as_read(text)) for text in texts]

    def in_batches(self, texts: Sequence[Text], size: int) -> list[Any]:
        """One call, which the pipeline cuts into batches."""
        answers: list[Any] = self._pipeline([_as_read(text) for text in texts], batch_size=size)
        return answers


class ImageClassifier:
    """The pipeline "image-classification".

    Args:
        folder: Of its model.
        device: As torch calls it.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self._pipeline = pipeline(
            "image-classification", model=str(folder), device=device, dtype=torch.float32
        )

    def one_by_one(self, files: Sequence[bytes]) -> list[Any]:
        """A call for each image file, which is decoded for it."""
        return [self._pipeline(Image.open(BytesIO(file))) for file in files]


class Drawer:
    """A pipeline of diffusers, from texts to pictures.

    Args:
        folder: Of its models.
        device: As torch calls it.
        steps: From noise to a picture.
    """

    def __init__(self, folder: Path, device: str, steps: int) -> None:
        self._pipeline = DiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32).to(device)
        self._pipeline.set_progress_bar_config(disable=True)
        self._steps = steps

    def one_by_one(self, prompts: Sequence[tuple[str, int]]) -> list[Image.Image]:
        """A call for each prompt, with the seed that it has."""
        return [self._draw(*prompt) for prompt in prompts]

    def _draw(self, prompt: str, seed: int) -> Image.Image:
        generator = torch.Generator("cpu").manual_seed(seed)
        drawn = self._pipeline(prompt, num_inference_steps=self._steps, generator=generator)
        image: Image.Image = drawn.images[0]
        return image


class Writer:
    """``generate`` of a sequence-to-sequence model.

    Args:
        folder: Of its model.
        device: As torch calls it.
        max_new_tokens: Of an answer.
    """

    def __init__(self, folder: Path, device: str, max_new_tokens: int) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).to(device)
        self._device = device
        self._max_new_tokens = max_new_tokens

    def one_by_one(self, texts: Sequence[str]) -> list[str]:
        """A call for each text."""
        return [self._write(text) for text in texts]

    def _write(self, text: str) -> str:
        inputs = self._tokenizer(text, return_tensors="pt").to(self._device)
        # Encoder-decoder models know no segments, whatever their tokenizer says.
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            written = self._model.generate(**inputs, max_new_tokens=self._max_new_tokens)
        answer: str = self._tokenizer.decode(written[0], skip_special_tokens=True)
        return answer


def _as_read(text: Text) -> str | dict[str, str]:
    return text if isinstance(text, str) else {"text": text[0], "text_pair": text[1]}
