"""Causal models through the library's own ``generate``: one job at a time, with all that the library has.

Not aware of tasks, nor of what other engines the model has.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, StoppingCriteria

from standpipe_server.backends.causal import CausalReader
from standpipe_server.backends.constraints import Constraints, Matcher
from standpipe_server.backends.decoding import SequenceWriter
from standpipe_server.backends.engines import Delivery, Inbox, Job, Ticket, deliver
from standpipe_server.backends.sampling import drawing
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import FinishName

_NOTHING = float("-inf")


class PlainEngine:
    """Writes with ``generate``; see ``engines.Engine``.

    Args:
        model: On its device.
        reader: Of the model.
        constraints: In the model's vocabulary.
    """

    def __init__(self, model: Any, reader: CausalReader, constraints: Constraints) -> None:
        self._model = model
        self._tokenizer = reader.fast
        self._ends = reader.ends
        self._constraints = constraints
        self._pad = model.generation_config.pad_token_id
        if self._pad is None and self._ends:
            self._pad = self._ends[0]

    def obstacle(self, job: Job) -> str:
        """Why it can't do a job: it can do all."""
        return ""

    def check(self, job: Job) -> None:
        count, beams = job.writing.sequences, self._option(job, "num_beams") or 1
        if count > 1 and beams == 1 and not self._option(job, "do_sample"):
            raise InvalidInputError(
                "several texts of one prompt need do_sample or num_beams", "num_return_sequences"
            )
        if 1 < beams < count:
            raise InvalidInputError(f"{beams} beams don't give {count} texts", "num_return_sequences")
        if job.writing.constraint is not None:
            self._constraints.check(job.writing.constraint)

    def work(self, inbox: Inbox) -> None:
        line = _Line(inbox)
        while (ticket := line.next()) is not None:
            writers = [
                SequenceWriter(self._tokenizer, ticket.job, index)
                for index in range(ticket.job.writing.sequences)
            ]
            try:
                self._write(ticket, writers, line)
            except _GivenUpError:
                pass
            except Exception as error:  # the job's own: the next may be written
                ticket.put(error)
                continue
            # A text without an end was given up, or is as long as generate lets it be.
            reason: FinishName = "cancelled" if ticket.cancelled or line.closing else "length"
            deliver([(ticket, writer.end(reason)) for writer in writers if not writer.finished])

    def _write(self, ticket: Ticket, writers: list[SequenceWriter], line: _Line) -> None:
        job = ticket.job
        options = {**job.options, "num_return_sequences": len(writers), "pad_token_id": self._pad}
        if job.writing.constraint is not None:
            form = _Form(self._constraints.matcher(job.writing.constraint), len(job.ids))
            options["logits_processor"] = [form]
        ids = torch.tensor([job.ids], device=self._model.device)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **self._beside(job)}
        draws = bool(self._option(job, "do_sample"))
        with drawing(draws, job.writing.generation.seed), torch.inference_mode():
            if (self._option(job, "num_beams") or 1) > 1:
                watch = _Beams(ticket, line, self._tokenizer)
                watch.look()
                rows = self._model.generate(**inputs, **options, stopping_criteria=[watch])
                deliver([self._beam(ticket, *best) for best in zip(writers, rows.tolist(), strict=True)])
                return
            with _last_logits(self._model, job.writing.logprobs) as logits:
                steps = _Steps(ticket, line, writers, self._ends, logits)
                steps.look()
                self._model.generate(**inputs, **options, stopping_criteria=[steps])

    def _beam(self, ticket: Ticket, writer: SequenceWriter, row: list[int]) -> Delivery:
        """A whole text; what follows its end token is padding."""
        job = ticket.job
        written = row[len(job.ids) :]
        end = next((place for place, token in enumerate(written) if token in self._ends), None)
        if end is not None:
            written = written[: end + 1]
        logprobs = self._logprobs(job, written) if job.writing.logprobs else []
        return ticket, writer.last(written, logprobs, "length" if end is None else "stop")

    def _beside(self, job: Job) -> dict[str, torch.Tensor]:
        """What the model reads beside tokens, as it wants it."""
        return {
            name: value.to(self._model.device, self._model.dtype if value.is_floating_point() else None)
            for name, value in job.inputs.items()
        }

    def _logprobs(self, job: Job, written: list[int]) -> list[float]:
        """Of a text that is there already, in one pass more: beams come and go while they are written."""
        options: dict[str, Any] = {}
        if "logits_to_keep" in inspect.signature(self._model.forward).parameters:
            options["logits_to_keep"] = len(written) + 1
        ids = torch.tensor([job.ids + written], device=self._model.device)
        logits = self._model(input_ids=ids, **options, **self._beside(job)).logits[0, -len(written) - 1 : -1]
        return _chosen(logits, written)

    def _option(self, job: Job, name: str) -> Any:
        """As the call wants it, or else the model's files."""
        return job.options.get(name, getattr(self._model.generation_config, name, None))


class _GivenUpError(Exception):
    """Nobody waits for the text any longer."""


