"""Pipelines of diffusers on OpenVINO: torch's pictures, from one set of compiled models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from media_files import picture
from standpipe_server.backends.openvino.diffusion import pipelines
from standpipe_server.backends.openvino.export import exported
from standpipe_server.backends.sources import Source
from standpipe_server.errors import ExportError, ModelLoadError
from standpipe_server.interfaces import ModelSpec
from standpipe_server.kinds import DIFFUSER
from standpipe_server.media_programs import DrawingTask
from tiny_diffusers import SIDE, save_tiny_stable_diffusion, save_tiny_wan

Pipelines = Callable[[DrawingTask], Any]
FULL = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
BEGUN: dict[str, Any] = {"image": [picture(SIDE, SIDE)] * 2, "strength": 0.8}
HALF = Image.new("L", (SIDE, SIDE), 0)
HALF.paste(255, (SIDE // 2, 0, SIDE, SIDE))
TASKS: dict[DrawingTask, tuple[str, Mapping[str, Any]]] = {
    "text-to-image": ("AutoPipelineForText2Image", {}),
    "image-to-image": ("AutoPipelineForImage2Image", BEGUN),
    "inpainting": ("AutoPipelineForInpainting", BEGUN | {"mask_image": [HALF] * 2}),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of this module's own, with a cache in it."""
    folder = tmp_path_factory.mktemp("diffusion")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STANDPIPE_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def source(home: Path) -> Path:
    return save_tiny_stable_diffusion(home / "source")


@pytest.fixture(scope="module")
def folder(source: Path) -> Path:
    """Of what was exported of it."""
    return export(source)


@pytest.fixture(scope="module")
def compiled(folder: Path) -> Pipelines:
    return pipelines(folder, FULL)


@pytest.fixture(scope="module")
def on_torch(source: Path) -> Pipelines:
    loaded = diffusers.DiffusionPipeline.from_pretrained(source)
    return lambda task: getattr(diffusers, TASKS[task][0]).from_pipe(loaded)


def export(source: Path) -> Path:
    spec = ModelSpec("tiny", str(source), ("text-to-image",))
    return exported(spec, Source(source, ""), DIFFUSER, lambda step: None)


def drawn(pipeline: Any, **arguments: Any) -> np.ndarray:
    """Two pictures, (2, height, width, 3)."""
    pipeline.set_progress_bar_config(disable=True)
    arguments = {"prompt": ["a red fox", "water"], "num_inference_steps": 4} | arguments
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    result = pipeline(**arguments, generator=generators, output_type="pil")
    return np.stack([np.asarray(image, np.int16) for image in result.images])


@pytest.mark.parametrize("task", TASKS)
def test_its_pictures_are_those_of_torch(task: DrawingTask, on_torch: Pipelines, compiled: Pipelines) -> None:
    _, arguments = TASKS[task]
    wanted, found = (drawn(given(task), **arguments) for given in (on_torch, compiled))
    assert wanted.shape == found.shape
    assert 2 >= np.abs(wanted - found).max()
    # They are no pictures that any pipeline would draw.
    assert 10 < np.abs(wanted[0] - wanted[1]).mean()


@pytest.mark.parametrize(
    ("scheduler", "arguments"),
    [
        ("DPMSolverMultistepScheduler", {"negative_prompt": ["the dog"] * 2}),
        ("EulerAncestralDiscreteScheduler", {"height": 48, "width": 64, "guidance_scale": 1.0}),
    ],
)
def test_schedulers_and_sizes_are_whatever_a_call_asks_for(
    scheduler: str,
    arguments: Mapping[str, Any],
    on_torch: Pipelines,
    compiled: Pipelines,
) -> None:
    both = [given("text-to-image") for given in (on_torch, compiled)]
    for pipeline in both:
        pipeline.scheduler = getattr(diffusers, scheduler).from_config(pipeline.scheduler.config)
    wanted, found = (drawn(pipeline, **arguments) for pipeline in both)
    assert wanted.shape == found.shape
    assert 2 >= np.abs(wanted - found).max()


def test_tasks_share_what_is_compiled_and_no_scheduler(compiled: Pipelines) -> None:
    first, *others = (compiled(task) for task in TASKS)
    for other in others:
        for name, part in first.components.items():
            assert part.model is getattr(other, name).model
        assert first.tokenizer is other.tokenizer
        assert first.scheduler is not other.scheduler


def test_a_caller_may_end_it_at_a_step_and_ask_again(compiled: Pipelines) -> None:
    pipeline = compiled("text-to-image")
    steps: list[int] = []

    def end(pipeline: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        steps.append(step)
        if step == 1:
            raise KeyboardInterrupt
        return tensors

    before = drawn(pipeline)
    with pytest.raises(KeyboardInterrupt):
        drawn(pipeline, callback_on_step_end=end)
    assert [0, 1] == steps
    np.testing.assert_array_equal(before, drawn(pipeline))


def test_a_model_of_pictures_makes_no_films(compiled: Pipelines) -> None:
    with pytest.raises(
        ModelLoadError, match="StableDiffusionPipeline isn't there for the task text-to-video"
    ):
        compiled("text-to-video")


def test_a_denoiser_that_reads_masks_draws_nothing_without(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"in_channels": 9}))
    given = pipelines(tmp_path, FULL)
    assert "OVStableDiffusionInpaintPipeline" == type(given("inpainting")).__name__
    tasks: tuple[DrawingTask, ...] = ("text-to-image", "image-to-image")
    for task in tasks:
        with pytest.raises(ModelLoadError, match=f"isn't there for the task {task}"):
            given(task)


def test_a_pipeline_that_optimum_does_not_know_is_for_another_backend(home: Path) -> None:
    with pytest.raises(ExportError, match="it knows no WanPipeline"):
        export(save_tiny_wan(home / "wan"))
