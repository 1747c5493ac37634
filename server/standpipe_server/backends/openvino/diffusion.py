"""Pipelines of diffusers on OpenVINO: one set of compiled models, and a pipeline round it for each task.

Optimum's pipelines are the library's own with compiled models in them: they take and give what those do.
Not aware of what is drawn, nor of how models come into OpenVINO's format.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from optimum import intel

from standpipe_server.backends.diffusion import reads_more
from standpipe_server.errors import ModelLoadError
from standpipe_server.media_programs import DrawingTask

# Those that find a pipeline's sister; there is none for films, whose pipelines have one task each.
_SISTERS: Mapping[DrawingTask, str] = {
    "text-to-image": "OVPipelineForText2Image",
    "image-to-image": "OVPipelineForImage2Image",
    "inpainting": "OVPipelineForInpainting",
}
# What isn't compiled, and would be read from the files again. The scheduler is: it keeps what it did.
_READERS = ("tokenizer", "tokenizer_2", "tokenizer_3", "feature_extractor", "image_encoder", "safety_checker")


def pipelines(folder: Path, options: Mapping[str, Any]) -> Callable[[DrawingTask], Any]:
    """What gives the pipeline for a task; all share one set of compiled models, and so belong to one thread.

    Args:
        folder: Of the exported model.
        options: OpenVINO's, for all that is compiled.

    Returns:
        It raises ModelLoadError where the model isn't there for a task.
    """
    # One picture's steps come one after the other: what runs side by side is within a step.
    settings = {**options, "NUM_STREAMS": "1"}
    loaded = _load(intel.OVDiffusionPipeline, folder, settings)
    return partial(_pipeline_for, loaded, folder, settings)


def _pipeline_for(loaded: Any, folder: Path, settings: Mapping[str, Any], task: DrawingTask) -> Any:
    refusal = ModelLoadError(f"a {loaded.auto_model_class.__name__} isn't there for the task {task}")
    if task not in _SISTERS:
        if "num_frames" not in inspect.signature(loaded.auto_model_class.__call__).parameters:
            raise refusal
        return loaded
    if task != "inpainting" and reads_more(loaded):
        raise refusal
    shared = {name: part.model for name, part in loaded.components.items()}
    shared |= {name: getattr(loaded, name) for name in _READERS}
    try:
        return _load(getattr(intel, _SISTERS[task]), folder, settings, shared)
    # Optimum knows no such pipeline.
    except ValueError as error:
        raise refusal from error


def _load(
    kind: Any, folder: Path, settings: Mapping[str, Any], shared: Mapping[str, Any] | None = None
) -> Any:
    """A pipeline that compiles what isn't shared with it."""
    return kind.from_pretrained(
        folder, export=False, compile_only=True, device="CPU", ov_config=dict(settings), **(shared or {})
    )
