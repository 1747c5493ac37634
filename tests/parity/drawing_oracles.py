"""What diffusers itself draws for each RPC that draws; see ``oracles``.

Pictures stand in answers as ``comparing.legible`` shows them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image, ImageOps

from parity.comparing import levels, shots
from parity.library import Answer, enum_word
from parity.library import given as given_exactly
from parity.vision_oracles import on_one_thread
from standpipe_server.media.films import film

_OPTIONS = (
    "num_inference_steps",
    "guidance_scale",
    "guidance_rescale",
    "eta",
    "clip_skip",
    "negative_prompt",
)
_SAVED: dict[str, dict[str, Any]] = {
    "png": {},
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"lossless": True},
}


def given(request: Any, *names: str) -> dict[str, Any]:
    """The optional fields that a request sets, its numbers as they were written: seven tenths is 0.7."""
    found = given_exactly(request, *names)
    return {name: float(f"{one:.6g}") if isinstance(one, float) else one for name, one in found.items()}


@cache
def drawer(folder: Path, kind: str) -> Any:
    """A pipeline for one kind of request, of the files' own class where there is but that."""
    auto = getattr(diffusers, kind, diffusers.DiffusionPipeline)
    try:
        pipeline = auto.from_pretrained(folder)
    except ValueError:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate_image(folder: Path, request: Any) -> Answer:
    sizes = given(request.parameters, "width", "height")
    return _pictures(drawer(folder, "AutoPipelineForText2Image"), folder, request, **sizes)


def transform_image(folder: Path, request: Any) -> Answer:
    image = _sized(_opened(request.image), request)
    pipeline = drawer(folder, "AutoPipelineForImage2Image")
    # Some draw the picture's size by themselves, and others, unless they are told, their own.
    takes = inspect.signature(pipeline.__call__).parameters
    sizes = {name: side for name, side in zip(("width", "height"), image.size, strict=True) if name in takes}
    return _pictures(pipeline, folder, request, image=image, **sizes, **given(request, "strength"))


def inpaint_image(folder: Path, request: Any) -> Answer:
    image = _sized(_opened(request.image), request)
    mask = _opened(request.mask_image).convert("L").resize(image.size, Image.Resampling.LANCZOS)
    sizes = {"width": image.width, "height": image.height}
    pipeline = drawer(folder, "AutoPipelineForInpainting")
    strength = given(request, "strength")
    return _pictures(pipeline, folder, request, image=image, mask_image=mask, **strength, **sizes)


def generate_video(folder: Path, request: Any) -> Answer:
    pipeline = drawer(folder, "DiffusionPipeline")
    sizes = given(request.parameters, "width", "height") | given(request, "num_frames")
    if request.HasField("image"):
        sizes["image"] = _sized(_opened(request.image), request)
    seed = request.parameters.seed
    drawn = _draw(pipeline, folder, request, seed, **sizes).frames[0]
    fps = request.fps if request.HasField("fps") else 8.0
    content = film(drawn, fps, enum_word(request, "format") or "mp4")  # type: ignore[arg-type] # a form's name
    width, height = drawn[0].size
    told = {"width": width, "height": height, "num_frames": len(drawn), "fps": fps, "seed": str(seed)}
    return {"result": told | {"content": shots(content)}}


def _pictures(pipeline: Any, folder: Path, request: Any, **arguments: Any) -> Answer:
    count = request.num_images_per_prompt or 1
    seeds = [request.parameters.seed + place for place in range(count)]
    return {"result": {"images": [_picture(pipeline, folder, request, seed, arguments) for seed in seeds]}}


def _picture(pipeline: Any, folder: Path, request: Any, seed: int, arguments: dict[str, Any]) -> Answer:
    result = _draw(pipeline, folder, request, seed, **arguments)
    (image,) = result.images
    file, form = BytesIO(), enum_word(request, "format") or "png"
    image.save(file, form, **_SAVED[form])
    told = {"width": image.width, "height": image.height, "seed": str(seed)}
    harmful = getattr(result, "nsfw_content_detected", None) or [False]
    return told | {"nsfw_content_detected": bool(harmful[0]), "content": levels(file.getvalue())}


def _draw(pipeline: Any, folder: Path, request: Any, seed: int, **arguments: Any) -> Any:
    asked = request.parameters
    usual = pipeline.scheduler
    if asked.scheduler:
        name = asked.scheduler.removesuffix("Scheduler")
        pipeline.scheduler = getattr(diffusers, f"{name}Scheduler").from_config(usual.config)
    try:
        return _adapted(pipeline, folder, asked)(
            prompt=request.prompt,
            generator=torch.Generator("cpu").manual_seed(seed),
            output_type="pil",
            **given(asked, *_OPTIONS),
            **arguments,
        )
    finally:
        pipeline.scheduler = usual


def _adapted(pipeline: Any, folder: Path, asked: Any) -> Any:
    """The pipeline with the adapters that are asked for, read anew."""
    if not asked.loras:
        return pipeline
    drawing = type(pipeline).from_pretrained(folder)
    drawing.set_progress_bar_config(disable=True)
    for lora in asked.loras:
        source = folder.parent / lora.name
        (file,) = source.glob("*.safetensors")
        drawing.load_lora_weights(source, weight_name=file.name, adapter_name=lora.name)
    weights = [lora.weight if lora.HasField("weight") else 1.0 for lora in asked.loras]
    drawing.set_adapters([lora.name for lora in asked.loras], weights)
    drawing.scheduler = pipeline.scheduler
    return drawing


def _opened(image: Any) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(BytesIO(image.content))).convert("RGB")


def _sized(image: Image.Image, request: Any) -> Image.Image:
    """A picture in the size that is asked for."""
    asked = given(request.parameters, "width", "height")
    size = asked.get("width", image.width), asked.get("height", image.height)
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


_ORACLES: dict[str, Callable[[Path, Any], Answer]] = {
    "GenerateImage": generate_image,
    "TransformImage": transform_image,
    "InpaintImage": inpaint_image,
    "GenerateVideo": generate_video,
}
DRAWING_ORACLES = {rpc: on_one_thread(oracle) for rpc, oracle in _ORACLES.items()}
