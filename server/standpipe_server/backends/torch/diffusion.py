"""Pipelines of diffusers on torch: one set of weights, and a pipeline round it for each task.

Not aware of what is drawn, nor of what tasks ask for.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch

from standpipe_server.backends.diffusion import reads_more
from standpipe_server.backends.parts import load_parts
from standpipe_server.backends.sources import Source
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import ModelSpec
from standpipe_server.media_programs import DrawingTask


@dataclass(frozen=True, slots=True)
class _Way:
    """How a pipeline for a task is known.

    Attributes:
        auto: The class that finds a pipeline's sister for the task; empty where there is none.
        takes: What the call of a pipeline takes that is there for nothing else.
        lacks: What it doesn't.
    """

    auto: str
    takes: frozenset[str]
    lacks: frozenset[str] = frozenset()


_LORA_FILE = "pytorch_lora_weights.safetensors"
_FRAMES = frozenset({"num_frames"})
_OTHERS = _FRAMES | {"mask_image"}
WAYS: Mapping[DrawingTask, _Way] = {
    "text-to-image": _Way("AutoPipelineForText2Image", frozenset({"prompt"}), _OTHERS),
    "image-to-image": _Way("AutoPipelineForImage2Image", frozenset({"prompt", "image"}), _OTHERS),
    "inpainting": _Way("AutoPipelineForInpainting", frozenset({"prompt", "image", "mask_image"})),
    "text-to-video": _Way("", _FRAMES),
}


def load_pipeline(source: Source, spec: ModelSpec, dtype: torch.dtype) -> Any:
    """The pipeline that a folder's files name, on its device, with its adapters.

    Raises:
        ModelLoadError: Weights are missing, or an adapter can't be read.
    """
    parts = dict(load_parts(source.folder, dtype))
    pipeline = diffusers.DiffusionPipeline.from_pretrained(
        source.folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True, **parts
    )
    for name, adapter in spec.lora:
        _add(pipeline, name, adapter)
    pipeline.to(spec.device)
    if spec.compile:
        _compile(pipeline)
    return pipeline


def pipeline_for(loaded: Any, task: DrawingTask) -> Any:
    """A pipeline for a task round the weights of another.

    Raises:
        ModelLoadError: The model isn't there for it.
    """
    way = WAYS[task]
    # The library would let those try that can't.
    if way.auto and not (reads_more(loaded) and task != "inpainting"):
        try:
            return getattr(diffusers, way.auto).from_pipe(loaded)
        # Many pipelines aren't in its lists, or not all of the weights are there.
        except ValueError:
            pass
    takes = call_of(loaded)
    if way.takes <= takes and not way.lacks & takes:
        return loaded
    raise ModelLoadError(f"a {type(loaded).__name__} isn't there for the task {task}")


def call_of(pipeline: Any) -> frozenset[str]:
    """Names of what a pipeline's call takes."""
    return frozenset(inspect.signature(type(pipeline).__call__).parameters)


def _add(pipeline: Any, name: str, adapter: str) -> None:
    if not hasattr(pipeline, "load_lora_weights"):
        raise ModelLoadError(f"a {type(pipeline).__name__} takes no adapters, such as {name!r}")
    source, options = _file_of(name, adapter)
    try:
        pipeline.load_lora_weights(source, adapter_name=name, **options)
    # The library refuses files in whatever way it likes.
    except Exception as error:
        raise ModelLoadError(f"the adapter {name!r} can't be loaded from {adapter}: {error}") from error


def _file_of(name: str, adapter: str) -> tuple[str, dict[str, str]]:
    """Where an adapter lies, and in which file: the library asks the Hub where it isn't told.

    Raises:
        ModelLoadError: There are several.
    """
    path = Path(adapter).expanduser()
    if path.is_file():
        return str(path.parent), {"weight_name": path.name}
    if not path.is_dir():
        return adapter, {}
    files = sorted(file.name for file in path.glob("*.safetensors"))
    chosen = [_LORA_FILE] if _LORA_FILE in files else files
    if len(chosen) > 1:
        raise ModelLoadError(f"the adapter {name!r}: {adapter} holds {', '.join(files)}: name one of them")
    return str(path), {"weight_name": chosen[0]} if chosen else {}


def _compile(pipeline: Any) -> None:
    """Compile the part that each step runs."""
    for part in ("unet", "transformer"):
        if getattr(pipeline, part, None) is not None:
            setattr(pipeline, part, torch.compile(getattr(pipeline, part), dynamic=True))
