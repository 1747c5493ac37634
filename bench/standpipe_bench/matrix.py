"""Device × backend × dtype × batch × length, in-process and served: what to run a model on.

Every cell that can't be measured says why. In-process and served cells of one shape stand side by side,
because machines drift. Needs the server's backends: it asks them what this machine can do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import IO

from standpipe import contract
from standpipe.v1 import common_pb2
from standpipe_bench.in_process.machine import Setup, obstacle, rpc_for
from standpipe_bench.in_process.target import InProcess, Model
from standpipe_bench.load.driver import Timing
from standpipe_bench.load.drivers import drivers
from standpipe_bench.load.schedules import Closed
from standpipe_bench.measure import Bench, Display
from standpipe_bench.requests.plan import RequestPlan
from standpipe_bench.results import Label, Point
from standpipe_bench.server_process import server_process
from standpipe_bench.targets import Source
from standpipe_bench.targets.grpc import Connection, Requests
from standpipe_bench.targets.methods import calling


@dataclass(frozen=True, slots=True)
class Shape:
    """What one call holds.

    Attributes:
        batch: Inputs.
        words: Of each.
    """

    batch: int
    words: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        models: Each serves one task; how they are run is for the setups to say.
        setups: Ways to run them.
        shapes: Of the calls.
        paths: "in-process", "served", or both.
        timing: Of each cell.
        new_tokens: That a model writes for an input at most.
        seed: Of the texts.
    """

    models: Sequence[Model]
    setups: Sequence[Setup]
    shapes: Sequence[Shape]
    paths: Sequence[str]
    timing: Timing
    new_tokens: int = 16
    seed: int = 1

    def requests(self, rpc: str, shape: Shape) -> Requests:
        """What one shape's calls hold."""
        method = contract.find(rpc)
        writes = method.input_type.fields_by_name.get("parameters")
        # Without a least number: where an engine has to hold to one, some write side by side no longer.
        most = f'{{"maxNewTokens": {self.new_tokens}, "doSample": false}}'
        held = [f"parameters={most}"] if writes and writes.message_type is _WRITING else []
        plan = RequestPlan(words=f"fixed:{shape.words}", items=shape.batch, set=held, seed=self.seed)
        return plan.make(method)


FEWEST, LONGEST = 5, 30.0
"""Calls that a cell needs, and seconds that it may take for them: one or two calls say nothing."""

_WRITING = common_pb2.GenerationParameters.DESCRIPTOR


@dataclass(frozen=True, slots=True)
class _Side:
    """A model that is open on a path."""

    bench: Bench
    source: Callable[[Requests], Source]


class Matrix:
    """One matrix.

    Args:
        plan: What to measure.
        display: Shows how it goes.
        raw: Where raw records go, as JSON lines.
    """

    def __init__(self, plan: Plan, display: Display, raw: IO[str] | None = None) -> None:
        self._plan = plan
        self._display = display
        self._raw = raw
        self._open = {"in-process": self._in_process, "served": self._served}
        self.partial = False

    def points(self) -> Iterator[Point]:
        """Cells, one by one as they are measured; ends early where it is broken off."""
        for model, setup in product(self._plan.models, self._plan.setups):
            labels: dict[str, Label] = {
                "model": model.name,
                "device": setup.device,
                "backend": setup.backend,
                "dtype": setup.dtype,
            }
            if reason := obstacle(setup):
                yield Point(labels, absent=reason)
                continue
            for point in self._cells(labels, setup.of(model)):
                yield point
                if self.partial:
                    return

    def _cells(self, labels: Mapping[str, Label], model: Model) -> Iterator[Point]:
        rpc = rpc_for(model.tasks[0])
        with ExitStack() as stack:
            sides: dict[str, _Side] = {}
            for path in self._plan.paths:
                try:
                    sides[path] = stack.enter_context(self._open[path](model, rpc))
                except RuntimeError as error:
                    yield Point({**labels, "path": path}, absent=str(error))
            for shape in self._plan.shapes:
                requests = self._plan.requests(rpc, shape)
                for path, side in list(sides.items()):
                    cell = {**labels, "path": path, "batch": shape.batch, "words": shape.words}
                    try:
                        yield self._cell(cell, side, requests)
                    except RuntimeError as error:
                        # It can't be loaded, mostly: that is so whatever the shape.
                        del sides[path]
                        yield Point({**labels, "path": path}, absent=str(error))

    def _cell(self, labels: Mapping[str, Label], side: _Side, requests: Requests) -> Point:
        timing = self._plan.timing
        while True:
            point = side.bench.point(labels, side.source(requests), Closed(1), timing)
            self.partial = side.bench.partial
            answered = point.figures.answered if point.figures else 0
            if self.partial or answered >= FEWEST or timing.duration >= LONGEST:
                return point
            timing = replace(timing, duration=min(LONGEST, 4 * timing.duration))

    @contextmanager
    def _in_process(self, model: Model, rpc: str) -> Iterator[_Side]:
        with drivers() as processes:
            bench = Bench(processes, self._display, processes.pids[0], self._raw)
            yield _Side(bench, lambda requests: InProcess(model, rpc, requests))

    @contextmanager
    def _served(self, model: Model, rpc: str) -> Iterator[_Side]:
        options = {"device": model.device, "backend": model.backend, "dtype": model.dtype}
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        named = f"{model.name}={model.source}:{'+'.join(model.tasks)}"
        with (
            server_process(["--log-level", "warning", *flags, "--model", named]) as server,
            drivers() as processes,
        ):
            bench = Bench(processes, self._display, server.process.pid, self._raw)
            method = contract.find(rpc)
            connection = Connection(server.address)
            yield _Side(bench, lambda requests: calling(method, connection, requests, timeout=600.0))
