"""Diffusion pipelines: pictures and films out of noise, step by step.

Whoever waits is told of each step, and where nobody does any longer the pipeline ends before its next one.
Not aware of tasks' messages, of files, or of who computes: torch's pipelines and OpenVINO's are called alike.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from standpipe_server.backends.sources import Source
from standpipe_server.backends.steps import Steps, generator
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, LoadedModel, ModelInfo, ModelSpec, Outcome
from standpipe_server.media_programs import Artist, Drawing, DrawingHead, DrawingTask, Drawn, Manner
from standpipe_server.programs import Program

Pipelines = Callable[[DrawingTask], Any]
"""A library's pipeline for a task; raises ModelLoadError where the model has none."""

_SUFFIX = "Scheduler"
# It draws noise by a seed of its own.
_UNSEEDED = {"DPMSolverSDEScheduler"}
# Pixels that are drawn together: more wait for each other, and take memory.
_PIXELS = {"cpu": 4 * 512 * 512, "cuda": 16 * 512 * 512, "mps": 4 * 512 * 512}
_MOST_PICTURES = 16
# Latents of one picture have channels, height and width; what is packed or has frames can't be decoded alone.
_AXES = 4


class DiffusionModel:
    """The weights of a model, and its pipelines; see ``media_programs.DiffusionModel``.

    Args:
        pipelines: For its tasks; they share weights.
        device: That they are on.
        loras: Names of the adapters that the weights hold.
    """

    def __init__(self, pipelines: Pipelines, device: str, loras: Sequence[str] = ()) -> None:
        self.pixels = _PIXELS[device.partition(":")[0]]
        self._pipelines = pipelines
        self._loras = tuple(loras)

    def artist(self, task: DrawingTask) -> Artist:
        return PipelineArtist(self._pipelines(task), self.pixels, self._loras)


class PipelineArtist:
    """One of the library's pipelines; see ``media_programs.Artist``.

    Args:
        pipeline: The library's.
        pixels: That it draws together, at most.
        loras: Names of the adapters that its weights hold.
    """

    def __init__(self, pipeline: Any, pixels: int, loras: Sequence[str]) -> None:
        pipeline.set_progress_bar_config(disable=True)
        # Optimum's pipelines take whatever those take that they stand for.
        called = getattr(pipeline, "auto_model_class", type(pipeline))
        self._pipeline = pipeline
        self._schedulers = _schedulers(pipeline.scheduler)
        # Each batch has a scheduler of its own: they keep what they did.
        self._usual = type(pipeline.scheduler), pipeline.scheduler.config
        self.name: str = called.__name__
        parameters = inspect.signature(called.__call__).parameters
        self.takes = {name: parameter.default for name, parameter in parameters.items()}
        self.needs = _needs(self.takes, self.name)
        self.multiple = _multiple(pipeline)
        self.pixels = pixels
        self.size = _size(pipeline, self.takes)
        self.schedulers = tuple(sorted(self._schedulers))
        self.loras = tuple(loras)
        self.layers = _layers(pipeline)
        # Latents that are packed aren't a picture's.
        plain = hasattr(pipeline, "image_processor") and not hasattr(pipeline, "_unpack_latents")
        decodes = getattr(pipeline, "vae", None) is not None
        self.previews = plain and decodes and "callback_on_step_end" in self.takes

    def tokens(self, prompt: str) -> int:
        tokenizer = getattr(self._pipeline, "tokenizer", None)
        if tokenizer is None or not prompt:
            return 0
        return min(len(tokenizer(prompt)["input_ids"]), int(tokenizer.model_max_length))

    def draw(self, drawings: Sequence[Drawing], manner: Manner) -> Sequence[Drawn]:
        pipeline = self._pipeline
        pipeline.scheduler = self._scheduler(manner.scheduler)
        self._adapt(dict(manner.loras))
        batch = _Batch(pipeline, drawings)
        steps = Steps(batch.gone, batch.told)
        arguments = {**self._inputs(drawings), **dict(manner.arguments), **steps.arguments(self.takes)}
        arguments["generator"] = [generator(drawing.seed) for drawing in drawings]
        try:
            result = pipeline(**arguments, output_type="pil")
        except ValueError as error:
            if steps.begun:
                raise
            # Before the first step the pipelines look at what they were given.
            raise InvalidInputError(f"{self.name} refuses it: {error}") from error
        return _drawn(result, len(drawings))

    def _inputs(self, drawings: Sequence[Drawing]) -> dict[str, Any]:
        """What differs from picture to picture, as far as the pipeline reads it."""
        inputs: dict[str, Any] = {
            "prompt": [drawing.prompt for drawing in drawings],
            "negative_prompt": [drawing.negative_prompt for drawing in drawings],
            "image": [drawing.image for drawing in drawings],
            "mask_image": [drawing.mask for drawing in drawings],
        }
        if len(drawings) == 1:
            # Some pipelines take one picture only, and no list of one.
            inputs |= {"image": drawings[0].image, "mask_image": drawings[0].mask}
        return {name: given for name, given in inputs.items() if name in self.takes and _there(given)}

    def _scheduler(self, name: str) -> Any:
        kind, config = self._usual
        return self._schedulers.get(name, kind).from_config(config)

    def _adapt(self, loras: Mapping[str, float]) -> None:
        """Let the weights have these adapters, and no others."""
        if not self.loras:
            return
        if not loras:
            self._pipeline.disable_lora()
            return
        self._pipeline.enable_lora()
        self._pipeline.set_adapters(list(loras), list(loras.values()))


