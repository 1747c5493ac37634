"""Pipelines of diffusers as they are loaded: whole, in the task's own form, with their adapters."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined] # public by its documents
from safetensors.torch import load_file, save_file

import tiny_diffusers
from standpipe_server.backends.diffusion import DiffusionModel
from standpipe_server.backends.load import load
from standpipe_server.backends.sources import Source, resolve
from standpipe_server.backends.torch.backend import DTYPES
from standpipe_server.backends.torch.diffusion import load_pipeline
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import LoadedModel, ModelSpec
from standpipe_server.media_programs import Drawing, Manner
from standpipe_server.tasks import program_for

UNET = Path("unet") / "diffusion_pytorch_model.safetensors"
ENCODER = Path("text_encoder") / "model.safetensors"


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STANDPIPE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_diffusers.save_tiny_stable_diffusion(tmp_path_factory.mktemp("sd") / "model")


@pytest.fixture(scope="module")
def ink(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_diffusers.save_tiny_lora(tmp_path_factory.mktemp("ink") / "adapter")


def spec_of(folder: Path, task: str = "text-to-image", **options: object) -> ModelSpec:
    spec = ModelSpec("m", str(folder), (task,), backend="torch")
    return replace(spec, **options)  # type: ignore[arg-type] # of its fields


def loaded(spec: ModelSpec) -> LoadedModel:
    return load(spec, program_for(spec.tasks), lambda _: None)


def refusal(spec: ModelSpec) -> str:
    with pytest.raises(ModelLoadError) as caught:
        loaded(spec)
    return str(caught.value)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@pytest.mark.parametrize("file", [UNET, ENCODER], ids=["diffusers", "transformers"])
def test_a_part_that_lacks_weights_is_refused(sd: Path, tmp_path: Path, file: Path, backend: str) -> None:
    folder = tmp_path / "lacking"
    shutil.copytree(sd, folder)
    weights = load_file(folder / file)
    gone = min(weights)
    del weights[gone]
    save_file(weights, folder / file, {"format": "pt"})
    found = refusal(spec_of(folder, backend=backend))
    assert f"model 'm': {file.parent}: its files hold no weights for {gone}" in found


def test_pickles_are_not_read(sd: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(sd, folder)
    (folder / UNET).rename(folder / UNET.with_suffix(".bin"))
    assert "torch can't load it" in refusal(spec_of(folder))


@pytest.mark.parametrize(
    ("make", "task"),
    [
        (tiny_diffusers.save_tiny_inpainting, "text-to-image"),
        (tiny_diffusers.save_tiny_stable_diffusion, "text-to-video"),
        (tiny_diffusers.save_tiny_wan, "text-to-image"),
        (tiny_diffusers.save_tiny_audioldm2, "image-to-image"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_pipeline_that_can_t_do_a_task_says_so(make: object, task: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "model")  # type: ignore[operator] # a maker
    assert f"Pipeline isn't there for the task {task}" in refusal(spec_of(folder, task))


@pytest.mark.parametrize("task", ["text-classification", "text-to-speech"])
def test_a_pipeline_is_refused_for_a_task_of_the_other_library(sd: Path, task: str) -> None:
    assert f"is a pipeline of diffusers; {task} takes none" in refusal(spec_of(sd, task))


def test_another_model_is_refused_for_drawing(tiny_bert: Path) -> None:
    assert "is no pipeline of diffusers; text-to-image takes one" in refusal(spec_of(tiny_bert))


def test_without_diffusers_what_to_install_is_said(sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "standpipe_server.backends.torch.diffusion", raising=False)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    found = refusal(spec_of(sd))
    assert "model 'm' needs the package diffusers: pip install 'standpipe[server,diffusion]'" == found


def test_adapters_need_torch_and_auto_takes_it(sd: Path, ink: Path) -> None:
    inked = spec_of(sd, backend="auto", lora=(("ink", str(ink)),))
    found = loaded(inked)
    assert "torch" == found.info.backend
    assert "adapters (LoRA) need torch" in found.info.reason
    refused = refusal(replace(inked, backend="openvino"))
    assert "adapters (LoRA) need torch" in refused


def test_an_adapter_that_can_t_be_read_is_named(sd: Path, tmp_path: Path) -> None:
    found = refusal(spec_of(sd, lora=(("ink", str(tmp_path / "nowhere")),)))
    assert f"the adapter 'ink' can't be loaded from {tmp_path / 'nowhere'}" in found


def test_an_adapter_may_be_a_file_and_of_several_one_must_be_named(
    sd: Path, ink: Path, tmp_path: Path
) -> None:
    (file,) = ink.glob("*.safetensors")
    for name in ("one", "other"):
        shutil.copy(file, tmp_path / f"{name}.safetensors")
    found = refusal(spec_of(sd, lora=(("ink", str(tmp_path)),)))
    assert "holds one.safetensors, other.safetensors: name one of them" in found
    assert loaded(spec_of(sd, lora=(("ink", str(tmp_path / "one.safetensors")),)))


@pytest.mark.parametrize(
    ("make", "task", "cost"),
    [
        (tiny_diffusers.save_tiny_stable_diffusion, "text-to-image", 16),
        (tiny_diffusers.save_tiny_wan, "text-to-video", 1),
    ],
    ids=["pictures", "films"],
)
def test_small_pictures_are_drawn_sixteen_at_a_time_films_one_by_one(
    make: object, task: str, cost: int, tmp_path: Path
) -> None:
    folder = make(tmp_path / "model")  # type: ignore[operator] # a maker
    found = loaded(spec_of(folder, task))
    assert (cost, cost) == (found.batch_cost, found.max_items)


# Of the library's own pipeline, at its end.
@pytest.mark.filterwarnings("ignore:.upcast_vae. is deprecated:FutureWarning")
@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_previews_are_decoded_in_every_dtype_and_nothing_is_left_of_that(tmp_path: Path, dtype: str) -> None:
    folder = tiny_diffusers.save_tiny_stable_diffusion_xl(tmp_path / "model")
    pipeline = load_pipeline(Source(folder, ""), spec_of(folder, device="cpu"), DTYPES[dtype])
    before = pipeline.vae.dtype
    shown: list[Any] = []
    drawing = Drawing("a calm bell", preview_steps=1, tell=lambda step, steps, image: shown.append(image))
    artist = DiffusionModel(lambda _: pipeline, "cpu").artist("text-to-image")
    (drawn,) = artist.draw([drawing], Manner((("num_inference_steps", 2),)))
    assert [(32, 32), None] == [image and image.size for image in shown]
    assert (32, 32) == drawn.frames[0].size
    assert before == pipeline.vae.dtype == DTYPES[dtype]


LISTED = [
    "model_index.json",
    "README.md",
    "all-in-one.safetensors",
    "all-in-one.ckpt",
    "scheduler/scheduler_config.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/pytorch_model.bin",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
]
WANTED = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
]


def test_of_a_pipeline_on_the_hub_only_its_parts_are_fetched_and_each_once(
    sd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[list[str]] = []

    def snapshot(source: str, revision: str, **patterns: Any) -> str:
        assert ("org/pipeline", "main") == (source, revision)
        fetched.append(list(filter_repo_objects(LISTED, **patterns)))
        return str(sd)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert sd == resolve(ModelSpec("m", "org/pipeline", ("text-to-image",))).folder
    assert [["model_index.json"], WANTED] == fetched


def test_a_pipeline_in_the_hub_s_own_cache_needs_no_hub(
    sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "hub" / "models--org--pipeline"
    shutil.copytree(sd, home / "snapshots" / ("a" * 40))
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = loaded(replace(spec_of(sd), source="org/pipeline"))
    assert "a" * 40 == found.info.revision
