"""The servers that the parity tests ask: models with random weights, and the demo models."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import MappingProxyType

import pytest

import tiny_audio
import tiny_diffusers
import tiny_vision
from parity.cases import ON_OPENVINO, TINY
from parity.drawing_cases import ADAPTER
from parity.library import auto, diffuser, pipe
from servers import Starting
from standpipe_bench.server_process import ServerProcess
from standpipe_server import demo_models
from tiny_models import (
    BIO,
    NLI,
    byte_pairs,
    save_tiny_encoder,
    save_tiny_llama,
    save_tiny_marian,
    save_tiny_nllb,
    save_tiny_t5,
    save_tiny_tapas,
)

_CLASSIFIER = "AutoModelForSequenceClassification"
_OF_IMAGES: dict[str, Callable[[Path], Path]] = {
    "vit": tiny_vision.save_tiny_vit,
    "convnext": tiny_vision.save_tiny_convnext,
    "clip": tiny_vision.save_tiny_clip,
    "siglip": tiny_vision.save_tiny_siglip,
    "yolos": tiny_vision.save_tiny_yolos,
    "detr": tiny_vision.save_tiny_detr,
    "owlvit": tiny_vision.save_tiny_owlvit,
    "segformer": tiny_vision.save_tiny_segformer,
    "maskformer": tiny_vision.save_tiny_maskformer,
    "sam": tiny_vision.save_tiny_sam,
    "glpn": tiny_vision.save_tiny_glpn,
    "depth_anything": tiny_vision.save_tiny_depth_anything,
    "convnext_features": lambda folder: tiny_vision.save_tiny_convnext(folder, head="AutoModel"),
    "vit_features": lambda folder: tiny_vision.save_tiny_vit(folder, head="AutoModel"),
    "clip_vision": tiny_vision.save_tiny_clip_vision,
    "clip_both": tiny_vision.save_tiny_clip,
    "blip": tiny_vision.save_tiny_blip,
    "trocr": tiny_vision.save_tiny_trocr,
    "llava": tiny_vision.save_tiny_llava,
    "vilt": tiny_vision.save_tiny_vilt,
    "blip_answers": lambda folder: tiny_vision.save_tiny_blip(folder, head="BlipForQuestionAnswering"),
    "llava_answers": tiny_vision.save_tiny_llava,
    "layoutlm": tiny_vision.save_tiny_layoutlm,
    "donut": tiny_vision.save_tiny_donut,
    "superglue": tiny_vision.save_tiny_superglue,
    "videomae": tiny_vision.save_tiny_videomae,
}
_OF_SOUNDS: dict[str, Callable[[Path], Path]] = {
    "ctc": tiny_audio.save_tiny_wav2vec2_ctc,
    "whisper": tiny_audio.save_tiny_whisper,
    "whisper_en": lambda folder: tiny_audio.save_tiny_whisper(folder, multilingual=False),
    "speech_to_text": tiny_audio.save_tiny_speech_to_text,
    "wav2vec2": tiny_audio.save_tiny_wav2vec2,
    "ast": tiny_audio.save_tiny_ast,
    "clap": tiny_audio.save_tiny_clap,
    "vits": tiny_audio.save_tiny_vits,
    "voices": lambda folder: tiny_audio.save_tiny_vits(folder, voices=3),
    "musicgen": tiny_audio.save_tiny_musicgen,
    "audioldm2": tiny_diffusers.save_tiny_audioldm2,
    "stable_audio": tiny_diffusers.save_tiny_stable_audio,
}
_OF_DRAWINGS: dict[str, Callable[[Path], Path]] = {
    "sd": tiny_diffusers.save_tiny_stable_diffusion,
    "sd_inked": tiny_diffusers.save_tiny_stable_diffusion,
    "sd_checks": lambda folder: tiny_diffusers.save_tiny_stable_diffusion(folder, checks=True),
    "sd_inpainting": tiny_diffusers.save_tiny_inpainting,
    "sdxl": tiny_diffusers.save_tiny_stable_diffusion_xl,
    "wan": tiny_diffusers.save_tiny_wan,
    "ltx_begins": lambda folder: tiny_diffusers.save_tiny_ltx(folder, begins=True),
    "flux": tiny_diffusers.save_tiny_flux,
    ADAPTER: tiny_diffusers.save_tiny_lora,
}
_MAKERS: dict[str, Callable[[Path], Path]] = {
    "plain": save_tiny_encoder,
    "ranker": lambda folder: save_tiny_encoder(folder, head=_CLASSIFIER, labels=["entailment"]),
    "nli": lambda folder: save_tiny_encoder(folder, head=_CLASSIFIER, labels=NLI),
    "several": lambda folder: save_tiny_encoder(
        folder, head=_CLASSIFIER, labels=["red", "wet"], problem_type="multi_label_classification"
    ),
    "regression": lambda folder: save_tiny_encoder(
        folder, head=_CLASSIFIER, labels=["stars"], problem_type="regression"
    ),
    "tagger": lambda folder: save_tiny_encoder(folder, head="AutoModelForTokenClassification", labels=BIO),
    "speller": lambda folder: save_tiny_encoder(
        folder,
        head="AutoModelForTokenClassification",
        labels=BIO,
        max_tokens=128,
        tokenizer=byte_pairs(),
        type_vocab_size=2,
    ),
    "masked": lambda folder: save_tiny_encoder(folder, head="AutoModelForMaskedLM"),
    "reader": lambda folder: save_tiny_encoder(folder, head="AutoModelForQuestionAnswering"),
    "tables": save_tiny_tapas,
    "t5": save_tiny_t5,
    "llama": lambda folder: save_tiny_llama(folder, max_tokens=256),
    "marian": save_tiny_marian,
    "nllb": save_tiny_nllb,
    **_OF_IMAGES,
    **_OF_SOUNDS,
    **_OF_DRAWINGS,
}


@pytest.fixture(scope="package", autouse=True)
def _library_goes_when_its_tests_are_done() -> Iterator[None]:
    """Else all tests that follow have gigabytes of models beside them."""
    yield
    for kept in (pipe, auto, diffuser):
        kept.cache_clear()
    gc.collect()


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the models with random weights, by name."""
    home = tmp_path_factory.mktemp("tiny")
    return {name: make(home / name) for name, make in _MAKERS.items()}


