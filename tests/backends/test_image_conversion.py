"""Models that read images in OpenVINO's format: the same numbers, by the same names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
import transformers

from media_files import picture
from standpipe_server.backends.images import image_processor
from standpipe_server.backends.openvino import images
from standpipe_server.backends.openvino.images import convert
from standpipe_server.kinds import IMAGE_CLASSIFIER, IMAGE_FEATURES, Kind
from tiny_vision import save_tiny_clip_vision, save_tiny_convnext, save_tiny_vit

# OpenVINO traces models the way that it has.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

LABELS, FEATURES = "AutoModelForImageClassification", "AutoModel"
MODELS: dict[str, tuple[Callable[..., Path], str, Kind, list[str]]] = {
    "vit": (save_tiny_vit, LABELS, IMAGE_CLASSIFIER, ["logits"]),
    "convnext's features": (
        save_tiny_convnext,
        FEATURES,
        IMAGE_FEATURES,
        ["last_hidden_state", "pooler_output"],
    ),
}


def loaded(folder: Path, head: str) -> Any:
    return getattr(transformers, head).from_pretrained(folder, dtype=torch.float32).eval()


def compare(folder: Path, model: Any, target: Path, names: list[str]) -> None:
    """Of three pictures at once, converted and not."""
    read = image_processor(folder)(
        [picture(64, 48)] * 2 + [picture(48, 48, "L").convert("RGB").resize((64, 48))]
    )
    pixels = np.stack(read["pixel_values"])
    compiled = openvino.Core().compile_model(target, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert ["pixel_values"] == [port.any_name for port in compiled.inputs]
    assert names == [port.any_name for port in compiled.outputs]
    found = compiled(pixels)
    with torch.inference_mode():
        wanted = model(pixel_values=torch.from_numpy(pixels))
    for name in names:
        np.testing.assert_allclose(wanted[name].numpy(), found[name], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_a_converted_model_computes_the_same_by_the_same_names(name: str, tmp_path: Path) -> None:
    save, head, kind, outputs = MODELS[name]
    folder, target = save(tmp_path, head), tmp_path / "model.xml"
    model = loaded(folder, head)
    convert(model, folder, kind, target)
    compare(folder, model, target, outputs)
    # What the processor fixes is fixed, but for how many there are.
    shape = openvino.Core().read_model(target).inputs[0].partial_shape
    assert [True, False, False, False] == [side.is_dynamic for side in shape]


def test_eyes_without_a_text_are_converted(tmp_path: Path) -> None:
    folder, target = save_tiny_clip_vision(tmp_path), tmp_path / "model.xml"
    model = transformers.CLIPVisionModel.from_pretrained(folder, dtype=torch.float32).eval()
    convert(model, folder, IMAGE_FEATURES, target)
    compare(folder, model, target, ["last_hidden_state", "pooler_output"])


def test_sides_that_the_processor_leaves_open_stay_open(tmp_path: Path) -> None:
    folder, target = save_tiny_convnext(tmp_path), tmp_path / "model.xml"
    # Its longer side is as the picture's.
    transformers.ViTImageProcessorPil(do_resize=False).save_pretrained(folder)
    model = loaded(folder, LABELS)
    convert(model, folder, IMAGE_CLASSIFIER, target)
    converted = openvino.Core().read_model(target)
    assert [True, False, True, True] == [side.is_dynamic for side in converted.inputs[0].partial_shape]
    compare(folder, model, target, ["logits"])


@pytest.mark.parametrize("wrong", [99.0, float("nan")])
def test_a_model_that_comes_to_something_else_is_refused(
    wrong: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, target = save_tiny_vit(tmp_path), tmp_path / "model.xml"
    model = loaded(folder, LABELS)
    whole = openvino.convert_model

    class Other(torch.nn.Module):
        def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor]:
            return (pixel_values.mean((1, 2, 3))[:, None].repeat(1, 3) * wrong,)

    def other(forward: Any, example_input: torch.Tensor) -> openvino.Model:
        return whole(Other(), example_input=example_input)

    monkeypatch.setattr(openvino, "convert_model", other)
    with pytest.raises(ValueError, match="converted, it computes another logits"):
        convert(model, folder, IMAGE_CLASSIFIER, target)
    assert not target.exists()


def test_a_model_whose_processor_makes_more_than_pixels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_tiny_vit(tmp_path)

    def reads_more(folder: Path) -> Any:
        return lambda images, return_tensors: {"pixel_values": torch.zeros(1), "pixel_mask": torch.zeros(1)}

    monkeypatch.setattr(images, "image_processor", reads_more)
    with pytest.raises(ValueError, match="it reads pixel_values, pixel_mask, and only pixel_values"):
        convert(loaded(folder, LABELS), folder, IMAGE_CLASSIFIER, tmp_path / "model.xml")
