"""Models on OpenVINO; encoders in two compiled forms.

Measured on two cores: single-thread streams side by side answer up to a third more texts a second than one
stream of two threads, but take up to twice as long for a lone text. So an encoder is compiled both ways, and
each batch takes the form that fits: the wide one when nothing else runs or waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import openvino
from numpy.typing import NDArray
from transformers import AutoConfig

from standpipe_server.backends.causal import CausalReader, ThreadGenerator, generation_config
from standpipe_server.backends.constraints import Constraints
from standpipe_server.backends.diffusion import DiffusionModel, drawing
from standpipe_server.backends.encoder import EncoderRunner, Forward, Inputs, check_inputs
from standpipe_server.backends.images import ImageForward, ImageReader, ImageRunner
from standpipe_server.backends.machine import Machine
from standpipe_server.backends.openvino.export import MODEL_FILE, exported
from standpipe_server.backends.process import ProcessEngine
from standpipe_server.backends.reading import TextReader
from standpipe_server.backends.seq2seq import Seq2SeqRunner, SeqModel
from standpipe_server.backends.sources import Source
from standpipe_server.errors import ExportError
from standpipe_server.interfaces import LoadedModel, ModelInfo, ModelSpec, Progress
from standpipe_server.programs import Floats, Program

_PRECISION = {"fp32": "f32", "bf16": "bf16"}
# Measured: 16 texts of 24 tokens run as fast per text as 32, and leave less padding.
_BATCH_COST = 448
# In images: a pass of one is nearly as fast for each as a pass of many.
_IMAGES = 8
# A batch that writes takes one pass per token, whatever its size: larger ones are cheaper for long.
_WRITING_COST = 4096


class OpenVinoBackend:
    """Exports once, compiles at each load; one runner per stream."""

    def load(self, spec: ModelSpec, source: Source, program: Program, progress: Progress) -> LoadedModel:
        folder = exported(spec, source, program.kind, progress)
        progress("compiling")
        return _WAYS[program.kind.way](spec, source, program, folder)


def _encoder(spec: ModelSpec, source: Source, program: Program, folder: Path) -> LoadedModel:
    core = openvino.Core()
    model = core.read_model(folder / MODEL_FILE)
    names = frozenset(port.any_name for port in model.inputs)
    check_inputs(names)
    reader = TextReader(source.folder, AutoConfig.from_pretrained(source.folder))
    heads = {kind: head(reader) for kind, head in program.heads.items()}
    narrow, wide, streams = _compile(core, model, spec)
    outputs = program.kind.outputs
    runners = [
        EncoderRunner(heads, reader, names, _forward(narrow, outputs), _forward(wide, outputs))
        for _ in range(streams)
    ]
    info = ModelInfo.of(spec, source.revision, reader.max_tokens, heads.values())
    return LoadedModel(info, runners, _BATCH_COST)


def _image(spec: ModelSpec, source: Source, program: Program, folder: Path) -> LoadedModel:
    core = openvino.Core()
    model = core.read_model(folder / MODEL_FILE)
    reader = ImageReader(source.folder, AutoConfig.from_pretrained(source.folder))
    heads = {kind: head(reader) for kind, head in program.heads.items()}
    narrow, wide, streams = _compile(core, model, spec)
    outputs = program.kind.outputs
    helpers = ThreadPoolExecutor(streams, thread_name_prefix=f"{spec.name}-images")
    runners = [
        ImageRunner(heads, reader, _image_forward(narrow, outputs), _image_forward(wide, outputs), helpers)
        for _ in range(streams)
    ]
    return LoadedModel(ModelInfo.of(spec, source.revision, 0), runners, _IMAGES)


def _seq2seq(spec: ModelSpec, source: Source, program: Program, folder: Path) -> LoadedModel:
    from optimum.intel import OVModelForSeq2SeqLM

    options = properties_of(spec) | {"NUM_STREAMS": "1"}
    model = OVModelForSeq2SeqLM.from_pretrained(folder, device="CPU", ov_config=options)
    reader = SeqModel(source, model.config)
    heads = {kind: head(reader) for kind, head in program.heads.items()}
    info = ModelInfo.of(spec, source.revision, reader.max_tokens)
    return LoadedModel(info, [Seq2SeqRunner(heads, reader, model, "cpu")], _WRITING_COST)


def _causal(spec: ModelSpec, source: Source, program: Program, folder: Path) -> LoadedModel:
    try:
        # Imported here: other models don't need it.
        from standpipe_server.backends.openvino.configs import Checker
        from standpipe_server.backends.openvino.generator import GenAiEngine, PipelineSettings
    except ModuleNotFoundError as error:
        raise ExportError(f"OpenVINO needs the package {error.name} for a model that writes") from error

    config = AutoConfig.from_pretrained(source.folder)
    reader = CausalReader(source, config, generation_config(source))
    heads = {kind: head(reader) for kind, head in program.heads.items()}
    settings = PipelineSettings.of(folder, config, spec, reader.max_tokens, properties_of(spec))
    constraints = Constraints(reader.tokenizer, config.vocab_size, reader.ends)
    checker = Checker(settings.usual, constraints, settings.cache_tokens)
    engine = ProcessEngine(partial(GenAiEngine, settings, reader.fast.to_str()))
    generator = ThreadGenerator(spec.name, reader, heads, engine, checker.check, spec.max_sequences)
    info = ModelInfo.of(spec, source.revision, reader.max_tokens)
    return LoadedModel(info, [], _WRITING_COST, generator=generator)


def _diffusion(spec: ModelSpec, source: Source, program: Program, folder: Path) -> LoadedModel:
    # Imported here: other models don't need diffusers.
    from standpipe_server.backends.openvino.diffusion import pipelines

    model = DiffusionModel(pipelines(folder, properties_of(spec)), spec.device)
    return drawing(spec, source, program, model)


_WAYS: dict[str, Callable[[ModelSpec, Source, Program, Path], LoadedModel]] = {
    "encoder": _encoder,
    "image": _image,
    "seq2seq": _seq2seq,
    "causal": _causal,
    "diffusion": _diffusion,
}


def properties_of(spec: ModelSpec) -> dict[str, Any]:
    """Options of every compiled form."""
    return {
        "INFERENCE_PRECISION_HINT": _PRECISION[spec.dtype],
        "INFERENCE_NUM_THREADS": spec.threads or Machine().cores,
    }


def _compile(core: openvino.Core, model: openvino.Model, spec: ModelSpec) -> tuple[Any, Any, int]:
    """The form for many batches side by side, the form for one alone, and how many run side by side."""
    shared = properties_of(spec)
    streams = 1 if spec.hint == "latency" else spec.streams or shared["INFERENCE_NUM_THREADS"]
    narrow = core.compile_model(model, "CPU", shared | {"NUM_STREAMS": streams})
    if streams == 1 or spec.hint == "throughput":
        return narrow, narrow, streams
    return narrow, core.compile_model(model, "CPU", shared | {"NUM_STREAMS": 1}), streams


def _forward(model: Any, outputs: tuple[str, ...]) -> Forward:
    infer = _infer(model)
    ports = [model.output(name) for name in outputs]

    def forward(inputs: Inputs) -> list[Floats]:
        results = infer(dict(inputs))
        return [results[port] for port in ports]

    return forward


def _image_forward(model: Any, outputs: tuple[str, ...]) -> ImageForward:
    infer = _infer(model)
    there = {port.any_name for port in model.outputs}
    ports = {name: model.output(name) for name in outputs if name in there}
    names = frozenset(port.any_name for port in model.inputs)

    def forward(inputs: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
        results = infer({name: value for name, value in inputs.items() if name in names})
        return {name: results[port] for name, port in ports.items()}

    return forward


def _infer(model: Any) -> Callable[[dict[str, NDArray[Any]]], Any]:
    request = model.create_infer_request()
    # The outputs stay the request's own memory: what is kept of them is copied before the next call. A
    # request must share memory always or never: doing now one, now the other crashed the process (OpenVINO
    # 2026.4).
    return partial(request.infer, share_inputs=True, share_outputs=True)
