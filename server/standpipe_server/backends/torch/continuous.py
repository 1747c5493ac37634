"""Causal models through transformers' continuous batching: each step computes a token of every text there is.

The library's manager has a thread of its own; here its results are taken in, and what it can't survive is
kept from it. Not aware of tasks.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator
from math import gcd
from typing import Any

from transformers import ContinuousBatchingConfig, GenerationConfig

from standpipe_server.backends.causal import CausalReader
from standpipe_server.backends.decoding import SequenceWriter
from standpipe_server.backends.engines import Delivery, Inbox, Job, Ticket, deliver
from standpipe_server.errors import InvalidInputError, ModelFailedError
from standpipe_server.interfaces import ModelSpec

# Tokens in a block: of what prompts share, whole blocks are kept.
_BLOCK = 32
# Seconds between looks at the inbox while texts are written.
_LOOK = 0.002
_STOPPING = 5.0
# What has no effect on a text that is written greedily.
_IDLE = frozenset(
    {"temperature", "top_k", "top_p", "min_p", "typical_p", "length_penalty", "early_stopping"}
    | {"max_new_tokens", "max_length", "bos_token_id", "eos_token_id", "pad_token_id"}
    | {"use_cache", "transformers_version", "output_attentions", "output_hidden_states", "_from_model_config"}
)
# What asks for nothing beside it, as False does of the others.
_NEUTRAL: dict[str, Any] = {
    "num_beams": 1,
    "num_return_sequences": 1,
    "min_new_tokens": 0,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
}


class _Text:
    """A text in the manager's hands."""

    def __init__(self, ticket: Ticket, writer: SequenceWriter, blocks: int) -> None:
        self.ticket = ticket
        self.writer = writer
        self.blocks = blocks


