"""A model as a target: the same requests as over the wire, and nothing between them and the backend.

A call's inputs are one batch; no queue stands before it and no message is encoded. Calls side by side share
the model's runners, or its engine.
"""

from __future__ import annotations

import asyncio
import atexit
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from standpipe_bench.in_process import demo_folder, load_model
from standpipe_bench.load.records import STATUSES
from standpipe_bench.targets import Answer, Target
from standpipe_bench.targets.grpc import Requests
from standpipe_server.errors import InvalidInputError, ModelLoadError
from standpipe_server.interfaces import Call, Generator, LoadedModel, ModelSpec, Outcome, Output, Runner
from standpipe_server.tasks import STREAM_TASKS, TASKS, InputLimits

_INVALID_ARGUMENT, _INTERNAL = STATUSES.index("INVALID_ARGUMENT"), STATUSES.index("INTERNAL")

Model = ModelSpec

_Decode = Callable[[bytes], Sequence[Call]]


@dataclass(frozen=True, slots=True)
class InProcess:
    """An RPC's work, done by a model in the driver's own process.

    Attributes:
        spec: The model; it stays loaded for as long as the process lives.
        rpc: Full name of the RPC whose requests they are.
        requests: What it is called with.
    """

    spec: Model
    rpc: str
    requests: Requests = field(repr=False)

    remote = False
    timeout = 600.0

    @property
    def name(self) -> str:
        return f"{self.rpc} in-process"

    @property
    def sent(self) -> str:
        return self.requests.about

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Target]:
        try:
            model = await asyncio.to_thread(_loaded, self.spec)
            decode = _decoders()[self.rpc]
            calls = [decode(message) for message in self.requests.messages]
        except (ModelLoadError, InvalidInputError) as error:
            raise RuntimeError(str(error)) from None
        except KeyError:
            raise RuntimeError(f"{self.rpc} is no task of a model: it can't be called in-process") from None
        if _model_task(self.rpc) not in self.spec.tasks:
            raise RuntimeError(f"{' and '.join(self.spec.tasks)} isn't what {self.rpc} needs a model for")
        if model.generator is not None:
            streaming = any(task.rpc == self.rpc for task in STREAM_TASKS)
            yield _Engine(model.generator, calls, streaming=streaming)
            return
        with _Runners(model.runners, calls) as runners:
            yield runners


def model_spec(text: str, backend: str = "auto", device: str = "auto", dtype: str = "auto") -> Model:
    """A model from its option.

    Args:
        text: NAME=SOURCE:TASK, or the name of a task: then that task's demo model.
        backend: "auto", or what is asked for.
        device: The same.
        dtype: The same.

    Raises:
        ValueError: It names neither.
    """
    name, equals, rest = text.partition("=")
    source, colon, task = rest.rpartition(":")
    if not equals:
        try:
            name, source, task = text, str(demo_folder(text)), text
        except LookupError as error:
            raise ValueError(f"{error}: name a task, or write NAME=SOURCE:TASK") from None
    elif not colon:
        raise ValueError(f"{text!r} doesn't say what the model does: write NAME=SOURCE:TASK")
    fields: dict[str, Any] = {"backend": backend, "device": device, "dtype": dtype}
    return ModelSpec(name, source, tuple(task.split("+")), **fields)


# A process measures one model in many ways, one after the other; two would share the machine.
@cache
def _loaded(spec: Model) -> LoadedModel:
    model = load_model(spec)
    if model.generator is not None:
        atexit.register(model.generator.close)
    return model


def _decoders() -> Mapping[str, _Decode]:
    limits = InputLimits()

    def unary(task: Any) -> _Decode:
        return lambda data: task.decode(task.request.FromString(data), limits)

    def stream(task: Any) -> _Decode:
        return lambda data: [task.decode(task.request.FromString(data), limits)]

    return {task.rpc: unary(task) for task in TASKS} | {task.rpc: stream(task) for task in STREAM_TASKS}


def _model_task(rpc: str) -> str | None:
    """What a model must be there for to serve an RPC."""
    served = {task.rpc: task for task in TASKS} | {stream.rpc: stream.task for stream in STREAM_TASKS}
    return served[rpc].model_task


class _Runners:
    """A model that answers batches: each runner on a thread of its own."""

    def __init__(self, runners: Sequence[Runner], calls: Sequence[Sequence[Call]]) -> None:
        self._calls = calls
        self._threads = [(one, ThreadPoolExecutor(1)) for one in runners]
        self._idle: asyncio.LifoQueue[tuple[Runner, ThreadPoolExecutor]] = asyncio.LifoQueue()
        for worker in self._threads:
            self._idle.put_nowait(worker)

    def __enter__(self) -> _Runners:
        return self

    def __exit__(self, *exception: object) -> None:
        for _, thread in self._threads:
            thread.shutdown()

    async def call(self, index: int) -> Answer:
        calls = self._calls[index % len(self._calls)]
        mine, thread = await self._idle.get()
        alone = self._idle.qsize() == len(self._threads) - 1
        loop = asyncio.get_running_loop()
        try:
            outcomes = await loop.run_in_executor(thread, lambda: _run(mine, calls, alone))
        finally:
            self._idle.put_nowait((mine, thread))
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                return Answer(status=_INTERNAL, items=len(calls), detail=str(outcome))
        read = sum(outcome.tokens for outcome in outcomes if isinstance(outcome, Output))
        return Answer(items=len(calls), batch=len(calls), read=read)


def _run(runner: Runner, calls: Sequence[Call], alone: bool) -> Sequence[Outcome]:
    try:
        return runner.run(calls, alone=alone)
    except Exception as error:  # a target tells, it doesn't raise
        return [error]


class _Engine:
    """A model that writes: a call's texts side by side."""

    def __init__(self, generator: Generator, calls: Sequence[Sequence[Call]], *, streaming: bool) -> None:
        self._generator = generator
        self._calls = calls
        self._streaming = streaming

    async def call(self, index: int) -> Answer:
        calls = self._calls[index % len(self._calls)]
        answer = Answer(items=len(calls), batch=len(calls))
        times: list[float] = []
        try:
            async with asyncio.TaskGroup() as texts:
                for call in calls:
                    texts.create_task(self._write(call, answer, times))
        except* InvalidInputError as errors:
            answer.status, answer.detail = _INVALID_ARGUMENT, str(errors.exceptions[0])
        except* Exception as errors:  # a target tells, it doesn't raise
            answer.status, answer.detail = _INTERNAL, str(errors.exceptions[0])
        if self._streaming:
            answer.times = times
            answer.first = times[0] if times else math.nan
        return answer

    async def _write(self, call: Call, answer: Answer, times: list[float]) -> None:
        chunks: Any = self._generator.stream(call)
        async with aclosing(chunks):
            async for chunk in chunks:
                if chunk.text:
                    times.append(time.perf_counter())
                if chunk.finish is not None:
                    answer.read += chunk.finish.prompt_tokens
                    answer.written += chunk.finish.generated_tokens
