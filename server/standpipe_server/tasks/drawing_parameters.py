"""How a diffusion model draws: from the contract's message to what calls of a batch have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from standpipe.v1 import image_generation_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.tasks.base import InputLimits, as_sent, check_text, optional

_FIELDS = frozenset(image_generation_pb2.DiffusionParameters.DESCRIPTOR.fields_by_name)
# Numbers that are passed on under their own names, and what they may be.
_RANGES: dict[str, tuple[float, float]] = {
    "guidance_scale": (0.0, 100.0),
    "guidance_rescale": (0.0, 1.0),
    "eta": (0.0, 1.0),
    "clip_skip": (1, 32),
}
_WEIGHTS = (-4.0, 4.0)
MOST_BYTES = 16_384
"""Of a prompt: models read some hundred tokens, and tokenizing all of a long text can't be stopped."""


@dataclass(frozen=True, slots=True)
class DrawingParameters:
    """What calls must have in common to be drawn together.

    Attributes:
        arguments: Of the pipeline's call, by name.
        scheduler: Name of its class; empty for the model's own.
        loras: Names of adapters, and how much of each.
        width: In pixels; None for the model's own, or the picture's.
        height: Likewise.
        negative: Calls say what isn't wanted: with nothing said some pipelines do something else.
        max_pixels: That may be drawn.
        brief: Only to see whether the model draws at all: arguments are for pipelines that take them.
    """

    arguments: tuple[tuple[str, Any], ...] = ()
    scheduler: str = ""
    loras: tuple[tuple[str, float], ...] = ()
    width: int | None = None
    height: int | None = None
    negative: bool = False
    max_pixels: int = 4 << 20
    brief: bool = False


P = TypeVar("P", bound=DrawingParameters)
BRIEF: dict[str, Any] = {
    "arguments": (("num_inference_steps", 2), ("strength", 1.0)),
    "width": 64,
    "height": 64,
    "brief": True,
}
"""For a fresh model: little work for any."""


def parameters_of(request: Any, kind: type[P], limits: InputLimits, **more: Any) -> P:
    """What calls of a request have in common.

    Args:
        request: With ``parameters``, and maybe ``strength``.
        kind: Of the task, by which a model with several knows it.
        limits: What one call may hold.
        more: Further arguments of the pipeline.

    Raises:
        InvalidInputError: A value is none that there is, naming the field.
    """
    message = request.parameters
    check_prompt(message.negative_prompt, "parameters.negative_prompt", limits)
    arguments = dict(_numbers(message, limits)) | dict(_strength(request)) | more
    width, height = _side(message, "width"), _side(message, "height")
    if width and height:
        check_limit(width * height, "parameters.width", "max_drawn_pixels", limits.max_drawn_pixels, "pixels")
    return kind(
        arguments=tuple(arguments.items()),
        scheduler=message.scheduler,
        loras=_loras(message.loras),
        width=width,
        height=height,
        negative=message.HasField("negative_prompt"),
        max_pixels=limits.max_drawn_pixels,
    )


def argument_field(name: str) -> str:
    """Where requests have an argument of a pipeline."""
    return f"parameters.{name}" if name in _FIELDS else name


def in_range(value: float, low: float, high: float, field: str) -> None:
    """Refuse a number that isn't from one to another.

    Raises:
        InvalidInputError: It isn't.
    """
    if not low <= value <= high:
        raise InvalidInputError(f"{value:g} isn't from {low:g} to {high:g}", field)


def check_prompt(prompt: str, field: str, limits: InputLimits) -> None:
    """Refuse one that is too long.

    Raises:
        LimitExceededError: It is.
    """
    check_text(prompt, field, limits)
    check_limit(len(prompt.encode()), field, "prompt_bytes", MOST_BYTES, "bytes of a prompt")


def _numbers(message: Any, limits: InputLimits) -> Iterator[tuple[str, Any]]:
    steps = optional(message, "num_inference_steps", None)
    if steps is not None:
        field = "parameters.num_inference_steps"
        if not steps:
            raise InvalidInputError("0 steps: send at least 1, or leave it out", field)
        check_limit(steps, field, "max_steps", limits.max_steps, "steps")
        yield "num_inference_steps", steps
    for name, (low, high) in _RANGES.items():
        if message.HasField(name):
            given = getattr(message, name)
            value = given if isinstance(given, int) else as_sent(given)
            in_range(value, low, high, f"parameters.{name}")
            yield name, value


def _strength(request: Any) -> Iterator[tuple[str, float]]:
    if "strength" not in request.DESCRIPTOR.fields_by_name or not request.HasField("strength"):
        return
    strength = as_sent(request.strength)
    if not 0 < strength <= 1:
        raise InvalidInputError(f"{strength:g} isn't above 0 and up to 1", "strength")
    yield "strength", strength


def _side(message: Any, name: str) -> int | None:
    side: int | None = optional(message, name, None)
    if side == 0:
        raise InvalidInputError(f"{name} is 0: send at least 1, or leave it out", f"parameters.{name}")
    return side


def _loras(loras: Any) -> tuple[tuple[str, float], ...]:
    found: dict[str, float] = {}
    for place, lora in enumerate(loras):
        if lora.name in found:
            raise InvalidInputError(f"{lora.name!r} is there twice", f"parameters.loras[{place}].name")
        weight = as_sent(optional(lora, "weight", 1.0))
        in_range(weight, *_WEIGHTS, f"parameters.loras[{place}].weight")
        found[lora.name] = weight
    return tuple(found.items())
