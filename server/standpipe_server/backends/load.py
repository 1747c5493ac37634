"""From a spec to a model that is ready to answer."""

from __future__ import annotations

from dataclasses import replace

from standpipe_server.backends import backend
from standpipe_server.backends.choice import Facts, choose
from standpipe_server.backends.machine import Machine
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import LoadedModel, ModelSpec, Progress


def load(spec: ModelSpec, progress: Progress, facts: Facts | None = None) -> LoadedModel:
    """Choose backend, device and dtype, and load; blocks for seconds.

    Raises:
        ModelLoadError: It can't be loaded as asked.
    """
    chosen, reason = choose(spec, facts or Machine())
    _quieten()
    try:
        loaded = backend(chosen.backend).load(chosen, progress)
    # What the libraries raise for files that they refuse.
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelLoadError(f"model {spec.name!r}: {chosen.backend} can't load it: {error}") from error
    return replace(loaded, info=replace(loaded.info, reason=reason))


def _quieten() -> None:
    """Keep transformers' reports and bars off the terminal: what goes wrong is raised."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
