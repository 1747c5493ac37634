"""Models on torch. Every use of torch's devices for serving is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from numpy.typing import NDArray

from standpipe_server.backends.causal import CausalReader, ThreadGenerator
from standpipe_server.backends.diffusion import DiffusionModel, drawing
from standpipe_server.backends.diffusion_sounds import DiffusionSoundModel
from standpipe_server.backends.direct import DirectRunner
from standpipe_server.backends.encoder import EncoderRunner, Forward, Inputs
from standpipe_server.backends.image_causal import ImageCausalReader
from standpipe_server.backends.image_text import ImageTextModel, ImageTextRunner
from standpipe_server.backends.images import ImageForward, ImageReader, ImageRunner, image_processor
from standpipe_server.backends.machine import Machine
from standpipe_server.backends.reading import INPUT_NAMES, TextReader
from standpipe_server.backends.seq2seq import Seq2SeqRunner, SeqModel
from standpipe_server.backends.sounds import SoundModel, SoundRunner
from standpipe_server.backends.sources import Source
from standpipe_server.backends.torch.causal import CheckingEngine, engine, plain_engine
from standpipe_server.backends.weights import load_weights
from standpipe_server.interfaces import LoadedModel, ModelInfo, ModelSpec, Progress
from standpipe_server.programs import Floats, Program

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# On a processor as measured for OpenVINO; a GPU is full with some thousands of tokens.
_BATCH_COST = {"cpu": 448, "cuda": 16384, "mps": 4096}
# In images: on a processor a pass is as fast for one as for several.
_IMAGES = {"cpu": 8, "cuda": 64, "mps": 16}
# A batch that writes takes one pass per token, whatever its size: larger ones are cheaper for long.
_WRITING_COST = {"cpu": 4096, "cuda": 16384, "mps": 4096}


class TorchBackend:
    """Loads with transformers' Auto classes; one runner per model."""

    def load(self, spec: ModelSpec, source: Source, program: Program, progress: Progress) -> LoadedModel:
        progress("reading the weights")
        if spec.threads:
            # torch has one pool for the whole process: the last model's wish holds.
            torch.set_num_threads(spec.threads)
        if source.pipeline:
            # Imported here: other models don't need diffusers.
            from standpipe_server.backends.torch.diffusion import load_pipeline

            pipeline = load_pipeline(source, spec, DTYPES[spec.dtype])
            return _PIPELINE_WAYS[program.kind.way](spec, source, program, pipeline)
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


def _image(spec: ModelSpec, source: Source, program: Program, model: Any) -> LoadedModel:
    reader = ImageReader(source.folder, model.config)
    heads = {kind: head(reader) for kind, head in program.heads.items()}
    device = torch.device(spec.device)
    helpers = ThreadPoolExecutor(Machine().cores, thread_name_prefix=f"{spec.name}-images")
    runner = ImageRunner(heads, reader, _image_forward(model, device, program.kind.outputs), helpers=helpers)
    return LoadedModel(ModelInfo.of(spec, source.revision, 0), [runner], _IMAGES[device.type])


def _seq2seq(spec: ModelSpec, source: Source, program: Program, model: Any) -> LoadedModel:
    reader = SeqModel(source, model.config)
    heads = {kind: head(reader) for kind, head in program.heads.items()}
    runner = Seq2SeqRunner(heads, reader, model, spec.device)
    info = ModelInfo.of(spec, source.revision, reader.max_tokens)
    return LoadedModel(info, [runner], _WRITING_COST[torch.device(spec.device).type])


def _causal(spec: ModelSpec, source: Source, program: Program, model: Any) -> LoadedModel:
    reader = CausalReader(source, model.config, model.generation_config)
    return _written(spec, source, program, reader, engine(model, reader, spec))


def _image_causal(spec: ModelSpec, source: Source, program: Program, model: Any) -> LoadedModel:
    reader = ImageCausalReader(source, model.config, model.generation_config)
    # One text after the other: continuous batching has no place for images.
    return _written(spec, source, program, reader, plain_engine(model, reader))


def _written(
    spec: ModelSpec, source: Source, program: Program, reader: CausalReader, able: CheckingEngine
) -> LoadedModel:
    heads = {kind: head(reader) for kind, head in program.heads.items()}
    generator = ThreadGenerator(spec.name, reader, heads, able, able.check, spec.max_sequences)
    info = ModelInfo.of(spec, source.revision, reader.max_tokens)
    return LoadedModel(info, [], _WRITING_COST[torch.device(spec.device).type], generator=generator)


