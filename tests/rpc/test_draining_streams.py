"""Who is answered by several calls, one after the other, is answered to the end though the server drains.

The server is in this process, so that its worker waits for the test: which call comes before the drain, and
which after, isn't left to chance.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
import numpy as np
import pytest
from engine_fakes import let_tasks_run
from numpy.typing import NDArray

from standpipe import AsyncClient, CallError
from standpipe_server.engine.batcher import Batcher
from standpipe_server.engine.queue import BatchLimits
from standpipe_server.engine.registry import ModelState, Registry, Served
from standpipe_server.engine.worker import Done
from standpipe_server.interfaces import Call, ModelInfo, ModelSpec, Output
from standpipe_server.rpc.server import RpcLimits, RpcServer
from standpipe_server.tasks.audios import to_message
from standpipe_server.tasks.transcribe_audio import Heard, Part

T = TypeVar("T")
Samples = NDArray[np.int16]
VOICE = ModelSpec("voice", "folder/voice", ("text-to-speech",))
EAR = ModelSpec("ear", "folder/ear", ("automatic-speech-recognition",))
INFO = ModelInfo("torch", "cpu", "fp32", "because", "r1", 256, 384)
RATE = 16_000


class HeldWorker:
    """Each call waits for the test."""

    def __init__(self) -> None:
        self._held: asyncio.Queue[Done[Output]] = asyncio.Queue()

    def start(self, calls: Sequence[Call], alone: bool, done: Done[Output]) -> None:
        self._held.put_nowait(done)

    async def begun(self) -> Done[Output]:
        """What ends the next call, once that has begun."""
        return await asyncio.wait_for(self._held.get(), 30)

    async def answer(self, value: object) -> None:
        """Answer the next call."""
        (await self.begun())([Output(value)], 0.5)

    def close(self) -> None:
        """It has nothing."""


@dataclass(frozen=True, slots=True)
class Rig:
    """A server of a voice and an ear, and a caller.

    Attributes:
        server: Listens on a port of its own.
        registry: Its models.
        client: Calls it.
        worker: Of both models.
    """

    server: RpcServer
    registry: Registry
    client: AsyncClient
    worker: HeldWorker = field(default_factory=HeldWorker)

    async def drain(self) -> asyncio.Task[bool]:
        """Begin to stop the server; return when it refuses new calls."""
        stopping = asyncio.create_task(self.server.stop(grace=60))
        while {model.state for model in self.registry} != {ModelState.DRAINING}:
            await let_tasks_run()
        with pytest.raises(CallError) as refusal:
            await self.client.synthesize_speech(["too late"])
        expected = (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        assert expected == (refusal.value.code, refusal.value.reason)
        return stopping


@asynccontextmanager
async def serving() -> AsyncIterator[Rig]:
    registry = Registry([VOICE, EAR])
    server = RpcServer("127.0.0.1:0", registry, RpcLimits())
    await server.start()
    async with AsyncClient(f"127.0.0.1:{server.port}", retry=False, timeout=60) as client:
        rig = Rig(server, registry, client)
        for model in registry:
            model.served = Served(INFO, Batcher([rig.worker], BatchLimits()), 1.0)
        try:
            yield rig
        finally:
            await server.stop(grace=0)


def spoken() -> object:
    return to_message(np.zeros(RATE, np.float32), RATE, "wav")


async def everything(stream: AsyncIterator[T]) -> list[T]:
    return [message async for message in stream]


def heard(text: str, seconds: float) -> Heard:
    return Heard(text, (Part(text, 0.0, seconds),), seconds)


async def test_all_sentences_of_an_accepted_text_are_spoken_though_the_server_drains() -> None:
    async with serving() as rig:
        stream = rig.client.stream_synthesize_speech("One. Two. Three.")
        sentences = asyncio.create_task(everything(stream))
        await rig.worker.answer(spoken())
        end_second = await rig.worker.begun()
        stopping = await rig.drain()
        end_second([Output(spoken())], 0.5)
        await rig.worker.answer(spoken())
        assert ["One.", "Two.", "Three."] == [sentence.text for sentence in await sentences]
        assert await stopping


async def test_a_stream_of_sound_is_written_down_to_its_end_though_the_server_drains() -> None:
    pieces: asyncio.Queue[Samples | None] = asyncio.Queue()

    async def microphone() -> AsyncIterator[Samples]:
        while (piece := await pieces.get()) is not None:
            yield piece

    second = np.zeros(RATE, np.int16)
    async with serving() as rig:
        events = asyncio.create_task(everything(stream := rig.client.stream_transcribe_audio(microphone())))
        pieces.put_nowait(second)
        end_first = await rig.worker.begun()
        stopping = await rig.drain()
        end_first([Output(heard("the", 1.0))], 0.5)
        pieces.put_nowait(second)
        await rig.worker.answer(heard("the dog", 2.0))
        pieces.put_nowait(None)
        await rig.worker.answer(heard("the dog.", 2.0))
        assert ["the", "the dog", "the dog."] == [event.text for event in await events]
        assert "the dog." == (await stream.result()).text
        assert await stopping
