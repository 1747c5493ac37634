"""What the tasks share whose models write: generation parameters, checked, and the texts that come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call
from standpipe_server.programs import Generation, Prompt
from standpipe_server.tasks.base import InputLimits, optional

_MANY = 1 << 31


@dataclass(frozen=True, slots=True)
class _Range:
    """Values that ``generate`` takes: from ``low`` (exclusive where so) to ``high``."""

    low: float
    high: float
    exclusive: bool = False

    def holds(self, value: float) -> bool:
        # As it was meant: 0.01 travels as 0.0099999998.
        value = float(f"{value:.6g}")
        return (value > self.low if self.exclusive else value >= self.low) and value <= self.high

    def __str__(self) -> str:
        least = f"above {self.low:g}" if self.exclusive else f"at least {self.low:g}"
        return least if self.high >= _MANY else f"{least} and at most {self.high:g}"


_RANGES = {
    "max_new_tokens": _Range(1, _MANY),
    "min_new_tokens": _Range(0, _MANY),
    "do_sample": _Range(0, 1),
    # Nearer to nothing, or to everything, the arithmetic of the model's numeric type overflows.
    "temperature": _Range(0.01, 100),
    "top_k": _Range(0, _MANY),
    "top_p": _Range(0, 1, exclusive=True),
    "typical_p": _Range(0, 1, exclusive=True),
    "min_p": _Range(0, 1),
    "num_beams": _Range(1, 16),
    "early_stopping": _Range(0, 1),
    "length_penalty": _Range(-10, 10),
    "repetition_penalty": _Range(0.01, 100),
    "no_repeat_ngram_size": _Range(0, _MANY),
}
_LIMITED = ("max_new_tokens", "min_new_tokens")


@dataclass(frozen=True, slots=True)
class WriteParameters:
    """How to write; each task has a class of its own, by which a model knows it."""

    generation: Generation = Generation()


class PlainHead:
    """A model reads the text as it is."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def prompt(self, call: Call) -> Prompt:
        return Prompt(call.input)

    def generation(self, call: Call) -> Generation:
        generation: Generation = call.parameters.generation
        return generation


def generation(request: Any, limits: InputLimits) -> Generation:
    """The generation parameters of a request that has ``parameters`` and ``truncate``.

    Raises:
        InvalidInputError: A value is out of its range; the message says which that is.
    """
    return Generation(
        options=options(request.parameters, limits),
        max_new_tokens=limits.max_new_tokens,
        seed=optional(request.parameters, "seed", None),
        truncate=optional(request, "truncate", True),
        clean_up=optional(request, "clean_up_tokenization_spaces", None),
    )


def options(parameters: Any, limits: InputLimits) -> tuple[tuple[str, Any], ...]:
    """The keyword arguments of ``generate`` that a request gives, but the seed.

    Raises:
        InvalidInputError: A value is out of its range; the message says which that is.
    """
    given: dict[str, Any] = {name: getattr(parameters, name) for name in _RANGES if parameters.HasField(name)}
    for name, value in given.items():
        if not _RANGES[name].holds(value):
            raise InvalidInputError(f"{value:g} isn't {_RANGES[name]}", f"parameters.{name}")
    for name in _LIMITED:
        check_limit(
            given.get(name, 0), f"parameters.{name}", "max_new_tokens", limits.max_new_tokens, "tokens"
        )
    if given.get("min_new_tokens", 0) > given.get("max_new_tokens", _MANY):
        raise InvalidInputError("min_new_tokens is more than max_new_tokens", "parameters.min_new_tokens")
    return tuple(given.items())


def warm_up(parameters: WriteParameters) -> Sequence[Sequence[Call]]:
    """Batches for a fresh model, which write little."""
    calls = [Call(f"{'a fixed pipe ' * n} that stands ready", parameters) for n in range(4)]
    return [calls[:1], calls]


BRIEF = Generation(options=(("max_new_tokens", 4),))
"""For warming up."""
