"""Embedding models on OpenVINO, in two compiled forms.

Measured on two cores: single-thread streams side by side answer up to a third more texts a second than one
stream of two threads, but take up to twice as long for a lone text. So a model is compiled both ways, and
each batch takes the form that fits: the wide one when nothing else runs or waits.
"""

from __future__ import annotations

from typing import Any

import openvino
from transformers import AutoConfig

from standpipe_server.backends.encoder import INPUT_NAMES, EmbedRunner, Forward, Inputs, read_encoder
from standpipe_server.backends.machine import Machine
from standpipe_server.backends.openvino.export import MODEL_FILE, exported
from standpipe_server.backends.sentence import Floats
from standpipe_server.backends.sources import resolve
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import LoadedModel, ModelSpec, Progress

_PRECISION = {"fp32": "f32", "bf16": "bf16"}
# Measured: 16 texts of 24 tokens run as fast per text as 32, and leave less padding.
_BATCH_COST = 448


class OpenVinoBackend:
    """Exports once, compiles at each load; one runner per stream."""

    def load(self, spec: ModelSpec, progress: Progress) -> LoadedModel:
        source = resolve(spec)
        folder = exported(spec, source, progress)
        progress("compiling")
        core = openvino.Core()
        model = core.read_model(folder / MODEL_FILE)
        names = frozenset(port.any_name for port in model.inputs)
        if not names <= INPUT_NAMES:
            raise ModelLoadError(
                f"model {spec.name!r}: it takes {', '.join(names - INPUT_NAMES)}, not served"
            )
        encoder = read_encoder(source.folder, AutoConfig.from_pretrained(source.folder), names)
        narrow, wide, streams = _compile(core, model, spec)
        info = encoder.info(spec, source.revision)
        runners = [EmbedRunner(encoder, _forward(narrow), _forward(wide)) for _ in range(streams)]
        return LoadedModel(info, runners, _BATCH_COST)


def _compile(core: openvino.Core, model: openvino.Model, spec: ModelSpec) -> tuple[Any, Any, int]:
    """The form for many batches side by side, the form for one alone, and how many run side by side."""
    threads = spec.threads or Machine().cores
    streams = 1 if spec.hint == "latency" else spec.streams or threads
    shared = {"INFERENCE_PRECISION_HINT": _PRECISION[spec.dtype], "INFERENCE_NUM_THREADS": threads}
    narrow = core.compile_model(model, "CPU", shared | {"NUM_STREAMS": streams})
    if streams == 1 or spec.hint == "throughput":
        return narrow, narrow, streams
    return narrow, core.compile_model(model, "CPU", shared | {"NUM_STREAMS": 1}), streams


def _forward(model: Any) -> Forward:
    request = model.create_infer_request()

    def forward(inputs: Inputs) -> Floats:
        # The hidden state stays the request's own memory: it is pooled before the next call. A request must
        # share memory always or never: doing now one, now the other crashed the process (OpenVINO 2026.4).
        hidden: Floats = request.infer(dict(inputs), share_inputs=True, share_outputs=True)[0]
        return hidden

    return forward
