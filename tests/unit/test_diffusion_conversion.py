"""From a shipped pipeline of diffusers to a folder that loads and draws; the one that the project trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from standpipe_server.demo_models import RECIPES
from standpipe_server.demo_models.converters.diffusion import convert
from standpipe_server.demo_models.recipes import SHIPPED

DIGITS = SHIPPED / "digits"
UNET = Path("unet") / "diffusion_pytorch_model.safetensors"
ENCODER = Path("text_encoder") / "model.safetensors"


def changed(target: Path, weights: Path, name: str, tensor: torch.Tensor | None) -> Path:
    """The shipped folder with another tensor of a part, or without it."""
    shutil.copytree(DIGITS, target)
    tensors = load_file(target / weights)
    tensors.pop(name, None)
    save_file(tensors if tensor is None else {**tensors, name: tensor}, target / weights)
    return target


def test_a_pipeline_is_taken_over_whole_but_for_pickles(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(DIGITS, source)
    (source / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"")
    convert(source, tmp_path / "taken")
    files = {path.relative_to(DIGITS): path.read_bytes() for path in DIGITS.rglob("*") if path.is_file()}
    taken = {path.relative_to(tmp_path / "taken"): path for path in (tmp_path / "taken").rglob("*")}
    assert files == {name: path.read_bytes() for name, path in taken.items() if path.is_file()}


@pytest.mark.parametrize(
    ("weights", "name", "tensor", "words"),
    [
        (UNET, "conv_in.bias", None, r"UNet2DConditionModel.*missing_keys.*conv_in\.bias"),
        (UNET, "conv_in.scale", torch.zeros(1), r"UNet2DConditionModel.*unexpected_keys.*conv_in\.scale"),
        (ENCODER, "final_layer_norm.scale", torch.zeros(1), "CLIPTextModel.*unexpected_keys.*scale"),
        (UNET, "conv_out.bias", torch.full((4,), torch.nan), "draws something else than numbers"),
    ],
)
def test_a_pipeline_that_does_not_load_whole_or_does_not_draw_is_refused(
    tmp_path: Path, weights: Path, name: str, tensor: torch.Tensor | None, words: str
) -> None:
    source = changed(tmp_path / "source", weights, name, tensor)
    with pytest.raises(ValueError, match=words):
        convert(source, tmp_path / "taken")


def test_the_digits_are_what_draws_by_default() -> None:
    drawing = ("text-to-image", "image-to-image", "inpainting")
    first = {task: next(one.name for one in RECIPES if task in one.tasks) for task in drawing}
    assert dict.fromkeys(drawing, "digits") == first
