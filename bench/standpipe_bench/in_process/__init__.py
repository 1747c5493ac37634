"""Models without a server: what a served call is held against, and what a matrix measures beside it.

The one room of the bench that imports anything of the server: its backends, its tasks, and where its demo
models lie.
"""

from __future__ import annotations

from pathlib import Path

from standpipe.v1 import models_pb2
from standpipe_server import demo_models
from standpipe_server.backends.load import load
from standpipe_server.interfaces import LoadedModel, ModelSpec
from standpipe_server.tasks import program_for


def demo_folder(task: str) -> Path:
    """Folder of the demo model that serves a task by default, fetched where it isn't there yet.

    Raises:
        LookupError: None serves it.
    """
    for recipe in demo_models.RECIPES:
        if task in recipe.tasks:
            return demo_models.fetch(recipe, lambda done, total: None)
    raise LookupError(f"no demo model serves {task}")


def spec_of(served: models_pb2.Model) -> ModelSpec:
    """What a server says it serves, to be loaded the same way.

    Args:
        served: As GetModel describes it.
    """
    fields = ("name", "source", "backend", "device", "dtype")
    return ModelSpec(tasks=tuple(served.tasks), **{name: getattr(served, name) for name in fields})


def load_model(spec: ModelSpec) -> LoadedModel:
    """As the server would.

    Raises:
        ModelLoadError: It can't be loaded as asked.
    """
    return load(spec, program_for(spec.tasks), lambda _: None)