class ContinuousEngine:
    """Writes greedily, many texts side by side; see ``engines.Engine``.

    The library (5.5 to 5.17) has one generation config for all requests, so whatever else a job asks for it
    can't have: see ``obstacle``. A request that finds the cache full ends the library's thread, or is begun
    anew and cut short; so none is given to it before all the blocks that it may come to need are free.

    Args:
        model: On its device; it can be used for nothing else from here on.
        reader: Of the model.
        spec: How large the cache and a step may be.
    """

    def __init__(self, model: Any, reader: CausalReader, spec: ModelSpec) -> None:
        # It warns whenever a request is cancelled that has just ended.
        logging.getLogger("ContinuousBatchingLogger").setLevel(logging.ERROR)
        self._tokenizer = reader.fast
        self._ends = reader.ends
        self._stated = model.generation_config.to_diff_dict()
        self._groups, block_bytes = _block(model)
        per_text = _blocks(reader.max_tokens, self._groups)
        affordable = int(spec.kv_cache_gb * 1e9) // block_bytes
        # More blocks than all texts can fill would still take their part of each step.
        self._blocks = max(1, min(affordable, per_text * spec.max_sequences))
        self._model = model
        self._spec = spec
        self._manager = self._make()
        self._waiting: deque[Ticket] = deque()
        self._texts: dict[str, _Text] = {}
        self._requests = 0

    def obstacle(self, job: Job) -> str:
        """Why it can't do a job; empty where it can."""
        writing = job.writing
        if writing.constraint or writing.logprobs or writing.sequences > 1:
            return "continuous batching has no constraints, logprobs or several texts of a prompt"
        asked = {**self._stated, **job.options}
        wanting = [
            name
            for name, value in asked.items()
            if name not in _IDLE and value is not None and value != _NEUTRAL.get(name, False)
        ]
        return f"continuous batching has no {', '.join(wanting)}" if wanting else ""

    def check(self, job: Job) -> None:
        if self._needed(job) > self._blocks:
            raise InvalidInputError(
                f"the prompt's {len(job.ids)} tokens and {job.options['max_new_tokens']} new ones are more "
                f"than the {self._blocks // self._groups * _BLOCK} that the cache (kv_cache_gb) holds"
            )

    def work(self, inbox: Inbox) -> None:
        while self._take(inbox):
            try:
                self._turn()
            except Exception as error:  # whatever the library stumbles over
                self._fail(error)
        deliver([(text.ticket, text.writer.end("cancelled")) for text in self._texts.values()])
        deliver([(ticket, self._writer(ticket).end("cancelled")) for ticket in self._waiting])
        for request in list(self._texts):
            self._drop(request)
        # It goes on until it has nothing more to do.
        self._manager.stop(block=True, timeout=_STOPPING)

    def free_blocks(self) -> int:
        """Blocks of the cache that nobody holds; what is kept for prompts that begin alike is free too."""
        free: int = self._manager.batch_processor.cache.get_num_free_blocks()
        return free

    def _turn(self) -> None:
        self._drop_cancelled()
        self._admit()
        deliver(list(self._results()))
        if self._texts and not self._manager.is_running():
            # It has said why of those texts that it knew.
            deliver(list(self._results()))
            self._fail(ModelFailedError("continuous batching has ended"))

    def _take(self, inbox: Inbox) -> bool:
        """New jobs; waits for one where there is nothing else to do."""
        while not ((self._texts or self._waiting) and inbox.empty()):
            ticket = inbox.get()
            if ticket is None:
                return False
            if not ticket.cancelled:
                self._waiting.append(ticket)
        return True

    def _admit(self) -> None:
        """Hand over those that wait, in their order, while there is room for whatever they may write."""
        room = self._blocks - sum(text.blocks for text in self._texts.values())
        while self._waiting:
            ticket = self._waiting[0]
            needed = 0 if ticket.cancelled else self._needed(ticket.job)
            if needed > room:
                return
            self._waiting.popleft()
            if not ticket.cancelled:
                room -= needed
                self._begin(ticket, needed)

    def _begin(self, ticket: Ticket, needed: int) -> None:
        self._requests += 1
        request = str(self._requests)
        self._texts[request] = _Text(ticket, self._writer(ticket), needed)
        if not self._manager.is_running():
            self._start()
        self._manager.add_request(
            ticket.job.ids,
            request_id=request,
            max_new_tokens=ticket.job.options["max_new_tokens"],
            streaming=True,
        )

    def _make(self) -> Any:
        manager = self._model.init_continuous_batching(
            generation_config=GenerationConfig(do_sample=False, eos_token_id=self._ends or -1),
            continuous_batching_config=ContinuousBatchingConfig(
                block_size=_BLOCK,
                num_blocks=self._blocks,
                max_batch_tokens=max(self._spec.max_batched_tokens, self._spec.max_sequences),
                # Texts that begin alike come out wrong with it: 381 of 800 (transformers 5.5.4).
                allow_block_sharing=False,
                # The next step begins before the last one's cancellations are known, which it can't survive.
                use_async_batching=False,
                # Blocks of another size, for one kernel only.
                max_blocks_per_request=0,
            ),
        )
        # Makes the cache: what can't be had is known at load.
        manager.warmup()
        return manager

    def _start(self) -> None:
        """Start the manager's thread, which becomes a daemon as this one is."""
        if self._requests > 1:
            # What a thread that has ended leaves behind isn't fit for another. Its cache goes first.
            self._manager.batch_processor = None
            self._manager = self._make()
        self._manager.start()

    def _writer(self, ticket: Ticket) -> SequenceWriter:
        return SequenceWriter(self._tokenizer, ticket.job)

    def _drop_cancelled(self) -> None:
        for request in [request for request, text in self._texts.items() if text.ticket.cancelled]:
            self._drop(request)

    def _drop(self, request: str) -> None:
        """The next step is without it, and its blocks are free before that."""
        self._manager.cancel_request(request)
        del self._texts[request]

    def _results(self) -> Iterator[Delivery]:
        """What the manager has written, if anything; waits a little for it."""
        output = self._manager.get_result(timeout=_LOOK) if self._texts else None
        while output is not None:
            text = self._texts.get(output.request_id)
            if text is not None:
                yield from self._tell(text, output)
            output = self._manager.get_result(timeout=0)

    def _tell(self, text: _Text, output: Any) -> Iterator[Delivery]:
        ticket, writer = text.ticket, text.writer
        # An output has all tokens so far, and may have got more since it was made.
        ids = output.generated_tokens[writer.tokens :]
        if output.error is not None or not output.generated_tokens:
            del self._texts[output.request_id]
            yield ticket, ModelFailedError(output.error or "continuous batching has written nothing")
        elif output.is_finished():
            del self._texts[output.request_id]
            ended = output.generated_tokens[-1] in self._ends
            yield ticket, writer.last(ids, (), "stop" if ended else "length")
        elif (chunk := writer.add(ids)) is not None:
            if writer.finished:
                self._drop(output.request_id)
            yield ticket, chunk

    def _fail(self, error: Exception) -> None:
        """Nobody may wait for what doesn't come; if the manager has ended, the next text makes another."""
        deliver([(text.ticket, error) for text in self._texts.values()])
        for request in list(self._texts):
            self._drop(request)

    def _needed(self, job: Job) -> int:
        return _blocks(len(job.ids) + job.options["max_new_tokens"], self._groups)


def _blocks(tokens: int, groups: int) -> int:
    """Blocks that a text comes to hold at most: the library takes one more as soon as the last is full."""
    return (tokens // _BLOCK + 1) * groups


def _block(model: Any) -> tuple[int, int]:
    """How a cache is laid out: blocks that _BLOCK tokens take, one for layers of a kind; bytes of each."""
    config = model.config.get_text_config()
    layers = config.num_hidden_layers
    kinds = Counter(getattr(config, "layer_types", None) or ["full_attention"] * layers)
    together = gcd(*kinds.values())
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return layers // together, 2 * together * _BLOCK * heads * size * model.dtype.itemsize