@dataclass(frozen=True, slots=True)
class _Batch:
    """Drawings of which a pipeline makes one step after the other.

    Attributes:
        pipeline: At work.
        drawings: Of this batch.
    """

    pipeline: Any
    drawings: Sequence[Drawing]

    def gone(self) -> bool:
        """Nobody waits any longer for any of them."""
        return all(drawing.gone() for drawing in self.drawings)

    def told(self, number: int, latents: Any) -> None:
        """Tell each caller of a step."""
        count = getattr(self.pipeline, "num_timesteps", None) or len(self.pipeline.scheduler.timesteps)
        for row, drawing in enumerate(self.drawings):
            wanted = drawing.preview_steps and number % drawing.preview_steps == 0 and number < count
            preview = self._preview(latents, row) if wanted and not drawing.gone() else None
            drawing.tell(number, count, preview)

    def _preview(self, latents: Any, row: int) -> Any:
        """What a picture looks like by now; None where its latents aren't a picture's."""
        if latents is None or latents.ndim != _AXES or len(latents) != len(self.drawings):
            return None
        vae = self.pipeline.vae
        scaled = latents[row : row + 1] / vae.config.scaling_factor
        scaled += getattr(vae.config, "shift_factor", None) or 0
        with torch.no_grad(), _full(vae):
            decoded = vae.decode(scaled.to(vae.dtype), return_dict=False)[0]
        return self.pipeline.image_processor.postprocess(decoded, output_type="pil")[0]


