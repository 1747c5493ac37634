"""Sequence-to-sequence models: batches through the library's own ``generate``.

Shared by the backends, which bring a model that has ``generate``. Not aware of tasks: a head says what is
read and how it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from standpipe_server.backends.reading import load_tokenizer, token_limit
from standpipe_server.backends.sampling import drawing
from standpipe_server.backends.sources import Source
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Outcome, Output, Written
from standpipe_server.programs import DEFAULT_MAX_NEW_TOKENS, Generation, Prompt, Seq2SeqHead


class SeqModel:
    """What a head may ask of its model; see ``programs.TextModel``, of which it has all but the encoding."""

    def __init__(self, source: Source, config: Any) -> None:
        self.folder = source.folder
        self.config = config
        self.tokenizer = load_tokenizer(source.folder)
        self.max_tokens = token_limit(self.tokenizer, config)


class Seq2SeqRunner:
    """Writes with one model, on one thread, which owns the model's tokenizer too.

    Args:
        heads: By the class of a call's parameters.
        reader: The model's tokenizer and limits.
        model: Has ``generate`` and ``generation_config``.
        device: Where its inputs go.
    """

    def __init__(self, heads: Mapping[type, Seq2SeqHead], reader: SeqModel, model: Any, device: str) -> None:
        self._heads = heads
        self._reader = reader
        self._model = model
        self._device = device
        self._pads = {model.generation_config.pad_token_id, reader.tokenizer.pad_token_id}

    def run(self, calls: Sequence[Call], *, alone: bool) -> Sequence[Outcome]:
        head = self._heads[type(calls[0].parameters)]
        generation = head.generation(calls[0])
        outcomes: list[Outcome | None] = [None] * len(calls)
        prompts: dict[int, Prompt] = {}
        for index, call in enumerate(calls):
            try:
                prompts[index] = self._check(head.prompt(call), generation)
            except InvalidInputError as error:
                outcomes[index] = error
        for part in _parts(list(prompts), generation):
            for index, output in zip(part, self._write([prompts[i] for i in part], generation), strict=True):
                outcomes[index] = output
        return [outcome for outcome in outcomes if outcome is not None]

    def _check(self, prompt: Prompt, generation: Generation) -> Prompt:
        if not generation.truncate:
            length = len(self._reader.tokenizer(prompt.text)["input_ids"])
            if length > self._reader.max_tokens:
                raise InvalidInputError(
                    f"the text has {length} tokens, more than the model's {self._reader.max_tokens}"
                )
        return prompt

    def _write(self, prompts: Sequence[Prompt], generation: Generation) -> list[Output]:
        """One batch; its prompts agree in language."""
        tokenizer = self._reader.tokenizer
        if prompts[0].source_language is not None:
            tokenizer.src_lang = prompts[0].source_language
        inputs = tokenizer(
            [prompt.text for prompt in prompts],
            padding=True,
            truncation=True,
            max_length=self._reader.max_tokens,
            return_tensors="pt",
        ).to(self._device)
        # Encoder-decoder models know no segments, whatever their tokenizer says.
        inputs.pop("token_type_ids", None)
        options = self._options(generation, prompts[0].first_token)
        samples = options.get("do_sample", self._model.generation_config.do_sample)
        with drawing(samples, generation.seed), torch.inference_mode():
            written = self._model.generate(**inputs, **options)
        return self._outputs(written, inputs["attention_mask"].sum(1).tolist(), generation)

    def _options(self, generation: Generation, first_token: int | None) -> dict[str, Any]:
        options = usual_options(self._model.generation_config, generation)
        if first_token is not None:
            options["forced_bos_token_id"] = first_token
        return options

    def _outputs(self, written: Any, read: Sequence[int], generation: Generation) -> list[Output]:
        texts = self._reader.tokenizer.batch_decode(
            written, skip_special_tokens=True, clean_up_tokenization_spaces=generation.clean_up
        )
        outputs = []
        for text, ids, tokens in zip(texts, written.tolist(), read, strict=True):
            # The first token is the decoder's start; what follows the end token is padding.
            wrote = sum(token not in self._pads for token in ids[1:])
            outputs.append(Output((Written(text, wrote),), tokens))
        return outputs


def usual_options(config: Any, generation: Generation) -> dict[str, Any]:
    """Keyword arguments of ``generate``, always with ``max_new_tokens``.

    Args:
        config: The model's generation config.
        generation: What the call asks for.
    """
    options = dict(generation.options)
    if "max_new_tokens" not in options:
        usual = max(_usual_length(config), options.get("min_new_tokens", 0))
        options["max_new_tokens"] = min(usual, generation.max_new_tokens)
    return options


def _usual_length(config: Any) -> int:
    """Tokens that a model writes at most as its files say."""
    if config.max_new_tokens is not None:
        return int(config.max_new_tokens)
    # The library's own default of 20 stands for files that say nothing; a length counts the decoder's start.
    stated = config.max_length is not None and config.max_length != 20
    return int(config.max_length) - 1 if stated else DEFAULT_MAX_NEW_TOKENS


def _parts(indices: list[int], generation: Generation) -> list[list[int]]:
    """One batch; or each call by itself, where a seed must mean the same whatever runs beside it."""
    if generation.seed is not None:
        return [[index] for index in indices]
    return [indices] if indices else []
