"""Which backend, device and dtype a model gets: the first in ``PREFERENCE`` that the machine can honour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import BackendName, DtypeName, ModelSpec


class Facts(Protocol):
    """What a choice depends on; ``Machine`` finds it out."""

    @property
    def cores(self) -> int: ...
    @property
    def no_cuda(self) -> str: ...
    @property
    def cuda_bf16(self) -> bool: ...
    @property
    def no_mps(self) -> str: ...
    @property
    def no_openvino(self) -> str: ...
    @property
    def openvino_bf16(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Option:
    """A way to run a model.

    Attributes:
        kind: Kind of device: ``cpu``, ``cuda``, ``mps``.
        merit: Why it stands where it stands.
        obstacle: Why this machine can't; empty where it can.
    """

    backend: BackendName
    kind: str
    dtype: DtypeName
    merit: str
    obstacle: Callable[[Facts], str]

    def __str__(self) -> str:
        return f"{self.backend} {self.dtype} on {self.kind}"


def _cuda(facts: Facts) -> str:
    return facts.no_cuda


def _cuda_bf16(facts: Facts) -> str:
    return facts.no_cuda or ("" if facts.cuda_bf16 else "the CUDA device doesn't compute in bf16")


def _mps(facts: Facts) -> str:
    return facts.no_mps


def _openvino(facts: Facts) -> str:
    return facts.no_openvino


def _openvino_bf16(facts: Facts) -> str:
    return facts.no_openvino or ("" if facts.openvino_bf16 else "the processor doesn't compute in bf16")


def _always(_: Facts) -> str:
    return ""


PREFERENCE = (
    Option("torch", "cuda", "bf16", "a GPU that computes in bf16", _cuda_bf16),
    Option("torch", "cuda", "fp16", "a GPU, in half precision", _cuda),
    Option("torch", "cuda", "fp32", "a GPU, in full precision", _cuda),
    Option("torch", "mps", "fp32", "Apple's GPU, in full precision", _mps),
    Option("torch", "mps", "fp16", "Apple's GPU, in half precision", _mps),
    Option("torch", "mps", "bf16", "Apple's GPU, in bf16", _mps),
    Option("openvino", "cpu", "bf16", "a processor that computes in bf16", _openvino_bf16),
    Option("openvino", "cpu", "fp32", "the faster library on a processor", _openvino),
    Option("torch", "cpu", "fp32", "works on every processor", _always),
    Option("torch", "cpu", "bf16", "half the memory on a processor", _always),
    Option("torch", "cpu", "fp16", "half the memory on a processor", _always),
)


def choose(spec: ModelSpec, facts: Facts, no_export: str = "") -> tuple[ModelSpec, str]:
    """Settle what a spec leaves to the server.

    Args:
        spec: What was asked for.
        facts: What the machine can do.
        no_export: Why the model has no form for OpenVINO; empty where it has, as far as is known.

    Returns:
        The spec with backend, device and dtype chosen, and why so.

    Raises:
        ModelLoadError: An explicit choice can't be honoured; the message says why.
    """
    kind = spec.device.partition(":")[0]
    asked = {"backend": spec.backend, "kind": kind, "dtype": spec.dtype}
    explicit = {name: value for name, value in asked.items() if value != "auto"}
    fitting = [
        option
        for option in PREFERENCE
        if all(getattr(option, name) == value for name, value in explicit.items())
    ]
    wanted = " ".join(value for value in (spec.backend, spec.dtype, spec.device) if value != "auto")
    if not fitting:
        raise ModelLoadError(
            f"model {spec.name!r}: there is no {wanted}; there are: {', '.join(map(str, PREFERENCE))}"
        )
    passed: dict[str, str] = {}
    for option in fitting:
        obstacle = option.obstacle(facts) or (no_export if option.backend == "openvino" else "")
        if not obstacle:
            device = spec.device if spec.device != "auto" else option.kind
            chosen = replace(spec, backend=option.backend, device=device, dtype=option.dtype)
            return chosen, _reason(option, wanted, passed)
        passed.setdefault(obstacle, str(option))
    raise ModelLoadError(f"model {spec.name!r}: {wanted} can't be honoured: {'; '.join(passed)}")


def _reason(option: Option, wanted: str, passed: dict[str, str]) -> str:
    asked = f"asked for {wanted}; " if wanted else ""
    because = f" ({'; '.join(passed)})" if passed else ""
    return f"{asked}{option.merit}{because}"
