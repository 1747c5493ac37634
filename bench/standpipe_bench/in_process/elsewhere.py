"""The same model in a process of its own, which is idle while something else is measured.

So a server and the model by itself, or the bare engine of a causal one, are measured in turns.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from standpipe.v1 import models_pb2
from standpipe_bench.in_process import load_model, spec_of
from standpipe_bench.requests.texts import texts
from standpipe_bench.served.engine import Engine, write
from standpipe_bench.served.streams import Measured, StreamLoad
from standpipe_server.interfaces import Call, LoadedModel, ModelSpec, Runner
from standpipe_server.tasks.embed_text import EmbedParameters


@dataclass(frozen=True, slots=True)
class Throughput:
    """Ask for items a second.

    Attributes:
        together: All runners side by side, each on its own thread; else one, as a lone batch runs.
        items: Texts in one batch.
        words: In each text, about.
        seconds: To measure for.
    """

    together: bool
    items: int
    words: int
    seconds: float

    def measure(self, model: LoadedModel) -> float:
        """Texts a second, text in, vector out."""
        runners = model.runners if self.together else model.runners[:1]
        begin = threading.Barrier(len(runners))
        counts = [0] * len(runners)

        def work(index: int, runner: Runner) -> None:
            batches = _batches(self.items, self.words, index)
            begin.wait()
            end = time.perf_counter() + self.seconds
            while time.perf_counter() < end:
                runner.run(next(batches), alone=not self.together)
                counts[index] += self.items

        started = time.perf_counter()
        threads = [
            threading.Thread(target=work, args=(index, runner)) for index, runner in enumerate(runners)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class Latency:
    """Ask for the median time of a lone text.

    Attributes:
        words: In each text, about.
        pause: Seconds of idling between calls.
        calls: To measure.
    """

    words: int
    pause: float
    calls: int

    def measure(self, model: LoadedModel) -> float:
        """Milliseconds, text in, vector out."""
        batches = _batches(1, self.words, 0)
        times = []
        for _ in range(self.calls):
            if self.pause:
                time.sleep(self.pause)
            batch = next(batches)
            started = time.perf_counter()
            model.runners[0].run(batch, alone=True)
            times.append(time.perf_counter() - started)
        # The first calls find everything cold.
        return statistics.median(times[self.calls // 5 :]) * 1e3


def _batches(items: int, words: int, seed: int) -> Iterator[Sequence[Call]]:
    parameters = EmbedParameters()
    pool = [[Call(text, parameters) for text in texts(items, words, seed * 1000 + n)] for n in range(64)]
    while True:
        yield from pool


Ask = Callable[[Throughput | Latency], float]


@contextmanager
def in_process(served: models_pb2.Model) -> Iterator[Ask]:
    """Load the model that a server says it serves, the same way, in another process.

    Args:
        served: As GetModel describes it.

    Yields:
        How to measure it.

    Raises:
        RuntimeError: It can't be loaded.
    """
    with _elsewhere(partial(load_model, spec_of(served))) as (ask, _):
        yield ask


@contextmanager
def engine_in_process(served: models_pb2.Model) -> Iterator[tuple[Callable[[StreamLoad], Measured], int]]:
    """Open the engine of a causal model that a server says it serves, and nothing else, in another process.

    Args:
        served: As GetModel describes it.

    Yields:
        How to measure it, and the process' id.

    Raises:
        RuntimeError: It can't be opened, or the server runs another engine.
    """
    if served.backend != "openvino":
        raise RuntimeError(f"model {served.name!r} runs on {served.backend}; only openvino can be compared")
    with _elsewhere(partial(_open, spec_of(served))) as (ask, pid):
        yield lambda load: ask(_Streams(load)), pid


@dataclass(frozen=True, slots=True)
class _Streams:
    """Ask for streams of an engine."""

    load: StreamLoad

    def measure(self, engine: Engine) -> Measured:
        return write(engine, self.load)


def _open(spec: ModelSpec) -> Engine:
    """The engine as the server opens it: the same export, scheduling, numeric type and cores."""
    from transformers import AutoConfig

    from standpipe_bench.served.genai import Genai
    from standpipe_server.backends.load import with_steps
    from standpipe_server.backends.machine import Machine
    from standpipe_server.backends.openvino.backend import properties_of
    from standpipe_server.backends.openvino.export import exported
    from standpipe_server.backends.openvino.generator import PipelineSettings
    from standpipe_server.backends.sources import resolve
    from standpipe_server.kinds import CAUSAL

    source = resolve(spec)
    settled = with_steps(spec, Machine().cores)
    folder = exported(settled, source, CAUSAL, lambda _: None)
    config = AutoConfig.from_pretrained(source.folder)
    settings = PipelineSettings.of(
        folder, config, settled, config.max_position_embeddings, properties_of(settled)
    )
    return Genai(settings.pipeline(), source.folder)


@contextmanager
def _elsewhere(make: Callable[[], Any]) -> Iterator[tuple[Callable[[Any], Any], int]]:
    """Make something in another process; yields what asks there, and the process' id.

    Raises:
        RuntimeError: It can't be made, or a measurement failed.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make), daemon=True)
    process.start()
    # Only the process holds its end: where it dies, receiving ends too.
    theirs.close()

    def receive() -> Any:
        try:
            answer = ours.recv()
        except EOFError:
            raise RuntimeError("the process that measures has ended; what it said is above") from None
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer

    def ask(question: Any) -> Any:
        ours.send(question)
        return receive()

    try:
        receive()
        yield ask, process.pid or 0
    finally:
        ours.close()
        process.join(timeout=10)
        process.kill()


def _serve(connection: Connection, make: Callable[[], Any]) -> None:
    """Measure what is asked, until nobody asks any more; what goes wrong is told to the asker, as text."""
    try:
        measured = make()
        connection.send(None)
        while True:
            connection.send(connection.recv().measure(measured))
    except EOFError:
        return
    except Exception as error:  # every reason is told to the asker
        connection.send(str(error) or type(error).__name__)