def _image_text(spec: ModelSpec, source: Source, program: Program, model: Any) -> LoadedModel:
    reader = ImageTextModel(source.folder, model)
    runner = ImageTextRunner({kind: head(reader) for kind, head in program.heads.items()})
    info = ModelInfo.of(spec, source.revision, 0)
    return LoadedModel(info, [runner], _IMAGES[torch.device(spec.device).type])


def _sound(spec: ModelSpec, source: Source, program: Program, model: Any) -> LoadedModel:
    return _sounding(spec, source, program, SoundModel(source.folder, model, spec.device))


def _sound_pipeline(spec: ModelSpec, source: Source, program: Program, pipeline: Any) -> LoadedModel:
    return _sounding(spec, source, program, DiffusionSoundModel(source.folder, pipeline))


def _sounding(
    spec: ModelSpec, source: Source, program: Program, model: SoundModel | DiffusionSoundModel
) -> LoadedModel:
    runner = SoundRunner({kind: head(model) for kind, head in program.heads.items()})
    return LoadedModel(ModelInfo.of(spec, source.revision, 0), [runner], batch_cost=1)


def _pipeline(spec: ModelSpec, source: Source, program: Program, model: Any) -> LoadedModel:
    readers = {
        name: _READERS[name](source.folder) for name in program.kind.readers if _reads(source.folder, name)
    }
    pipeline = transformers.pipeline(program.task, model=model, device=spec.device, **readers)
    heads = {kind: head(pipeline) for kind, head in program.heads.items()}
    info = ModelInfo.of(spec, source.revision, getattr(model.config, "max_position_embeddings", 0))
    # Its calls are answered one after the other: together the first would only wait for the last.
    return LoadedModel(info, [DirectRunner(heads)], batch_cost=1)


def _diffusion(spec: ModelSpec, source: Source, program: Program, pipeline: Any) -> LoadedModel:
    # Imported here: other models don't need diffusers.
    from standpipe_server.backends.torch.diffusion import pipeline_for

    loras = [name for name, _ in spec.lora]
    model = DiffusionModel(partial(pipeline_for, pipeline), spec.device, loras)
    return drawing(spec, source, program, model)


# As objects: the library loads some by its names for them, and not all.
_READERS: dict[str, Callable[[Path], Any]] = {
    "feature_extractor": transformers.AutoFeatureExtractor.from_pretrained,
    "image_processor": image_processor,
    "tokenizer": transformers.AutoTokenizer.from_pretrained,
}


def _reads(folder: Path, reader: str) -> bool:
    """Whether a model has a part of its pipeline that not all models of a kind have."""
    files = ("preprocessor_config.json", "processor_config.json")
    return reader != "image_processor" or any((folder / file).is_file() for file in files)


_WAYS: dict[str, Callable[[ModelSpec, Source, Program, Any], LoadedModel]] = {
    "encoder": _encoder,
    "image": _image,
    "image_text": _image_text,
    "seq2seq": _seq2seq,
    "causal": _causal,
    "image_causal": _image_causal,
    "sound": _sound,
    "pipeline": _pipeline,
}


_PIPELINE_WAYS: dict[str, Callable[[ModelSpec, Source, Program, Any], LoadedModel]] = {
    "diffusion": _diffusion,
    "sound": _sound_pipeline,
}


def _forward(model: Any, device: torch.device, outputs: tuple[str, ...]) -> Forward:
    def forward(inputs: Inputs) -> list[Floats]:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}
            result = model(**tensors)
            return [result[name].float().cpu().numpy() for name in outputs]

    return forward


def _image_forward(model: Any, device: torch.device, outputs: tuple[str, ...]) -> ImageForward:
    # Of a model that reads texts too, the part that reads images.
    compute = getattr(model, "get_image_features", model)

    def forward(inputs: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
        with torch.inference_mode():
            tensors = {name: _to(array, device, model.dtype) for name, array in inputs.items()}
            result = compute(**tensors)
            found = {name: result.get(name) for name in outputs}
            return {name: value.float().cpu().numpy() for name, value in found.items() if value is not None}

    return forward


def _to(array: NDArray[Any], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    tensor = torch.from_numpy(array).to(device)
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
