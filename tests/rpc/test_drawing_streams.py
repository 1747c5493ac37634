"""Pictures under way: who is told, who is drawn together, and who stops.

The server is in this process, with a pipeline of random weights behind a real worker: its steps are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import torch
from engine_fakes import let_tasks_run

import tiny_diffusers
from standpipe import AsyncClient, CallError
from standpipe.v1 import image_generation_pb2
from standpipe_server.backends.load import load
from standpipe_server.engine.batcher import Batcher
from standpipe_server.engine.queue import BatchLimits
from standpipe_server.engine.registry import Registry, Served
from standpipe_server.engine.worker import ThreadWorker
from standpipe_server.interfaces import Call, LoadedModel, ModelSpec, Output
from standpipe_server.rpc.server import RpcLimits, RpcServer
from standpipe_server.tasks import InputLimits, program_for

LONG = 250
# What gRPC itself may send is more.
LARGEST = 12_000
PROMPT = "the house of Ada"


class Counted:
    """A denoiser, and how often it was asked."""

    def __init__(self, denoiser: Any) -> None:
        self.steps = 0
        denoiser.register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.steps += 1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, Counted]:
    folder = tiny_diffusers.save_tiny_stable_diffusion(tmp_path_factory.mktemp("drawing") / "model")
    spec = ModelSpec("sd", str(folder), ("text-to-image",), backend="torch")
    with pytest.MonkeyPatch.context() as patch:
        counted: list[Counted] = []
        from standpipe_server.backends.torch import diffusion

        plain = diffusion.load_pipeline

        def counting(*args: Any) -> Any:
            pipeline = plain(*args)
            counted.append(Counted(pipeline.unet))
            return pipeline

        patch.setattr(diffusion, "load_pipeline", counting)
        loaded = load(spec, program_for(spec.tasks), lambda _: None)
    return loaded, counted[0]


@dataclass(frozen=True, slots=True)
class Rig:
    """A server, and a caller.

    Attributes:
        server: Listens on a port of its own.
        client: Calls it.
        batcher: Of its model.
        counted: The model's steps.
    """

    server: RpcServer
    client: AsyncClient
    batcher: Batcher[Call, Output]
    counted: Counted

    def drawing(self, **options: Any) -> asyncio.Task[image_generation_pb2.GenerateImageResponse]:
        """The last message of a call that is under way."""
        count = options.pop("num_images_per_prompt", None)
        timeout = options.pop("timeout", 60)
        parameters = image_generation_pb2.DiffusionParameters(**{"num_inference_steps": 1} | options)
        request = image_generation_pb2.GenerateImageRequest(
            prompt=PROMPT, parameters=parameters, num_images_per_prompt=count
        )

        async def last() -> image_generation_pb2.GenerateImageResponse:
            stub = self.client.image_generation.GenerateImage
            messages = [message async for message in self.client.stream(stub, request, timeout=timeout)]
            return messages[-1]

        return asyncio.create_task(last())

    @asynccontextmanager
    async def busy(self, *, leave: bool = True) -> AsyncIterator[asyncio.Task[Any]]:
        """A long call that has begun; it is cancelled at the end."""
        begun = asyncio.Event()
        call = asyncio.create_task(
            self.client.generate_image(
                PROMPT, num_inference_steps=LONG, on_progress=lambda *_: begun.set(), timeout=60
            )
        )
        await asyncio.wait_for(begun.wait(), 30)
        yield call
        if leave:
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    async def waiting(self, count: int) -> None:
        """Return when so many calls wait."""
        async with asyncio.timeout(30):
            while len(self.batcher._queue) != count:  # noqa: ASYNC110 - the batcher tells nobody
                await asyncio.sleep(0.001)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """So small a model only waits for its threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
