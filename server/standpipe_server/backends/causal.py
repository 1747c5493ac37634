"""Causal models: their prompts are read here, and an engine runs on a thread behind the event loop.

Not aware of tasks: a head says what is read and how it is written. Not aware of how an engine computes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoConfig, GenerationConfig

from standpipe_server.backends.engines import Delivery, Engine, Job, Ticket
from standpipe_server.backends.reading import load_tokenizer, token_limit
from standpipe_server.backends.sources import Source
from standpipe_server.errors import DrainingError, InvalidInputError, ModelLoadError
from standpipe_server.interfaces import Call, Chunk
from standpipe_server.programs import DEFAULT_MAX_NEW_TOKENS, CausalHead, CausalPrompt, Writing

log = logging.getLogger(__name__)


class CausalReader:
    """A causal model's tokenizer and limits; has of ``programs.TextModel`` all but the encoding.

    Args:
        source: Of the model's files.
        config: Its transformers config.
        generation_config: Its transformers generation config.
    """

    def __init__(self, source: Source, config: Any, generation_config: Any) -> None:
        self.folder = source.folder
        self.config = config
        self.generation_config = generation_config
        self.tokenizer = load_tokenizer(source.folder)
        if not self.tokenizer.is_fast:
            raise ModelLoadError("its tokenizer has no fast (Rust) form, which serving needs")
        self.max_tokens = token_limit(self.tokenizer, config)
        self.fast = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        self.fast.no_truncation()
        self.fast.no_padding()

    @property
    def template(self) -> Any:
        """What has the model's chat template."""
        return self.tokenizer

    @property
    def ends(self) -> list[int]:
        """Ids of the tokens that end a text."""
        ids = self.generation_config.eos_token_id
        return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)

    def count(self, text: str) -> int:
        """How many tokens a text has, special tokens not counted."""
        return len(self.fast.encode(text, add_special_tokens=False))

    def cut(self, text: str, max_tokens: int) -> str:
        """The beginning of a text that has no more than so many tokens.

        Raises:
            InvalidInputError: There is room for none.
        """
        if max_tokens < 1:
            raise InvalidInputError(f"the model's {self.max_tokens} tokens leave no room for the text")
        encoding = self.fast.encode(text, add_special_tokens=False)
        return text if len(encoding) <= max_tokens else text[: encoding.offsets[max_tokens - 1][1]]

    def job(self, prompt: CausalPrompt, writing: Writing) -> Job:
        """What the engine is to do.

        Raises:
            InvalidInputError: The prompt has no tokens, leaves no room for one more, or has images that the
                model can't read.
        """
        if prompt.images:
            raise InvalidInputError("the model reads no images")
        return self.job_of(
            self.fast.encode(prompt.text, add_special_tokens=prompt.special_tokens).ids, writing
        )

    def job_of(self, ids: list[int], writing: Writing, inputs: Mapping[str, Any] | None = None) -> Job:
        """What the engine is to do with a prompt's tokens, and what the model reads beside them.

        Raises:
            InvalidInputError: There are none, or they leave no room for one more.
        """
        if not ids:
            raise InvalidInputError("the prompt has no tokens, and the model needs one to begin with")
        room = self.max_tokens - len(ids)
        if room < 1:
            raise InvalidInputError(
                f"the prompt has {len(ids)} tokens; the model holds {self.max_tokens}, new ones included"
            )
        generation = writing.generation
        options = dict(generation.options)
        usual = max(
            self.generation_config.max_new_tokens or DEFAULT_MAX_NEW_TOKENS, options.get("min_new_tokens", 0)
        )
        wanted = options.get("max_new_tokens", min(usual, generation.max_new_tokens))
        options["max_new_tokens"] = min(wanted, room)
        return Job(ids, options, writing, inputs or {})


def generation_config(source: Source) -> Any:
    """How a model writes, as its own files say, which may say nothing."""
    try:
        return GenerationConfig.from_pretrained(source.folder)
    except OSError:
        return GenerationConfig.from_model_config(AutoConfig.from_pretrained(source.folder))


class LoopTicket(Ticket):
    """A job under way: the engine's thread puts chunks in, a reader on the event loop takes them out.

    What isn't read yet waits here, bounded by what a job may write.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[Chunk | Exception] = asyncio.Queue()

    async def read(self) -> Chunk:
        """The next chunk."""
        chunk = await self._chunks.get()
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def hand_over(self, deliveries: Sequence[Delivery]) -> None:
        def take() -> None:
            for ticket, chunk in deliveries:
                if isinstance(ticket, LoopTicket):
                    ticket._chunks.put_nowait(chunk)

        # The loop may be gone while the last step still ran: then nobody waits for it either.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(take)


class ThreadGenerator:
    """An engine behind the event loop; see ``interfaces.Generator``.

    Args:
        name: For its threads.
        reader: Of the model.
        heads: By the class of a call's parameters.
        engine: Its thread is started here.
        check: Sees that the engine can do a job, on another thread than the engine's; raises
            InvalidInputError, naming the option that it doesn't have.
        max_sequences: Texts that the engine writes side by side.
    """

    def __init__(
        self,
        name: str,
        reader: CausalReader,
        heads: Mapping[type, CausalHead],
        engine: Engine,
        check: Callable[[Job], None],
        max_sequences: int,
    ) -> None:
        self.max_sequences = max_sequences
        self._reader = reader
        self._heads = heads
        self._inbox: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._closed = False
        self._died: Exception | None = None
        self._open: set[LoopTicket] = set()
        self._engine = engine
        self._check = check
        # A long prompt takes a while to tokenize: neither the loop nor the engine waits for it.
        self._readers = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-reader")
        # A daemon: an engine that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=f"{name}-engine", daemon=True)
        self._thread.start()

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        self._refuse()
        loop = asyncio.get_running_loop()
        ticket = LoopTicket(await loop.run_in_executor(self._readers, self._prepare, call))
        unfinished = ticket.job.writing.sequences
        self._open.add(ticket)
        try:
            self._inbox.put(ticket)
            # It may have ended meanwhile, and takes nothing more out then.
            self._refuse()
            while unfinished:
                chunk = await ticket.read()
                unfinished -= chunk.finish is not None
                yield chunk
        finally:
            ticket.cancelled = True
            self._open.discard(ticket)
            # An engine that has ended takes nothing more out.
            if self._died is None:
                self._inbox.put(ticket)

    def close(self) -> None:
        self._closed = True
        self._inbox.put(None)
        # Prompts that still wait there are refused when they have been read.
        self._readers.shutdown(wait=False)

    def _refuse(self) -> None:
        if self._died is not None:
            # Not itself: with each raising an exception holds more of its callers.
            raise RuntimeError("the engine has ended") from self._died
        if self._closed:
            raise DrainingError("the model is being closed", retry_after=1.0)

    def _prepare(self, call: Call) -> Job:
        head = self._heads[type(call.parameters)]
        job = self._reader.job(head.prompt(call), head.writing(call))
        self._check(job)
        return job

    def _work(self) -> None:
        try:
            self._engine.work(self._inbox)
        except Exception as error:
            # An engine that can't go on: nobody may wait for it.
            log.exception("the engine of a causal model has ended")
            self._died = error
            for ticket in list(self._open):
                ticket.put(error)
