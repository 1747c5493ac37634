"""Causal models on openvino-genai's continuous batching: a paged cache, prompts in parts, shared prefixes.

The pipeline is asked token by token, on one thread of a process of its own (``backends.process`` says why).
It isn't told to decode, to find stop strings or to apply templates: those are done alike for every engine.
Not aware of tasks.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import openvino
import openvino_genai as genai
from tokenizers import Tokenizer

from standpipe_server.backends.decoding import SequenceWriter
from standpipe_server.backends.engines import Delivery, Inbox, Ticket, deliver
from standpipe_server.backends.openvino.configs import config_of, last_line
from standpipe_server.errors import InvalidInputError, OverloadedError
from standpipe_server.interfaces import FinishName, ModelSpec

log = logging.getLogger(__name__)

_REASONS: dict[Any, FinishName] = {
    genai.GenerationFinishReason.STOP: "stop",
    genai.GenerationFinishReason.LENGTH: "length",
}
# Tokens in a block of the cache on a processor.
_BLOCK = 32
# How many times all texts that are written side by side find room at their longest, for the prefix cache.
_ROUNDS = 8
_DONE = (genai.GenerationStatus.FINISHED, genai.GenerationStatus.IGNORED)


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """All that a pipeline is made of; it travels to the engine's process.

    Attributes:
        folder: Of the exported model and its tokenizer.
        blocks: Of its cache of keys and values, 32 tokens each.
        max_sequences: Texts that it writes side by side.
        max_batched_tokens: In one step.
        prefix_cache: Keep the keys and values of prompts.
        properties: Of the compiled model.
    """

    folder: Path
    blocks: int
    max_sequences: int
    max_batched_tokens: int
    prefix_cache: bool
    properties: Mapping[str, Any]

    @classmethod
    def of(
        cls, folder: Path, config: Any, spec: ModelSpec, max_tokens: int, properties: Mapping[str, Any]
    ) -> Self:
        """For a model.

        Args:
            folder: Of the exported model and its tokenizer.
            config: The model's transformers config.
            spec: Settled.
            max_tokens: That the model holds.
            properties: Of the compiled model.
        """
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        # By itself the cache is in half precision even in fp32: texts came out other than transformers'.
        exact = properties["INFERENCE_PRECISION_HINT"] == "f32"
        # Keys and values.
        per_token = 2 * (4 if exact else 2) * config.num_hidden_layers * heads * width
        affordable = int(spec.kv_cache_gb * 1e9 / (per_token * _BLOCK))
        # A small model needn't have room for a thousand times what it can write.
        useful = _ROUNDS * spec.max_sequences * -(-max_tokens // _BLOCK)
        return cls(
            folder,
            blocks=max(2, min(affordable, useful)),
            max_sequences=spec.max_sequences,
            max_batched_tokens=spec.max_batched_tokens,
            prefix_cache=spec.prefix_cache,
            properties={**properties, **({"KV_CACHE_PRECISION": "f32"} if exact else {})},
        )

    @property
    def cache_tokens(self) -> int:
        """Tokens that the cache holds."""
        return self.blocks * _BLOCK

    def usual(self) -> Any:
        """A GenerationConfig as the model's own files say."""
        path = self.folder / "generation_config.json"
        return genai.GenerationConfig(path) if path.is_file() else genai.GenerationConfig()

    def pipeline(self) -> Any:
        """A pipeline, which takes seconds."""
        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = self.blocks
        scheduler.max_num_seqs = self.max_sequences
        scheduler.max_num_batched_tokens = self.max_batched_tokens
        scheduler.enable_prefix_caching = self.prefix_cache
        return genai.ContinuousBatchingPipeline(self.folder, scheduler, "CPU", dict(self.properties))