@pytest.fixture(scope="session")
def tiny_parity_server_to_be(
    starting: Starting, tiny_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Future[ServerProcess]:
    models = [
        (f"{name}-{backend}", tiny_folders[name], task, backend, "fp32")
        for name, (task, _) in TINY.items()
        for backend in (("torch", "openvino") if name in ON_OPENVINO else ("torch",))
    ]
    adapters = {"sd_inked-torch": f"{ADAPTER}={tiny_folders[ADAPTER]}"}
    config = _config(tmp_path_factory, models, adapters)
    return starting(["--config", str(config), "--max-seconds", "60"])


@pytest.fixture(scope="session")
def tiny_parity_server(tiny_parity_server_to_be: Future[ServerProcess]) -> ServerProcess:
    """Each of them on torch, and on OpenVINO where it can be, in fp32."""
    return tiny_parity_server_to_be.result()


@pytest.fixture(scope="session")
def demo_folders() -> dict[str, Path]:
    """Folders of the demo models, which set-up fetched, by name."""
    return {
        recipe.name: demo_models.fetch(recipe, lambda done, total: None)
        for recipe in demo_models.RECIPES
        if recipe.able
    }


@pytest.fixture(scope="session")
def demo_parity_server(
    starting: Starting,
    default_server_to_be: Future[ServerProcess],
    tiny_parity_server_to_be: Future[ServerProcess],
    demo_folders: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> ServerProcess:
    """Each demo model on torch in fp32; what writes freely, which no tolerance compares, on OpenVINO too.

    The others start beside it.
    """
    models = [
        (f"{recipe.name}-{backend}", demo_folders[recipe.name], "+".join(recipe.tasks), backend, "fp32")
        for recipe in demo_models.RECIPES
        if recipe.able
        for backend in (("torch", "openvino") if "text-generation" in recipe.tasks else ("torch",))
    ]
    return starting(["--config", str(_config(tmp_path_factory, models))]).result()


def _config(
    tmp_path_factory: pytest.TempPathFactory,
    models: list[tuple[str, Path, str, str, str]],
    adapters: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """A TOML file with those models: name, folder, tasks, backend, dtype; for some, by name, an adapter."""
    keys = ("name", "source", "task", "backend", "dtype")
    tables = []
    for model in models:
        lines = [f'{key} = "{value}"' for key, value in zip(keys, model, strict=True)]
        if model[0] in adapters:
            lines.append(f'lora = ["{adapters[model[0]]}"]')
        tables.append("\n".join(["[[model]]", *lines]))
    path = tmp_path_factory.mktemp("config") / "standpipe.toml"
    path.write_text("\n\n".join(tables), encoding="utf-8")
    return path
