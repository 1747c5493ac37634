"""From an engine's tokens to text, while it is written.

Done alike for every engine: whole characters only, special tokens left out, stop strings found. Not aware of
how tokens are computed.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from standpipe_server.backends.engines import Job
from standpipe_server.interfaces import Chunk, Finish, FinishName, TokenLogprob

_INCOMPLETE = "\ufffd"


class Decoder:
    """Turns tokens into text as they come; the parts joined are the text of all tokens.

    What ends within a character waits for the next token.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._read = 0
        self._shown = ""

    def add(self, ids: Sequence[int]) -> str:
        """The text that these tokens complete."""
        self._ids += ids
        text = self._text()
        if text.endswith(_INCOMPLETE):
            return ""
        new = text[len(self._shown) :]
        if not new:
            # What shows as nothing, an end token for one, is no company for the next.
            return ""
        # How a token is written depends on the ones before it (a word's space, an accent): the last ones that
        # were shown stay as its company.
        self._ids = self._ids[self._read :]
        self._read = len(self._ids)
        self._shown = self._text()
        return new

    def rest(self) -> str:
        """What still waits, complete or not."""
        return self._text()[len(self._shown) :]

    def _text(self) -> str:
        text: str = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        return text


class StopWatch:
    """Holds text back that may be the beginning of a stop string."""

    def __init__(self, stop_strings: Sequence[str]) -> None:
        self._stops = stop_strings
        self._held = ""
        self.reached = ""

    def pass_on(self, text: str) -> str:
        """What may be shown; sets ``reached`` where a stop string is complete."""
        text = self._held + text
        found = [(text.find(stop), stop) for stop in self._stops if stop in text]
        if found:
            # The one that was complete first, whatever came at once; of those, the one that began first.
            place, self.reached = min(found, key=lambda one: (one[0] + len(one[1]), one[0]))
            self._held = ""
            return text[:place]
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """What was held back for nothing."""
        return self._held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of a text that a stop string begins with."""
    lengths = range(min(len(text), len(stop) - 1), 0, -1)
    return next((length for length in lengths if stop.startswith(text[-length:])), 0)


class SequenceWriter:
    """One text of a job, from its engine's tokens to chunks.

    Args:
        tokenizer: Decodes.
        job: Whose text it is.
        sequence: Its number among the job's texts.
    """

    def __init__(self, tokenizer: Tokenizer, job: Job, sequence: int = 0) -> None:
        self._tokenizer = tokenizer
        self._job = job
        self._sequence = sequence
        self._decoder = Decoder(tokenizer)
        self._watch = StopWatch(job.writing.stop_strings)
        self.tokens = 0
        self.finished = False

    def add(self, ids: Sequence[int], logprobs: Sequence[float] = ()) -> Chunk | None:
        """What these tokens add; None where there is nothing to tell yet.

        The chunk has a finish where a stop string was reached: the engine is to write no more.
        """
        self.tokens += len(ids)
        text = self._watch.pass_on(self._decoder.add(ids))
        said = self._said(ids, logprobs)
        finish = self._finish("stop_string") if self._watch.reached else None
        if not (text or said or finish):
            return None
        return Chunk(text, said, self._sequence, finish)

    def end(self, reason: FinishName, cached_tokens: int | None = None) -> Chunk:
        """The engine writes no more: what still waits, and the finish."""
        text = self._watch.pass_on(self._decoder.rest())
        if self._watch.reached:
            return Chunk(text, (), self._sequence, self._finish("stop_string", cached_tokens))
        return Chunk(text + self._watch.rest(), (), self._sequence, self._finish(reason, cached_tokens))

    def last(self, ids: Sequence[int], logprobs: Sequence[float], reason: FinishName) -> Chunk:
        """What the last tokens add, and the finish with it."""
        chunk = self.add(ids, logprobs)
        if chunk is None or self.finished:
            return chunk or self.end(reason)
        end = self.end(reason)
        return Chunk(chunk.text + end.text, chunk.logprobs, self._sequence, end.finish)

    def _finish(self, reason: FinishName, cached_tokens: int | None = None) -> Finish:
        self.finished = True
        stop = self._watch.reached
        return Finish(reason, len(self._job.ids), self.tokens, stop, cached_tokens)

    def _said(self, ids: Sequence[int], logprobs: Sequence[float]) -> tuple[TokenLogprob, ...]:
        if not self._job.writing.logprobs:
            return ()
        texts = (self._tokenizer.decode([token], skip_special_tokens=False) for token in ids)
        return tuple(map(TokenLogprob, ids, texts, logprobs))
