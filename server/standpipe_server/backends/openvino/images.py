"""Models that read images, converted by OpenVINO itself: one forward pass, from pixels to a kind's outputs.

Optimum knows some of these models only; the pass is all that is needed here. Not aware of tasks, nor of where
what is converted is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from PIL import Image

from standpipe_server.backends.images import image_processor
from standpipe_server.kinds import Kind

# Two pictures of unlike shapes: a processor that makes the same of both makes the same of all.
_PICTURES = ((320, 240), (200, 328))
_INPUT = "pixel_values"
# Of numbers around 1, computed in another order.
_TOLERANCE = 1e-3


def convert(model: Any, folder: Path, kind: Kind, target: Path) -> None:
    """Write a model in OpenVINO's format, and see that it computes the same.

    Args:
        model: The model on torch, in float32.
        folder: Of its files.
        kind: Its kind.
        target: The file to write.

    Raises:
        ValueError: It computes something else.
    """
    processor = image_processor(folder)
    pictures = [Image.radial_gradient("L").resize(size).convert("RGB") for size in _PICTURES]
    # A model of videos reads so many frames of one at once.
    frames = getattr(model.config, "num_frames", None)
    read = [
        processor(picture if frames is None else [picture] * frames, return_tensors="pt")
        for picture in pictures
    ]
    if set(read[0]) != {_INPUT}:
        raise ValueError(f"it reads {', '.join(read[0])}, and only {_INPUT} can be converted")
    first, second = (found[_INPUT] for found in read)
    forward = _Forward(_pooled(model.eval()), kind.outputs)
    with torch.inference_mode():
        converted = openvino.convert_model(forward, example_input=first)
    converted.inputs[0].get_tensor().set_names({_INPUT})
    for port, name in zip(converted.outputs, forward.found(first), strict=True):
        port.get_tensor().set_names({name})
    converted.reshape({_INPUT: _shape(first, second)})
    # Several at a time: a trace may have taken one for granted.
    _check(forward, converted, (first, second, torch.cat([first, first.flip(-1)])))
    openvino.save_model(converted, target, compress_to_fp16=False)


class _Forward(torch.nn.Module):
    """The pass of a model, from pixels to those outputs of a kind that it has."""

    def __init__(self, model: Any, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self._model = model
        self._outputs = outputs

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.found(pixel_values).values())

    def found(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        """The outputs by name."""
        # Of a model that reads texts too, the part that reads images.
        compute = getattr(self._model, "get_image_features", self._model)
        result = compute(pixel_values=pixel_values)
        return {name: result[name] for name in self._outputs if result.get(name) is not None}


def _pooled(model: Any) -> Any:
    """EfficientNet pools with a window larger than anything it is put on, which OpenVINO refuses to shift."""
    body = getattr(model, "efficientnet", model)
    if isinstance(getattr(body, "pooler", None), torch.nn.AvgPool2d):
        body.pooler = torch.nn.AdaptiveAvgPool2d(1)
    return model


def _shape(first: torch.Tensor, second: torch.Tensor) -> openvino.PartialShape:
    """A batch of any size, of images whose sides are fixed where the processor fixes them."""
    sides = [
        one if one == other else -1 for one, other in zip(first.shape[1:], second.shape[1:], strict=True)
    ]
    return openvino.PartialShape([-1, *sides])


def _check(forward: _Forward, converted: openvino.Model, examples: Sequence[torch.Tensor]) -> None:
    compiled = openvino.Core().compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for example in examples:
        found = compiled(example.numpy())
        with torch.inference_mode():
            wanted = forward(example)
        for port, theirs in zip(compiled.outputs, wanted, strict=True):
            ours, expected = found[port], theirs.numpy()
            scale = max(1.0, float(np.abs(expected).max()))
            # What isn't a number is near to none.
            if ours.shape != expected.shape or not np.abs(ours - expected).max() <= _TOLERANCE * scale:
                raise ValueError(f"converted, it computes another {port.any_name}")