class _Line:
    """The tickets that wait, and whether the end is among them."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._waiting: deque[Ticket] = deque()
        self.closing = False

    def next(self) -> Ticket | None:
        """The next one, which may be long in coming; None where there is none, ever."""
        while not self._waiting and not self.closing:
            self._take()
        return self._waiting.popleft() if self._waiting else None

    def look(self) -> None:
        """Find out whether the end has come, without waiting."""
        while not (self.closing or self._inbox.empty()):
            self._take()

    def _take(self) -> None:
        ticket = self._inbox.get()
        if ticket is None:
            self.closing = True
        elif not ticket.cancelled:
            self._waiting.append(ticket)


class _Watch(StoppingCriteria):  # type: ignore[misc]  # transformers has no types
    """Looks at what is being written after each step, and gives it up where nobody waits for it."""

    def __init__(self, ticket: Ticket, line: _Line) -> None:
        self._ticket = ticket
        self._line = line

    def look(self) -> None:
        """Raise where nobody waits any longer."""
        self._line.look()
        if self._ticket.cancelled or self._line.closing:
            raise _GivenUpError


class _Steps(_Watch):
    """Tells each step's tokens, and ends a text that has reached a stop string.

    Args:
        ticket: Whose texts.
        line: What waits.
        writers: One for each text.
        ends: Ids of end tokens.
        logits: Of the last step, (texts, vocabulary), where they are wanted.
    """

    def __init__(
        self,
        ticket: Ticket,
        line: _Line,
        writers: list[SequenceWriter],
        ends: Sequence[int],
        logits: list[torch.Tensor],
    ) -> None:
        super().__init__(ticket, line)
        self._writers = writers
        self._ends = ends
        self._logits = logits
        self._most = ticket.job.options["max_new_tokens"]

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        self.look()
        tokens = input_ids[:, -1].tolist()
        logprobs = _chosen(self._logits[0], tokens) if self._logits else []
        deliver(list(self._tell(tokens, logprobs)))
        return torch.tensor([writer.finished for writer in self._writers], device=input_ids.device)

    def _tell(self, tokens: list[int], logprobs: list[float]) -> Iterator[Delivery]:
        for row, (writer, token) in enumerate(zip(self._writers, tokens, strict=True)):
            # A text that is at its end is padded until the others are.
            if writer.finished:
                continue
            said = logprobs[row : row + 1]
            if token in self._ends or writer.tokens + 1 == self._most:
                yield self._ticket, writer.last([token], said, "stop" if token in self._ends else "length")
            elif (chunk := writer.add([token], said)) is not None:
                yield self._ticket, chunk


class _Beams(_Watch):
    """Ends a beam that has reached a stop string; beams are told when they are all known."""

    def __init__(self, ticket: Ticket, line: _Line, tokenizer: Any) -> None:
        super().__init__(ticket, line)
        self._tokenizer = tokenizer

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        self.look()
        job = self._ticket.job
        done = [False] * len(input_ids)
        if job.writing.stop_strings:
            texts = self._tokenizer.decode_batch(input_ids[:, len(job.ids) :].tolist())
            done = [any(stop in text for stop in job.writing.stop_strings) for text in texts]
        return torch.tensor(done, device=input_ids.device)


class _Form(LogitsProcessor):  # type: ignore[misc]  # transformers has no types
    """Lets only those tokens through that a form has a place for.

    Rows are known by what is written in them, so that beams may take each other's places.

    Args:
        beginning: The form, with nothing written.
        prompt: Tokens that aren't the text's.
    """

    def __init__(self, beginning: Matcher, prompt: int) -> None:
        self._prompt = prompt
        self._beginning = beginning
        self._known: dict[tuple[int, ...], Matcher | None] = {}

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        rows = [tuple(row) for row in input_ids[:, self._prompt :].tolist()]
        self._known = {row: self._matcher(row) for row in rows}
        return torch.stack([self._through(self._known[row], scores[index]) for index, row in enumerate(rows)])

    def _matcher(self, row: tuple[int, ...]) -> Matcher | None:
        if not row:
            return self._beginning
        before = self._known.get(row[:-1])
        return None if before is None else before.after(row[-1])

    def _through(self, matcher: Matcher | None, scores: torch.Tensor) -> torch.Tensor:
        # A row that has left the form is at its end, and padded until the others are.
        if matcher is None:
            return scores
        mask = torch.from_numpy(np.array(matcher.allowed()[: len(scores)])).to(scores.device)
        held = scores.masked_fill(~mask, _NOTHING)
        # What is ruled out otherwise (an end before min_new_tokens) must do where the form has nothing else.
        return torch.where(mask, 0.0, _NOTHING) if bool(torch.isneginf(held).all()) else held


@contextmanager
def _last_logits(model: Any, wanted: bool) -> Iterator[list[torch.Tensor]]:
    """What the model gave for each row's next token, before anything was done to it; empty unless wanted."""
    last: list[torch.Tensor] = []
    if not wanted:
        yield last
        return

    def keep(module: Any, inputs: Any, output: Any) -> None:
        last[:] = [output.logits[:, -1]]

    handle = model.register_forward_hook(keep)
    try:
        yield last
    finally:
        handle.remove()


def _chosen(logits: torch.Tensor, tokens: list[int]) -> list[float]:
    """Natural logarithms of the probabilities of tokens, one for each row of the logits."""
    logprobs = torch.log_softmax(logits.float(), -1)
    chosen: list[float] = logprobs[range(len(tokens)), tokens].tolist()
    return chosen
