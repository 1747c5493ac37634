"""Exported models, kept: each source is exported to OpenVINO's format once.

A model is kept under a key of everything that the export depends on: the source, its revision or its files'
sizes and times, the kind of model, and the versions of the exporting libraries. The numeric type isn't part
of it: the export holds the source's own numbers, and OpenVINO narrows them when it compiles.
"""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch

from standpipe_server.backends.openvino.images import convert
from standpipe_server.backends.parts import load_parts
from standpipe_server.backends.reading import load_tokenizer
from standpipe_server.backends.sources import INDEX, Source
from standpipe_server.backends.weights import load_weights
from standpipe_server.errors import ExportError
from standpipe_server.interfaces import ModelSpec, Progress
from standpipe_server.kinds import Kind
from standpipe_server.paths import cache_folder, keep

MODEL_FILE = "openvino_model.xml"
_EXPORTERS = ("openvino", "optimum", "optimum-intel", "torch", "transformers")
_PIPELINE_EXPORTERS = (*_EXPORTERS, "diffusers")


def exported(spec: ModelSpec, source: Source, kind: Kind, progress: Progress) -> Path:
    """Folder of the exported model, from the cache where it is there.

    Raises:
        ExportError: Optimum can't export the model.
        ModelLoadError: Its files hold no weights for what is asked of it.
    """
    folder = cache_folder() / "openvino" / _key(spec, source, kind)
    if folder.is_dir():
        return folder
    progress("exporting to OpenVINO, once")
    # Optimum wouldn't say that weights are missing, nor is it to blame for files that can't be read.
    model = None if source.pipeline else load_weights(source, kind, torch.float32)
    if source.pipeline:
        _check_pipeline(source.folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".export-"))
    try:
        with warnings.catch_warnings(), _walked_once():
            # Tracing warns of every branch that it fixes; the parity tests hold what comes out.
            warnings.simplefilter("ignore")
            if kind.optimum:
                _export(source.folder, scratch, kind)
            else:
                convert(model, source.folder, kind, scratch / MODEL_FILE)
        if kind.way == "causal":
            _export_tokenizer(source.folder, scratch)
        keep(scratch, folder)
    # Whatever an exporter stumbles over, another backend may serve the model.
    except Exception as error:
        exporter = "Optimum" if kind.optimum else "OpenVINO"
        raise ExportError(f"{exporter} can't convert it: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _export(source: Path, target: Path, kind: Kind) -> None:
    from optimum import intel

    exporter = getattr(intel, kind.optimum)
    try:
        model = exporter.from_pretrained(source, export=True, compile=False, load_in_8bit=False)
        model.save_pretrained(target)
        # Parts of a pipeline refer to each other, so it would keep its folder for who knows how long.
        _clean_up(model.model_save_dir)
    finally:
        # Optimum keeps the folder of its latest export until the interpreter ends, and a server doesn't wait
        # for that.
        _clean_up(getattr(exporter, "_model_save_dir_tempdirectory_instance", None))


def _clean_up(folder: object) -> None:
    if isinstance(folder, tempfile.TemporaryDirectory):
        folder.cleanup()


def _check_pipeline(folder: Path) -> None:
    """See that Optimum knows a pipeline, before all weights are read, and that its parts are whole.

    Raises:
        ExportError: Optimum doesn't know it.
        ModelLoadError: Weights are missing.
    """
    from optimum.intel.openvino.modeling_diffusion import SUPPORTED_OV_PIPELINES

    name = json.loads((folder / INDEX).read_text(encoding="utf-8"))["_class_name"]
    if name not in {known.auto_model_class.__name__ for known in SUPPORTED_OV_PIPELINES}:
        refusal = f"Optimum can't convert it: it knows no {name}"
        raise ExportError(refusal) from ValueError(refusal)
    # One at a time, and each is forgotten: the exporter will have them all.
    for _ in load_parts(folder, torch.float32):
        pass


@contextmanager
def _walked_once() -> Iterator[None]:
    """Keep what is there from the garbage collector: Optimum calls it time and again, half a second each."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _export_tokenizer(source: Path, target: Path) -> None:
    """The tokenizer as a model of its own, which openvino-genai wants beside a causal model."""
    import openvino
    from openvino_tokenizers import convert_tokenizer

    parts = convert_tokenizer(load_tokenizer(source), with_detokenizer=True)
    for part, name in zip(parts, ("openvino_tokenizer", "openvino_detokenizer"), strict=True):
        openvino.save_model(part, target / f"{name}.xml")


def _key(spec: ModelSpec, source: Source, kind: Kind) -> str:
    files = sorted(path for path in source.folder.rglob("*") if path.is_file())
    exporters = _PIPELINE_EXPORTERS if kind.way == "diffusion" else _EXPORTERS
    facts = {
        "source": str(source.folder),
        "revision": source.revision,
        "files": [
            (str(path.relative_to(source.folder)), path.stat().st_size, path.stat().st_mtime_ns)
            for path in files
        ],
        "class": kind.optimum or kind.transformers,
        "exporters": {name: version(name) for name in exporters},
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return f"{Path(spec.source).name}-{digest[:16]}"
