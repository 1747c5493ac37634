"""Texts that are written token by token: what is asked for, when it came, and the figures of that.

Times are seconds on the monotonic clock of the process that measured; only differences leave it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from standpipe_bench.payloads import prompt

LONG = (48, 80)
"""Tokens that a model writes for a prompt, at least and at most: 64 on average, and different, so that
streams don't end together."""

SHORT = (4, 8)
"""The same where only the first token matters: so there are many."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text to continue.

    Attributes:
        number: Its place among the load's prompts, from 0.
        text: The same for the same seed and number.
        tokens: To write, neither more nor less.
    """

    number: int
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class StreamLoad:
    """A closed loop of streams: each begins the next text as soon as one is written.

    Attributes:
        streams: Side by side.
        seed: No two measurements share one: what the prefix cache knows of the first would help the second.
        warm_up: Seconds before those that count.
        duration: Seconds that count.
        tokens: That are written for a prompt, at least and at most.
    """

    streams: int
    seed: int
    warm_up: float = 2.0
    duration: float = 10.0
    tokens: tuple[int, int] = LONG

    def prompts(self) -> Iterator[Prompt]:
        """Without end. Each stream's first one is cut, so that from the start some begin while others end."""
        # Not for secrets: both sides must get the same prompts.
        generator = random.Random(self.seed)  # noqa: S311
        number = 0
        while True:
            text, tokens = prompt(generator), generator.randint(*self.tokens)
            if number < self.streams:
                tokens = max(1, tokens * (number + 1) // self.streams)
            yield Prompt(number, text, tokens)
            number += 1


@dataclass(frozen=True, slots=True)
class Written:
    """A text, from its prompt to its end.

    Attributes:
        prompt: Its number.
        began: When the prompt was handed over.
        times: When each piece of text was there; a piece is a token, mostly.
        read: Tokens of the prompt.
        tokens: Written.
        messages: On the wire; 0 where there is none.
    """

    prompt: int
    began: float
    times: tuple[float, ...]
    read: int
    tokens: int
    messages: int = 0

    def first(self) -> float:
        """Seconds to the first token."""
        return self.times[0] - self.began


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load gave.

    Attributes:
        texts: All of them, also those that began before the counted time or ended after it.
        begin: Of the counted time.
        end: The same.
    """

    texts: Sequence[Written]
    begin: float
    end: float

    def counts(self, time: float) -> bool:
        """Whether a moment is in the counted time."""
        return self.begin <= time < self.end


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """What a measurement showed.

    Attributes:
        texts: That began in the counted time.
        tokens_per_second: Written by all streams together.
        messages_per_second: On the wire.
        gap_p50_ms: Median time between two tokens of a text.
        gap_p99_ms: Hardly any takes longer than that.
    """

    texts: int
    tokens_per_second: float
    messages_per_second: float
    gap_p50_ms: float
    gap_p99_ms: float

    def unevenness(self) -> float:
        """The longest times between two tokens, as multiples of the usual one."""
        return self.gap_p99_ms / self.gap_p50_ms


FirstTokens = list[tuple[float, float]]
"""Milliseconds from prompts to their first tokens, in-process and served."""


def figures(measured: Measured) -> StreamFigures:
    """Figures of a measurement.

    Raises:
        RuntimeError: It was too short for any.
    """
    texts = sum(measured.counts(text.began) for text in measured.texts)
    gaps = [
        later - earlier
        for text in measured.texts
        for earlier, later in pairwise(text.times)
        if measured.counts(later)
    ]
    if not texts or not gaps:
        raise RuntimeError("no text began in the counted time: measure for longer")
    p50, p99 = np.percentile(gaps, [50, 99]) * 1e3
    return StreamFigures(
        texts=texts,
        tokens_per_second=_per_second(measured, ((text, text.tokens) for text in measured.texts)),
        messages_per_second=_per_second(measured, ((text, text.messages) for text in measured.texts)),
        gap_p50_ms=float(p50),
        gap_p99_ms=float(p99),
    )


def first_tokens(served: Measured, alone: Measured, streams: int) -> FirstTokens:
    """The first tokens of the prompts that both sides came to.

    Prompt by prompt, because a long prompt takes longer than serving costs; so whether one side came to it in
    the counted time doesn't matter. The first prompts, which all begin at once, don't count.

    Raises:
        RuntimeError: They share no other.
    """
    there, here = (
        {text.prompt: text.first() * 1e3 for text in side.texts if text.prompt >= streams}
        for side in (alone, served)
    )
    both = [(there[prompt], here[prompt]) for prompt in sorted(here.keys() & there.keys())]
    if not both:
        raise RuntimeError("no prompt but the first ones was written on both sides: measure for longer")
    return both


def check_same(served: Measured, alone: Measured) -> None:
    """Hold that both sides read the same and wrote as much.

    Raises:
        RuntimeError: One did not.
    """
    other = {text.prompt: (text.read, text.tokens) for text in alone.texts}
    for text in served.texts:
        if (text.read, text.tokens) != other.get(text.prompt, (text.read, text.tokens)):
            raise RuntimeError(
                f"the server read {text.read} tokens and wrote {text.tokens}, "
                f"in-process they were {other[text.prompt]}: not the same work"
            )


def _per_second(measured: Measured, amounts: Iterable[tuple[Written, int]]) -> float:
    """What came in the counted time, where a text's amount is spread evenly over its pieces."""
    share = sum(amount * sum(map(measured.counts, text.times)) / len(text.times) for text, amount in amounts)
    return share / (measured.end - measured.begin)
