"""From a spec to a model that is ready to answer."""

from __future__ import annotations

import contextlib
import importlib
import logging
from dataclasses import replace

from standpipe_server.backends import backend, lacking
from standpipe_server.backends.choice import Facts, choose
from standpipe_server.backends.direct import DirectRunner
from standpipe_server.backends.machine import Machine
from standpipe_server.backends.reading import load_tokenizer
from standpipe_server.backends.sources import Source, resolve
from standpipe_server.errors import ExportError, ModelLoadError
from standpipe_server.interfaces import LoadedModel, ModelSpec, Progress
from standpipe_server.kinds import SOUND_MAKER
from standpipe_server.programs import Program

# Texts side by side, and tokens in a step. On a processor a step is bound by arithmetic from about 8 tokens a
# core on: more make it longer, not better, and everybody who reads waits for it.
_STEP_PER_CORE = (12, 18)
_STEP = (64, 1024)


def load(spec: ModelSpec, program: Program, progress: Progress, facts: Facts | None = None) -> LoadedModel:
    """Choose backend, device and dtype, and load; blocks for seconds.

    Raises:
        ModelLoadError: It can't be loaded as asked.
    """
    facts = facts or Machine()
    _quieten()
    source = resolve(spec)
    _check(spec, program, source)
    try:
        return _load(spec, source, program, progress, facts, no_export=_no_export(spec, program, source))
    except ExportError as error:
        if spec.backend != "auto":
            raise
        # Whoever leaves the choice to the server wants the model served, and to know why so.
        return _load(spec, source, program, progress, facts, no_export=str(error.__cause__))


def _load(
    spec: ModelSpec, source: Source, program: Program, progress: Progress, facts: Facts, no_export: str
) -> LoadedModel:
    if program.kind.precise and spec.dtype == "auto":
        spec = replace(spec, dtype="fp32")
    chosen, reason = choose(spec, facts, no_export)
    chosen = with_steps(chosen, facts.cores)
    try:
        loaded = backend(chosen.backend).load(chosen, source, program, progress)
        tokenizer = _tokenizer(source, program)
    except ModelLoadError as error:
        raise type(error)(f"model {spec.name!r}: {error}") from error
    except ModuleNotFoundError as error:
        raise ModelLoadError(f"model {spec.name!r} {lacking(error)}") from error
    # Libraries refuse files in whatever way they like.
    except Exception as error:
        raise ModelLoadError(f"model {spec.name!r}: {chosen.backend} can't load it: {error}") from error
    return replace(loaded, info=replace(loaded.info, reason=reason), tokenizer=tokenizer)


def with_steps(spec: ModelSpec, cores: int) -> ModelSpec:
    """Settle how much one step of a causal model holds, where the spec leaves it open."""
    per_step, factor = (_STEP_PER_CORE, spec.threads or cores) if spec.device == "cpu" else (_STEP, 1)
    sequences, tokens = (factor * figure for figure in per_step)
    return replace(
        spec,
        max_sequences=spec.max_sequences or sequences,
        max_batched_tokens=spec.max_batched_tokens or tokens,
    )


def _tokenizer(source: Source, program: Program) -> DirectRunner | None:
    """What answers the calls of the tokenizer alone; it has a tokenizer of its own."""
    if not program.kind.tokenizes or not program.tokenizer_heads:
        return None
    tokenizer = load_tokenizer(source.folder)
    return DirectRunner({kind: head(tokenizer) for kind, head in program.tokenizer_heads.items()})


def _no_export(spec: ModelSpec, program: Program, source: Source) -> str:
    if spec.lora and program.kind.way == "diffusion":
        return "adapters (LoRA) need torch"
    # Of pipelines Optimum converts those that draw.
    exports = program.kind.exports and source.pipeline == (program.kind.way == "diffusion")
    return "" if exports else f"Optimum exports no model for {program.task}"


def _check(spec: ModelSpec, program: Program, source: Source) -> None:
    """Refuse files of one library's models for a task of another's.

    Raises:
        ModelLoadError: They can't serve the task.
    """
    # What makes sounds may be either library's; what speaks may not.
    either = program.kind is SOUND_MAKER
    if either or source.pipeline == (program.kind.way == "diffusion"):
        return
    there, takes = ("a", "none") if source.pipeline else ("no", "one")
    raise ModelLoadError(
        f"model {spec.name!r}: {spec.source} is {there} pipeline of diffusers; {program.task} takes {takes}"
    )


def _quieten() -> None:
    """Keep the libraries' reports and bars off the terminal: what goes wrong is raised."""
    from transformers.utils import logging as reports

    reports.set_verbosity_error()
    reports.disable_progress_bar()
    with contextlib.suppress(ModuleNotFoundError):
        drawing = importlib.import_module("diffusers.utils.logging")
        drawing.set_verbosity_error()
        drawing.disable_progress_bar()
    # They log each way that they try at an export, also where the next one works. Optimum sets its own level
    # when it is first used.
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("optimum.utils.logging").get_logger("optimum")
    for library in ("optimum", "openvino", "openvino_tokenizers"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
