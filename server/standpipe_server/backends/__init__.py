"""The only room that knows model libraries: it loads models and runs them.

A backend is chosen from ``BACKENDS`` by name and imported only then, so that one may be absent from an
install. Not aware of gRPC, protobuf, tasks, or queues.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Protocol

from standpipe_server.backends.sources import Source
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import LoadedModel, ModelSpec, Progress
from standpipe_server.programs import Program

# Where it finds this package OpenVINO reports its use, and each export, to its makers, unless it was told not
# to beforehand; without the package it reports nothing. A server talks to its callers.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: it can't be imported

BACKENDS = {
    "openvino": "standpipe_server.backends.openvino.backend:OpenVinoBackend",
    "torch": "standpipe_server.backends.torch.backend:TorchBackend",
}


class Backend(Protocol):
    """Loads models with one library."""

    def load(self, spec: ModelSpec, source: Source, program: Program, progress: Progress) -> LoadedModel:
        """Load a model whose backend, device and dtype are chosen.

        Raises:
            ModelLoadError: It can't be loaded as asked.
        """
        ...


def backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        ModelLoadError: A library that it needs isn't installed.
    """
    module, _, attribute = BACKENDS[name].partition(":")
    try:
        loaded: Backend = getattr(import_module(module), attribute)()
    except ModuleNotFoundError as error:
        raise ModelLoadError(f"the backend {name} {lacking(error)}") from error
    return loaded


def lacking(error: ModuleNotFoundError) -> str:
    """What is to be done about a library that isn't there."""
    drawing = (error.name or "").partition(".")[0] in ("accelerate", "diffusers", "peft")
    extra = "diffusion" if drawing else "openvino"
    return f"needs the package {error.name}: pip install 'standpipe[server,{extra}]'"
