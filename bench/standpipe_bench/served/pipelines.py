"""What serving gains: calls of a server against the library itself, in turns, as ratios.

Not aware of the library: its ways are passed in, so that their arithmetic needs no model.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import Any, Protocol

from standpipe_bench.load.driver import Timing, on_fast_loop
from standpipe_bench.load.schedules import Closed
from standpipe_bench.measure import figures_here
from standpipe_bench.payloads import (
    CLASSIFY_IMAGE,
    CLASSIFY_TEXT,
    GENERATE_IMAGE,
    RERANK_TEXT,
    TRANSFORM_TEXT,
    classify_requests,
    digits_to_draw,
    drawing_requests,
    image_requests,
    mixed_pairs,
    mixed_texts,
    numbers_to_spell,
    photos,
    rerank_requests,
    transform_requests,
)
from standpipe_bench.served.comparison import Comparison, Goal
from standpipe_bench.served.neighbours import quietest
from standpipe_bench.targets.grpc import Connection, Grpc, Requests

WANTED_OF_IMAGES = 2.5
"""Times a loop of the library's single calls."""

PHOTOS = 16
"""Different ones of a load, over and over."""

WANTED_OF_DRAWERS = 3.0
"""Times a loop of the library's single calls."""

STEPS = 20
"""From noise to a picture."""

BATCH_SIZES = (8, 16, 32, 64)
"""That the library's pipeline is tried with."""

MAX_NEW_TOKENS = 32
"""That a model writes; the demo model's longest answer fits."""

WANTED_OF_ENCODERS = 6.0
"""Times a loop of the library's single calls."""

WANTED_OF_BATCHES = 2.0
"""Times the library's pipeline at its best batch size."""

WANTED_OF_WRITERS = 3.0
"""Times a loop of the library's single calls."""

INPUTS = 256
"""Different ones of a load, over and over."""

WARM_UP = 0.5
"""Seconds of each measurement before those that count."""

Rate = Callable[[], float]
"""Measures items a second."""


class Encoder(Protocol):
    """A classifier or ranker of the library."""

    def one_by_one(self, texts: Sequence[Any]) -> Sequence[Any]:
        """Answer each by a call of its own."""
        ...

    def in_batches(self, texts: Sequence[Any], size: int) -> Sequence[Any]:
        """Answer all by one call, in batches."""
        ...


