"""Models on torch. Every use of torch's devices for serving is here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers

from standpipe_server.backends.causal import CausalReader, ThreadGenerator
from standpipe_server.backends.direct import DirectRunner
from standpipe_server.backends.encoder import EncoderRunner, Forward, Inputs
from standpipe_server.backends.reading import INPUT_NAMES, TextReader
from standpipe_server.backends.seq2seq import Seq2SeqRunner, SeqModel
from standpipe_server.backends.sources import Source
from standpipe_server.backends.torch.causal import engine
from standpipe_server.backends.weights import load_weights
from standpipe_server.interfaces import LoadedModel, ModelInfo, ModelSpec, Progress
from standpipe_server.programs import Floats, Program

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# On a processor as measured for OpenVINO; a GPU is full with some thousands of tokens.
_BATCH_COST = {"cpu": 448, "cuda": 16384, "mps": 4096}
# A batch that writes takes one pass per token, whatever its size: larger ones are cheaper for long.
_WRITING_COST = {"cpu": 4096, "cuda": 16384, "mps": 4096}


class TorchBackend:
    """Loads with transformers' Auto classes; one runner per model."""

    def load(self, spec: ModelSpec, source: Source, program: Program, progress: Progress) -> LoadedModel:
        progress("reading the weights")
        if spec.threads:
            # torch has one pool for the whole process: the last model's wish holds.
            torch.set_num_threads(spec.threads)
        model = load_weights(source, program.kind, DTYPES[spec.dtype]).to(spec.device).eval()
        if spec.compile:
            progress("compiling")
            model.forward = torch.compile(model.forward, dynamic=True)
        return _WAYS[program.kind.way](spec, source, program, model)


def _encoder(spec: ModelSpec, source: Source, program: Program, model: Any) -> LoadedModel:
    reader = TextReader(source.folder, model.config)
    heads = {kind: head(reader) for kind, head in program.heads.items()}
    names = INPUT_NAMES if getattr(model.config, "type_vocab_size", 0) else INPUT_NAMES - {"token_type_ids"}
    device = torch.device(spec.device)
    runner = EncoderRunner(heads, reader, names, _forward(model, device, program.kind.outputs))
    return LoadedModel(
        ModelInfo.of(spec, source.revision, reader.max_tokens, heads.values()),
        [runner],
        _BATCH_COST[device.type],
    )


def _seq2seq(spec: ModelSpec, source: Source, program: Program, model: Any) -> LoadedModel:
    reader = SeqModel(source, model.config)
    heads = {kind: head(reader) for kind, head in program.heads.items()}
    runner = Seq2SeqRunner(heads, reader, model, spec.device)
    info = ModelInfo.of(spec, source.revision, reader.max_tokens)
    return LoadedModel(info, [runner], _WRITING_COST[torch.device(spec.device).type])


def _causal(spec: ModelSpec, source: Source, program: Program, model: Any) -> LoadedModel:
    reader = CausalReader(source, model.config, model.generation_config)
    heads = {kind: head(reader) for kind, head in program.heads.items()}
    able = engine(model, reader, spec)
    generator = ThreadGenerator(spec.name, reader, heads, able, able.check, spec.max_sequences)
    info = ModelInfo.of(spec, source.revision, reader.max_tokens)
    return LoadedModel(info, [], _WRITING_COST[torch.device(spec.device).type], generator=generator)


def _pipeline(spec: ModelSpec, source: Source, program: Program, model: Any) -> LoadedModel:
    tokenizer = transformers.AutoTokenizer.from_pretrained(source.folder)
    pipeline = transformers.pipeline(program.task, model=model, tokenizer=tokenizer, device=spec.device)
    heads = {kind: head(pipeline) for kind, head in program.heads.items()}
    info = ModelInfo.of(spec, source.revision, getattr(model.config, "max_position_embeddings", 0))
    return LoadedModel(info, [DirectRunner(heads)], _BATCH_COST[torch.device(spec.device).type])


_WAYS: dict[str, Callable[[ModelSpec, Source, Program, Any], LoadedModel]] = {
    "encoder": _encoder,
    "seq2seq": _seq2seq,
    "causal": _causal,
    "pipeline": _pipeline,
}


def _forward(model: Any, device: torch.device, outputs: tuple[str, ...]) -> Forward:
    def forward(inputs: Inputs) -> list[Floats]:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}
            result = model(**tensors)
            return [result[name].float().cpu().numpy() for name in outputs]

    return forward
