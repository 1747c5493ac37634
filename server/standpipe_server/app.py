"""The composition root: the only module that sees every room."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from standpipe_server.backends.load import load
from standpipe_server.config import Settings
from standpipe_server.engine.batcher import Batcher, CallFailedError
from standpipe_server.engine.registry import Answerer, Model, Registry, Served
from standpipe_server.engine.streams import Streams
from standpipe_server.engine.worker import ThreadWorker
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import Call, LoadedModel, ModelSpec, Outcome, Output, Progress, Runner
from standpipe_server.rpc.server import RpcServer
from standpipe_server.tasks import MODEL_TASKS, kind_for, program_for

_WARM_UP_TIMEOUT = 300.0


class Reporter(Protocol):
    """Tells a person what the server does."""

    def loading(self, spec: ModelSpec) -> Progress:
        """A model begins to load; returns what its backend tells its steps to."""
        ...

    def ready(self, model: Model) -> None:
        """A model answers calls."""
        ...

    def listening(self, address: str) -> None:
        """All models answer calls."""
        ...

    def draining(self, signal_name: str) -> None:
        """The server was told to stop."""
        ...


async def serve(settings: Settings, specs: Sequence[ModelSpec], reporter: Reporter) -> bool:
    """Serve models until SIGTERM or SIGINT, then finish what was accepted.

    The port is taken first, so that a taken port fails before minutes of loading; until the models are ready,
    calls get UNAVAILABLE and health says NOT_SERVING.

    Returns:
        Whether every accepted call was answered.

    Raises:
        ModelLoadError: A model can't be loaded as asked.
        OSError: The address can't be listened on.
    """
    registry = Registry(specs)
    host, _, _ = settings.address.rpartition(":")
    try:
        server = RpcServer(settings.address, registry, settings.rpc_limits())
    except RuntimeError as error:
        raise OSError(f"can't listen on {settings.address}: is another server there?") from error
    stop = asyncio.Event()
    told: list[str] = []

    def on_signal(number: signal.Signals) -> None:
        told.append(number.name)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await server.start()
    opening = asyncio.create_task(_open_all(registry, settings, reporter))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
            await server.serving()
            reporter.listening(f"{host}:{server.port}")
            await stopping
        reporter.draining(told[0])
    finally:
        opening.cancel()
        stopping.cancel()
        finished = await server.stop(settings.drain_timeout)
    return finished


async def _open_all(registry: Registry, settings: Settings, reporter: Reporter) -> None:
    for model in registry:
        started = time.perf_counter()
        progress = reporter.loading(model.spec)
        loaded = await _load(model.spec, progress)
        progress("warming up")
        limits = settings.batch_limits(loaded.batch_cost, loaded.max_items)
        answerer: Answerer
        if loaded.generator is not None:
            answerer = Streams(loaded.generator, settings.max_queue)
            await _warm_streams(model.spec, answerer)
        else:
            answerer = Batcher(await _warm_workers(model.spec, loaded), limits)
        tokenizer = None
        if loaded.tokenizer is not None:
            tokenizer = Batcher([_worker(loaded.tokenizer, f"{model.spec.name}-tokenizer")], limits)
        elapsed = time.perf_counter() - started
        model.served = Served(loaded.info, answerer, elapsed, tokenizer)
        reporter.ready(model)
    # What loading made lives as long as the process: the collector needn't walk it in the middle of a call.
    gc.collect()
    gc.freeze()


async def _load(spec: ModelSpec, progress: Progress) -> LoadedModel:
    """Load on a thread that doesn't keep the process from ending: SIGTERM needn't wait for an export."""
    program = program_for(spec.tasks)
    loop = asyncio.get_running_loop()
    loaded: asyncio.Future[LoadedModel] = loop.create_future()

    def settle(model: LoadedModel | None, error: Exception | None) -> None:
        if loaded.done():  # nobody waits any more
            return
        if model is not None:
            loaded.set_result(model)
        elif error is not None:
            loaded.set_exception(error)

    def work() -> None:
        model, error = None, None
        try:
            model = load(spec, program, progress)
        except Exception as caught:  # raised again where it is awaited
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop may be gone
            loop.call_soon_threadsafe(settle, model, error)

    threading.Thread(target=work, name=f"load-{spec.name}", daemon=True).start()
    return await loaded


def _examples(spec: ModelSpec) -> Iterator[Sequence[Call]]:
    """What a fresh model runs, batch by batch; for tasks in their own way only."""
    kind = kind_for(spec.tasks)
    tasks = (MODEL_TASKS[name] for name in spec.tasks)
    return (calls for task in tasks if task.kind == kind for calls in task.warm_up)


async def _warm_streams(spec: ModelSpec, streams: Streams) -> None:
    """Run the tasks' examples: no caller pays for the first step."""
    for calls in _examples(spec):
        try:
            await streams.submit(calls, key=None, costs=[], timeout=_WARM_UP_TIMEOUT)
        except CallFailedError as error:
            raise ModelLoadError(
                f"model {spec.name!r} fails on an example: {error.__cause__}"
            ) from error.__cause__


async def _warm_workers(spec: ModelSpec, loaded: LoadedModel) -> list[ThreadWorker[Call, Output]]:
    """A worker for each runner, each having run the tasks' examples: no caller pays for the first run."""
    workers = []
    for index, runner in enumerate(loaded.runners):
        worker = _worker(runner, f"{spec.name}-{index}")
        workers.append(worker)
        for alone in (True, False):
            for calls in _examples(spec):
                for outcome in await _run(worker, calls, alone):
                    if isinstance(outcome, Exception):
                        raise ModelLoadError(
                            f"model {spec.name!r} fails on an example: {outcome}"
                        ) from outcome
    return workers


def _worker(runner: Runner, name: str) -> ThreadWorker[Call, Output]:
    return ThreadWorker(runner, name, asyncio.get_running_loop())


async def _run(worker: ThreadWorker[Call, Output], calls: Sequence[Call], alone: bool) -> Sequence[Outcome]:
    outcomes: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
    worker.start(calls, alone, lambda answered, _: outcomes.set_result(answered))
    return await outcomes