class Single(Protocol):
    """A model of the library that is called input by input."""

    def one_by_one(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Answer each by a call of its own."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """The same calls, served and in the library.

    Attributes:
        name: For tables.
        served: Callers side by side, one input in each call.
        one_by_one: The library in a loop of single calls.
        wanted: Times ``one_by_one`` that ``served`` is to be.
        batches: The library's batches, by their size; it may have none.
        wanted_of_batches: Times the best of ``batches``.
    """

    name: str
    served: Rate
    one_by_one: Rate
    wanted: float
    batches: Mapping[int, Rate] = field(default_factory=dict)
    wanted_of_batches: float = 0.0


@dataclass(slots=True)
class Figures:
    """Items a second of one load, by round.

    Attributes:
        served: By the server.
        one_by_one: By the library in a loop of single calls.
        batches: By the library in batches, by their size.
        others: Share of the processor time that other processes took, of each measurement.
    """

    served: list[float] = field(default_factory=list)
    one_by_one: list[float] = field(default_factory=list)
    batches: dict[int, list[float]] = field(default_factory=dict)
    others: list[float] = field(default_factory=list)


def rerank_load(address: str, library: Encoder, seconds: float) -> Load:
    """RerankText of a pair a call."""
    pairs = mixed_pairs(INPUTS, seed=1)
    served = partial(served_rate, address, RERANK_TEXT, rerank_requests(pairs), 64, seconds)
    return _encoder_load("RerankText 64×1", served, library, pairs, seconds)


def classify_load(address: str, library: Encoder, seconds: float) -> Load:
    """ClassifyText of a text a call."""
    texts = mixed_texts(INPUTS, seed=1)
    served = partial(served_rate, address, CLASSIFY_TEXT, classify_requests(texts), 64, seconds)
    return _encoder_load("ClassifyText 64×1", served, library, texts, seconds)


def image_load(address: str, library: Single, seconds: float) -> Load:
    """ClassifyImage of a file a call; the library decodes the same files."""
    files = photos(PHOTOS, seed=1)
    return Load(
        "ClassifyImage 64×1",
        partial(served_rate, address, CLASSIFY_IMAGE, image_requests(files), 64, seconds),
        partial(library_rate, library.one_by_one, files, 1, seconds),
        WANTED_OF_IMAGES,
    )


def transform_load(address: str, library: Single, seconds: float) -> Load:
    """TransformText of a text a call."""
    texts = numbers_to_spell(INPUTS, seed=1)
    requests = transform_requests(texts, MAX_NEW_TOKENS)
    return Load(
        "TransformText 16×1",
        partial(served_rate, address, TRANSFORM_TEXT, requests, 16, seconds),
        partial(library_rate, library.one_by_one, texts, 1, seconds),
        WANTED_OF_WRITERS,
    )


def drawing_load(address: str, library: Single, seconds: float) -> Load:
    """GenerateImage of a picture a call."""
    prompts = digits_to_draw(INPUTS, seed=1)
    requests = drawing_requests(prompts, STEPS)
    return Load(
        "GenerateImage 16×1",
        partial(served_rate, address, GENERATE_IMAGE, requests, 16, seconds, streaming=True),
        partial(library_rate, library.one_by_one, prompts, 1, seconds),
        WANTED_OF_DRAWERS,
    )


def measure(loads: Sequence[Load], rounds: int, watch: Callable[[], Callable[[], float]]) -> list[Figures]:
    """Each load's figures, in turns: what is compared stands side by side.

    Args:
        loads: What to measure.
        rounds: How often.
        watch: As ``neighbours.quietest`` takes it.
    """
    figures = [Figures(batches={size: [] for size in load.batches}) for load in loads]
    for _ in range(rounds):
        for load, found in zip(loads, figures, strict=True):
            sides = [(load.one_by_one, found.one_by_one), (load.served, found.served)]
            sides += [(rate, found.batches[size]) for size, rate in load.batches.items()]
            for rate, kept in sides:
                figure, share = quietest(rate, watch)
                kept.append(figure)
                found.others.append(share)
    return figures


def goals(load: Load, figures: Figures) -> list[Goal]:
    """What a load is to show: against single calls, and against the best batches where there are any."""
    single = Comparison(load.name, figures.one_by_one, figures.served)
    found = [Goal(single, "single calls", load.wanted)]
    if figures.batches:
        size = best_size(figures.batches)
        batched = Comparison(load.name, figures.batches[size], figures.served)
        found.append(Goal(batched, f"batches of {size}", load.wanted_of_batches))
    return found


def best_size(batches: Mapping[int, Sequence[float]]) -> int:
    """The batch size of the greatest median.

    Not the best of each round: the best of several figures is above what any of them would be without noise.
    """
    return max(batches, key=lambda size: statistics.median(batches[size]))


def library_rate(
    way: Callable[[Sequence[Any]], object], inputs: Sequence[Any], count: int, seconds: float
) -> float:
    """Items a second of a way through the library.

    Args:
        way: Answers inputs.
        inputs: Over and over.
        count: Inputs that it gets at once.
        seconds: To measure for.
    """
    parts = cycle([inputs[start : start + count] for start in range(0, len(inputs), count)])
    _work(way, parts, WARM_UP)
    started = time.perf_counter()
    done = _work(way, parts, seconds)
    return done / (time.perf_counter() - started)


def served_rate(
    address: str, rpc: str, requests: Requests, callers: int, seconds: float, *, streaming: bool = False
) -> float:
    """Items a second of callers who each send one input and wait for its answer.

    Raises:
        RuntimeError: A call failed: failing is fast; or none was answered.
    """
    source = Grpc(Connection(address), rpc, requests, streaming)
    figures = on_fast_loop(figures_here(source, Closed(callers), Timing(seconds, WARM_UP)))
    if figures.errors or not figures.answered:
        raise RuntimeError(f"calls of {rpc} failed: {figures.errors or figures.details}")
    return figures.items_per_second


def _encoder_load(name: str, served: Rate, library: Encoder, inputs: Sequence[Any], seconds: float) -> Load:
    count = max(BATCH_SIZES)
    return Load(
        name,
        served,
        partial(library_rate, library.one_by_one, inputs, 1, seconds),
        WANTED_OF_ENCODERS,
        {
            size: partial(library_rate, partial(library.in_batches, size=size), inputs, count, seconds)
            for size in BATCH_SIZES
        },
        WANTED_OF_BATCHES,
    )


def _work(way: Callable[[Sequence[Any]], object], parts: Iterator[Sequence[Any]], seconds: float) -> int:
    """Inputs that are answered until the time is over, at least one part of them."""
    done = 0
    end = time.perf_counter() + seconds
    while not done or time.perf_counter() < end:
        part = next(parts)
        way(part)
        done += len(part)
    return done
