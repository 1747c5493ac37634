"""Models that read an image and a text, and write or choose an answer, through the library's own processor.

Not aware of tasks: a head says what is read, and what is made of what comes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import LogitsProcessor, LogitsProcessorList

from standpipe_server.backends.reading import token_limit
from standpipe_server.backends.sampling import drawing
from standpipe_server.backends.seq2seq import usual_options
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Outcome, Written
from standpipe_server.media_programs import ImageTextHead
from standpipe_server.programs import Floats, Generation


class ImageTextModel:
    """A model with its processor; see ``media_programs.ImageTextModel``.

    Args:
        folder: Of its files.
        model: On its device.
    """

    def __init__(self, folder: Path, model: Any) -> None:
        self._model = model
        self._processor = transformers.AutoProcessor.from_pretrained(folder)
        self._tokenizer = self._processor.tokenizer
        self._max_tokens = token_limit(self._tokenizer, model.config.get_text_config(decoder=True))
        self.config = model.config
        self.writes: bool = model.can_generate()
        self.chats = bool(getattr(self._processor, "chat_template", None))

    def write(
        self, images: Sequence[Any], texts: Sequence[str] | None, generation: Generation
    ) -> list[tuple[Written, int]]:
        inputs = self._inputs(images, texts)
        options = usual_options(self._model.generation_config, generation)
        samples = options.get("do_sample", self._model.generation_config.do_sample)
        start = _Start()
        with drawing(samples, generation.seed), torch.inference_mode():
            rows = self._model.generate(**inputs, **options, logits_processor=LogitsProcessorList([start]))
        prompt = inputs.get("input_ids")
        return self._written(rows, start.length, 0 if prompt is None else prompt.shape[1])

    def chat(self, image: Any, text: str, generation: Generation) -> tuple[Written, int]:
        content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
        prompt = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        ((written, tokens),) = self.write([image], [prompt], generation)
        return written, tokens

    def scores(self, image: Any, text: str) -> Floats:
        with torch.inference_mode():
            logits = self._model(**self._inputs([image], [text])).logits[0]
        scores: Floats = logits.float().sigmoid().cpu().numpy()
        return scores

    def _inputs(self, images: Sequence[Any], texts: Sequence[str] | None) -> Any:
        options: dict[str, Any] = {} if texts is None else {"text": list(texts), "padding": True}
        inputs = self._processor(images=list(images), return_tensors="pt", **options)
        read = 0 if texts is None else inputs["input_ids"].shape[1]
        if read > self._max_tokens:
            raise InvalidInputError(f"the text has {read} tokens, more than the model's {self._max_tokens}")
        # Whole numbers stay as they are.
        return inputs.to(self._model.device, self._model.dtype)

    def _written(self, rows: Any, start: int, read: int) -> list[tuple[Written, int]]:
        """The texts, without the prompt where the model chats: a caption goes on where its prompt ends."""
        kept = rows[:, start:] if self.chats else rows
        texts = self._tokenizer.batch_decode(kept, skip_special_tokens=True)
        pads = {self._model.generation_config.pad_token_id, self._tokenizer.pad_token_id}
        wrote = [sum(token not in pads for token in row) for row in rows[:, start:].tolist()]
        return [(Written(text.strip(), count), read) for text, count in zip(texts, wrote, strict=True)]


class _Start(LogitsProcessor):  # type: ignore[misc] # the library has no types
    """Notes where writing begins: models differ in what of their prompt they give back, and how it begins."""

    def __init__(self) -> None:
        self.length = 0

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        self.length = self.length or input_ids.shape[1]
        return scores


class ImageTextRunner:
    """Answers the calls of one model's tasks, on one thread, which owns the model's processor too.

    Args:
        heads: By the class of a call's parameters.
    """

    def __init__(self, heads: Mapping[type, ImageTextHead]) -> None:
        self._heads = heads

    def run(self, calls: Sequence[Call], *, alone: bool) -> Sequence[Outcome]:
        return [outcome for part in _parts(calls) for outcome in self._run(part)]

    def _run(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        outcomes: dict[int, Outcome] = {}
        images: dict[int, Any] = {}
        for index, call in enumerate(calls):
            try:
                images[index] = call.input.image.open()
            except Exception as error:
                outcomes[index] = error
        if images:
            head = self._heads[type(calls[0].parameters)]
            answers = head.answers([calls[index] for index in images], list(images.values()))
            outcomes |= dict(zip(images, answers, strict=True))
        return [outcomes[index] for index in range(len(calls))]


def _parts(calls: Sequence[Call]) -> Iterator[list[Call]]:
    """A batch, cut so that what is decoded together has no more pixels than one image may have."""
    part: list[Call] = []
    held = 0
    for call in calls:
        pixels = call.input.image.pixels()
        if part and held + pixels > call.input.image.max_pixels:
            yield part
            part, held = [], 0
        part.append(call)
        held += pixels
    if part:
        yield part
