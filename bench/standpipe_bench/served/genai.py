"""openvino-genai as ``standpipe_bench.served.engine`` drives it. Needs that library and transformers."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai
from transformers import AutoTokenizer

_LOST = (openvino_genai.GenerationStatus.IGNORED, openvino_genai.GenerationStatus.CANCEL)


class Genai:
    """A causal model; see ``engine.Engine``.

    Args:
        pipeline: A ContinuousBatchingPipeline.
        tokenizer: Folder of the tokenizer in transformers' form.
    """

    def __init__(self, pipeline: Any, tokenizer: Path) -> None:
        self._pipeline = pipeline
        self._tokenizer = AutoTokenizer.from_pretrained(tokenizer)
        self._ids = count()

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text)["input_ids"]
        return ids

    def decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def begin(self, ids: list[int], tokens: int) -> Any:
        config = self._pipeline.get_config()
        config.do_sample = False
        # As the server is asked: it knows no way to go on beyond the end but to be told to write as much.
        config.min_new_tokens = config.max_new_tokens = tokens
        prompt = openvino.Tensor(np.array([ids], np.int64))
        return self._pipeline.add_request(next(self._ids), prompt, config)

    def step(self) -> None:
        self._pipeline.step()

    def read(self, handle: Any) -> list[int]:
        new: list[int] = []
        while handle.can_read():
            for output in handle.read().values():
                new += output.generated_ids
        if not new and handle.get_status() in _LOST:
            raise RuntimeError(f"the engine gave up on a text: {handle.get_status().name}")
        return new