class _Text:
    """A ticket's texts in the pipeline: one request, or one for each text that is drawn."""

    handle: Any

    def __init__(self, ticket: Ticket, sequences: range, tokenizer: Tokenizer) -> None:
        job = ticket.job
        self.ticket = ticket
        self.sequences = sequences
        self.writers = [SequenceWriter(tokenizer, job, sequence) for sequence in sequences]
        self.ids: list[int] = []
        # Of the cache, that it may come to hold.
        longest = len(job.ids) + job.options["max_new_tokens"]
        self.blocks: int = job.options.get("num_beams", 1) * -(-longest // _BLOCK)
        # Its prompt has been read.
        self.begun = False
        # Where it was last gone on with.
        self.gone_on_at = -1

    @property
    def finished(self) -> bool:
        """Nothing of it follows."""
        return all(writer.finished for writer in self.writers)


class GenAiEngine:
    """Writes with one pipeline; see ``engines.Engine``.

    Args:
        settings: Of the pipeline; also when it must be made anew.
        tokenizer: Of the tokenizers library, as text: decodes.
    """

    def __init__(self, settings: PipelineSettings, tokenizer: str) -> None:
        self._make = settings.pipeline
        self._prefix_cache = settings.prefix_cache
        self._blocks = settings.blocks
        self._pipeline = self._make()
        self._tokenizer = Tokenizer.from_str(tokenizer)
        self._texts: list[_Text] = []
        self._waiting: deque[_Text] = deque()
        self._requests = 0

    def work(self, inbox: Inbox) -> None:
        while self._take(inbox):
            try:
                self._drop_cancelled()
                self._pipeline.step()
            except Exception as error:  # whatever the library stumbles over
                self._recover(error)
                continue
            deliver([delivery for text in self._texts for delivery in self._read(text)])
            self._texts = [text for text in self._texts if not self._ended(text)]
        unfinished = [*self._texts, *self._waiting]
        deliver([ending for text in unfinished for ending in _endings(text, "cancelled")])
        self._texts.clear()
        self._waiting.clear()

    def usage(self) -> float:
        """Share of the cache, in percent, that the last step's texts held."""
        return float(self._pipeline.get_metrics().cache_usage)

    def _take(self, inbox: Inbox) -> bool:
        """New jobs into the pipeline; waits for one where there is nothing else to do.

        What was cancelled still has to be freed by a step.
        """
        self._admit()
        while not inbox.empty() or not self._pipeline.has_non_finished_requests():
            ticket = inbox.get()
            if ticket is None:
                return False
            if not ticket.cancelled:
                self._waiting += self._parts(ticket)
            self._admit()
        return True

    def _parts(self, ticket: Ticket) -> Iterator[_Text]:
        # Drawn texts are a request each, so that each is read while it is written; they share their prompt's
        # keys and values. Beams belong together.
        job = ticket.job
        count = job.writing.sequences
        each = count if job.options.get("num_beams", 1) > 1 else 1
        parts = (range(first, first + each) for first in range(0, count, each))
        return (_Text(ticket, part, self._tokenizer) for part in parts)

    def _admit(self) -> None:
        while self._waiting and self._has_room(self._waiting[0]):
            self._begin(self._waiting.popleft())

    def _has_room(self, text: _Text) -> bool:
        # The pipeline makes room by giving texts up, to read them again later. In the middle of a prompt that
        # is what its prefix cache can't stand: beside it there must be room for all texts at their longest.
        if not self._prefix_cache or not self._texts or text.ticket.cancelled:
            return True
        held: int = sum(one.blocks for one in self._texts)
        return held + text.blocks <= self._blocks

    def _begin(self, text: _Text) -> None:
        job = text.ticket.job
        if text.ticket.cancelled:
            return
        try:
            text.handle = self._add(job.ids, config_of(self._pipeline.get_config, job, text.sequences.start))
        except Exception as error:  # the pipeline has the last word on what it takes
            text.ticket.put(InvalidInputError(last_line(error), "parameters"))
            text.ticket.cancelled = True
            return
        self._texts.append(text)

    def _add(self, ids: list[int], config: Any) -> Any:
        self._requests += 1
        return self._pipeline.add_request(self._requests, openvino.Tensor(np.array([ids], np.int64)), config)

    def _drop_cancelled(self) -> None:
        kept = []
        for text in self._texts:
            # A prompt that is given up in the middle leaves blocks in the prefix cache that were never
            # computed, and whoever's prompt begins alike reads them (2026.4.1): it is read to its end first.
            left = text.ticket.cancelled and (text.begun or not self._prefix_cache)
            if left or text.finished:
                # The next step frees what it holds.
                text.handle.cancel()
            else:
                kept.append(text)
        self._texts = kept

    def _read(self, text: _Text) -> Iterator[Delivery]:
        while text.handle.can_read():
            text.begun = True
            outputs = text.handle.read()
            if len(text.writers) > 1 or len(outputs) > 1:
                best = sorted(outputs.values(), key=lambda output: -output.score)
                yield from self._beams(text, best)
                continue
            for output in outputs.values():
                text.ids += output.generated_ids
                yield from _tell(text, 0, output)
        if text.handle.get_status() == genai.GenerationStatus.IGNORED:
            yield text.ticket, OverloadedError("the cache of keys and values is full", retry_after=1.0)

    def _beams(self, text: _Text, best: list[Any]) -> Iterator[Delivery]:
        for index, output in enumerate(best[: len(text.writers)]):
            yield from _tell(text, index, output)

    def _ended(self, text: _Text) -> bool:
        # What reached a stop string, which the pipeline doesn't know, holds its blocks until it is dropped.
        return text.handle.get_status() in _DONE

    def _recover(self, error: Exception) -> None:
        """A step failed, which leaves the pipeline unusable: make another, and go on where each text was.

        What is constrained fails, as one of those is the likely cause; so does what came no further since the
        last time.
        """
        log.error("a step of openvino-genai failed; its pipeline is made anew", exc_info=error)
        texts, self._texts = self._texts, []
        try:
            self._pipeline = self._make()
        except Exception as worse:
            error = worse
        for text in texts:
            try:
                self._go_on(text, error)
            except Exception as caught:  # its reader is told why
                text.ticket.put(caught)

    def _go_on(self, text: _Text, error: Exception) -> None:
        job = text.ticket.job
        if job.writing.constraint is not None or text.gone_on_at == len(text.ids):
            raise error
        text.gone_on_at, text.begun = len(text.ids), False
        config = config_of(self._pipeline.get_config, job, text.sequences.start)
        config.max_new_tokens -= len(text.ids)
        config.min_new_tokens = max(0, config.min_new_tokens - len(text.ids))
        text.handle = self._add(job.ids + text.ids, config)
        self._texts.append(text)


def _tell(text: _Text, index: int, output: Any) -> Iterator[Delivery]:
    """What an output adds to a text, and its end where it is there."""
    writer = text.writers[index]
    if writer.finished:
        return
    reason = _REASONS.get(output.finish_reason)
    if reason is not None:
        yield text.ticket, writer.last(output.generated_ids, output.generated_log_probs, reason)
        return
    chunk = writer.add(output.generated_ids, output.generated_log_probs)
    if chunk is not None:
        yield text.ticket, chunk


def _endings(text: _Text, reason: FinishName) -> Iterator[Delivery]:
    return ((text.ticket, writer.end(reason)) for writer in text.writers if not writer.finished)