def drawing(spec: ModelSpec, source: Source, program: Program, model: DiffusionModel) -> LoadedModel:
    """A diffusion model that is ready to serve; its pipelines belong to one worker."""
    heads = {kind: head(model) for kind, head in program.heads.items()}
    pixels = max(head.pixels or model.pixels for head in heads.values())
    together = max(1, min(_MOST_PICTURES, model.pixels // pixels))
    return LoadedModel(
        ModelInfo.of(spec, source.revision, 0), [DiffusionRunner(heads)], together, max_items=together
    )


class DiffusionRunner:
    """Answers the calls of one model's tasks, on one thread, which owns the pipelines.

    Args:
        heads: By the class of a call's parameters.
    """

    def __init__(self, heads: Mapping[type, DrawingHead]) -> None:
        self._heads = heads

    def run(self, calls: Sequence[Call], *, alone: bool) -> Sequence[Outcome]:
        return self._heads[type(calls[0].parameters)].answers(calls)


@contextmanager
def _full(vae: Any) -> Iterator[None]:
    """In full precision where its numbers are too large for half; so do the pipelines at the end."""
    overflows = vae.dtype == torch.float16 and vae.config.get("force_upcast")
    if not overflows:
        yield
        return
    vae.to(torch.float32)
    try:
        yield
    finally:
        vae.to(torch.float16)


def reads_more(pipeline: Any) -> bool:
    """Whether its denoiser reads a picture, or a mask, beside the noise, and so can do nothing without."""
    denoiser, vae = getattr(pipeline, "unet", None), getattr(pipeline, "vae", None)
    if denoiser is None or vae is None:
        return False
    return bool(denoiser.config.in_channels != vae.config.latent_channels)


def _there(given: Any) -> bool:
    """Whether something is given, for all drawings or for each."""
    return (given[0] if isinstance(given, list) else given) is not None


def _schedulers(scheduler: Any) -> dict[str, Any]:
    """The classes that can take a scheduler's place, by name, and by name without its last word."""
    from diffusers.utils import DummyObject

    there = [kind for kind in scheduler.compatibles if not isinstance(kind, DummyObject)]
    named = {kind.__name__: kind for kind in (type(scheduler), *there) if kind.__name__ not in _UNSEEDED}
    return named | {name.removesuffix(_SUFFIX): kind for name, kind in named.items()}


def _needs(takes: Mapping[str, Any], name: str) -> frozenset[str]:
    """What a pipeline can't do without."""
    needs = {one for one, usual in takes.items() if usual is inspect.Parameter.empty}
    # Those that begin with a picture have a default for it, and fail with that.
    return frozenset(needs | ({"image"} if "ImageToVideo" in name else set()))


def _config(part: Any) -> Mapping[str, Any]:
    """What a part of a pipeline says of itself; the libraries write that in two ways."""
    config = getattr(part, "config", {})
    return config if isinstance(config, Mapping) else config.to_dict()


def _layers(pipeline: Any) -> int:
    """How many layers of a pipeline's text encoder may be left out."""
    encoder = getattr(pipeline, "text_encoder", None)
    # OpenVINO's give what layers say only where the model's own pipeline needs it.
    if not getattr(encoder, "hidden_states_output_names", True):
        return 0
    layers: int = _config(encoder).get("num_hidden_layers", 0)
    # Pipelines with two leave the last one out anyway.
    return max(0, layers - 1) if getattr(pipeline, "text_encoder_2", None) is not None else layers


def _multiple(pipeline: Any) -> int:
    """What both sides must be multiples of."""
    processor = getattr(pipeline, "image_processor", None) or getattr(pipeline, "video_processor", None)
    plain: Any = getattr(pipeline, "vae_scale_factor", getattr(pipeline, "vae_scale_factor_spatial", 8))
    factor: int = _config(processor).get("vae_scale_factor", plain)
    # Those that draw patches want whole ones; some processors know that, others don't.
    return factor * _patch(getattr(pipeline, "transformer", None)) if factor == plain else factor


def _patch(transformer: Any) -> int:
    """Latents that a transformer reads as one, along a side."""
    patch = _config(transformer).get("patch_size") or 1
    return patch if isinstance(patch, int) else int(patch[-1])


def _size(pipeline: Any, takes: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height that a pipeline draws by itself."""
    own = takes.get("width"), takes.get("height")
    if isinstance(own[0], int) and isinstance(own[1], int):
        return own[0], own[1]
    denoiser = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    side = _config(denoiser).get("sample_size") or getattr(pipeline, "default_sample_size", None)
    if side is None:
        return None
    height, width = (side, side) if isinstance(side, int) else side
    factor = getattr(pipeline, "vae_scale_factor", 8)
    return width * factor, height * factor


def _drawn(result: Any, count: int) -> list[Drawn]:
    harmful = getattr(result, "nsfw_content_detected", None) or [False] * count
    if hasattr(result, "frames"):
        return [Drawn(tuple(frames)) for frames in result.frames]
    return [Drawn((image,), bool(flag)) for image, flag in zip(result.images, harmful, strict=True)]
