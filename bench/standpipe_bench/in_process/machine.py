"""What this machine can't do, in a few words: why a cell of a matrix is empty."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from standpipe_server.backends.choice import PREFERENCE, choose
from standpipe_server.backends.machine import Machine
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import ModelSpec
from standpipe_server.tasks import MODEL_TASKS

_HERE = Machine()


@dataclass(frozen=True, slots=True)
class Setup:
    """A way to run a model.

    Attributes:
        device: "cpu", "cuda" or "mps".
        backend: "torch" or "openvino".
        dtype: "fp32", "fp16" or "bf16".
    """

    device: str
    backend: str
    dtype: str

    def of(self, spec: ModelSpec) -> ModelSpec:
        """A model to be run so."""
        fields: dict[str, Any] = {"device": self.device, "backend": self.backend, "dtype": self.dtype}
        return replace(spec, **fields)


def obstacle(setup: Setup, machine: Machine = _HERE) -> str:
    """Why a model can't be run so here; empty where it can, as far as is known before it is loaded."""
    kind = setup.device.partition(":")[0]
    if kind == "cuda" and machine.no_cuda:
        return f"no CUDA device: {machine.no_cuda}"
    if kind == "mps" and sys.platform != "darwin":
        return "not macOS"
    try:
        choose(setup.of(ModelSpec("model", "", ())), machine)
    except ModelLoadError as error:
        return str(error).removeprefix("model 'model': ")
    return ""


def setups(devices: Sequence[str], backends: Sequence[str], dtypes: Sequence[str]) -> list[Setup]:
    """All combinations that any machine could have, in their order.

    Raises:
        ValueError: There are none; the message says what there is.
    """
    known = {(option.kind, option.backend, option.dtype) for option in PREFERENCE}
    found = [
        Setup(device, backend, dtype)
        for device, backend, dtype in product(devices, backends, dtypes)
        if (device.partition(":")[0], backend, dtype) in known
    ]
    if not found:
        raise ValueError(f"no such way to run a model; there are: {', '.join(map(str, PREFERENCE))}")
    return found


def rpc_for(task: str) -> str:
    """Full name of the RPC that a task's models serve.

    Raises:
        LookupError: No such task has models; the message names those that have.
    """
    if task not in MODEL_TASKS:
        raise LookupError(f"no model serves a task {task!r}; there are {', '.join(sorted(MODEL_TASKS))}")
    return MODEL_TASKS[task].rpc