async def rig(model: tuple[LoadedModel, Counted], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    loaded, counted = model
    # Nobody calls when the tests are done.
    monkeypatch.setattr("standpipe_server.rpc.server._LINGER", 0.0)
    spec = ModelSpec("sd", "folder/sd", ("text-to-image",))
    registry = Registry([spec])
    server = RpcServer("127.0.0.1:0", registry, RpcLimits(InputLimits(max_message_bytes=LARGEST)))
    worker = ThreadWorker[Call, Output](loaded.runners[0], "sd", asyncio.get_running_loop())
    batcher = Batcher([worker], BatchLimits(max_cost=loaded.batch_cost))
    (only,) = registry
    only.served = Served(loaded.info, batcher, 1.0)
    await server.start()
    async with AsyncClient(f"127.0.0.1:{server.port}", retry=False, timeout=60) as client:
        yield Rig(server, client, batcher, counted)
    await server.stop(grace=5)
    batcher.close()


async def test_every_step_is_told_or_a_later_one_and_the_last_before_the_result(rig: Rig) -> None:
    told: list[tuple[int, int]] = []
    (image,) = await rig.client.generate_image(
        PROMPT, num_inference_steps=7, seed=5, on_progress=lambda *steps: told.append(steps)
    )
    assert sorted(set(told)) == told
    assert (7, 7) == told[-1]
    assert 5 == image.info["seed"]


async def test_previews_come_of_every_picture_and_none_of_the_last_step(rig: Rig) -> None:
    seen: dict[int, set[int]] = {}
    sizes = set()

    def on_preview(index: int, step: int, image: Any) -> None:
        seen.setdefault(index, set()).add(step)
        sizes.add(image.size)

    images = await rig.client.generate_image(
        PROMPT,
        num_inference_steps=6,
        num_images_per_prompt=2,
        preview_steps=3,
        on_preview=on_preview,
    )
    # What isn't read in time is left out: step 3 may be, where nothing comes after it.
    assert {0: {3}, 1: {3}} == seen
    assert {(32, 32)} == sizes
    assert 2 == len(images)
    assert images[0].info["seed"] + 1 == images[1].info["seed"]


async def test_who_cancels_stops_the_drawing_at_its_next_step(rig: Rig) -> None:
    before = rig.counted.steps
    async with rig.busy():
        pass
    await rig.drawing()
    # A step of the second call, and those of the first until the word had come.
    assert rig.counted.steps - before < LONG // 2


async def test_a_callback_that_raises_stops_it_too(rig: Rig) -> None:
    before = rig.counted.steps

    def refuse(step: int, steps: int) -> None:
        raise ArithmeticError(f"{step} of {steps}")

    with pytest.raises(ArithmeticError, match=f"of {LONG}"):
        await rig.client.generate_image(PROMPT, num_inference_steps=LONG, on_progress=refuse)
    await rig.drawing()
    assert rig.counted.steps - before < LONG // 2


async def test_a_deadline_that_passes_stops_it_too(rig: Rig) -> None:
    before = rig.counted.steps
    with pytest.raises(CallError) as caught:
        await rig.drawing(num_inference_steps=LONG, timeout=0.1)
    assert grpc.StatusCode.DEADLINE_EXCEEDED is caught.value.code
    await rig.drawing()
    assert rig.counted.steps - before < LONG // 2


async def test_what_is_left_of_a_batch_is_drawn_though_one_of_its_callers_goes(rig: Rig) -> None:
    async with rig.busy():
        going, staying = rig.drawing(num_inference_steps=40), rig.drawing(num_inference_steps=40, seed=3)
        await rig.waiting(2)
    await rig.waiting(0)
    going.cancel()
    together = await staying
    alone = await rig.drawing(num_inference_steps=40, seed=3)
    assert 2 == together.metadata.batch_size
    assert 1 == alone.metadata.batch_size
    assert together.result == alone.result


async def test_who_left_while_waiting_is_not_drawn(rig: Rig) -> None:
    async with rig.busy():
        leaving = rig.drawing(num_inference_steps=LONG)
        await rig.waiting(1)
        leaving.cancel()
        await rig.waiting(0)
    before = rig.counted.steps
    await rig.drawing()
    assert rig.counted.steps - before < LONG // 2


def alike() -> Iterator[tuple[dict[str, Any], bool]]:
    yield {"seed": 9}, True
    yield {"num_inference_steps": 2}, False
    yield {"width": 48}, False
    yield {"guidance_scale": 2}, False
    yield {"scheduler": "EulerDiscrete"}, False
    yield {"negative_prompt": ""}, False
    yield {"eta": 0.5}, False


@pytest.mark.parametrize(("options", "together"), list(alike()))
async def test_only_calls_that_can_be_are_drawn_together(
    rig: Rig, options: dict[str, Any], together: bool
) -> None:
    async with rig.busy():
        one, other = rig.drawing(), rig.drawing(**options)
        await rig.waiting(2)
    sizes = [answer.metadata.batch_size for answer in await asyncio.gather(one, other)]
    assert [2, 2] == sizes if together else [1, 1] == sizes


async def test_several_pictures_of_one_call_and_those_of_others_share_a_batch(rig: Rig) -> None:
    async with rig.busy():
        several, one = rig.drawing(num_images_per_prompt=3), rig.drawing()
        await rig.waiting(4)
    assert [4, 4] == [answer.metadata.batch_size for answer in await asyncio.gather(several, one)]


async def test_an_answer_that_no_message_holds_is_refused_in_words(rig: Rig) -> None:
    with pytest.raises(
        CallError, match=f"bytes of one answer exceed the limit max_message_bytes = {LARGEST}"
    ):
        await rig.drawing(num_images_per_prompt=5)


async def test_a_picture_is_drawn_to_its_end_though_the_server_drains(rig: Rig) -> None:
    async with rig.busy(leave=False) as drawing:
        stopping = asyncio.create_task(rig.server.stop(grace=60))
        await let_tasks_run()
        with pytest.raises(CallError) as caught:
            await rig.drawing()
        assert grpc.StatusCode.UNAVAILABLE is caught.value.code
        (image,) = await drawing
    assert (32, 32) == image.size
    assert await stopping


def test_the_folder_of_another_library_s_model_is_refused(tiny_bert: Path) -> None:
    spec = ModelSpec("m", str(tiny_bert), ("text-to-image",))
    with pytest.raises(Exception, match="is no pipeline of diffusers; text-to-image takes one"):
        load(spec, program_for(spec.tasks), lambda _: None)
