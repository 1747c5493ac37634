"""Embedding models on torch. Every use of torch for serving is here."""

from __future__ import annotations

import torch
from transformers import AutoModel

from standpipe_server.backends.encoder import INPUT_NAMES, EmbedRunner, Forward, Inputs, read_encoder
from standpipe_server.backends.sentence import Floats
from standpipe_server.backends.sources import resolve
from standpipe_server.interfaces import LoadedModel, ModelSpec, Progress

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# On a processor as measured for OpenVINO; a GPU is full with some thousands of tokens.
_BATCH_COST = {"cpu": 448, "cuda": 16384, "mps": 4096}


class TorchBackend:
    """Loads with transformers' Auto classes; one runner per model."""

    def load(self, spec: ModelSpec, progress: Progress) -> LoadedModel:
        source = resolve(spec)
        progress("reading the weights")
        if spec.threads:
            # torch has one pool for the whole process: the last model's wish holds.
            torch.set_num_threads(spec.threads)
        model = AutoModel.from_pretrained(source.folder, dtype=DTYPES[spec.dtype])
        model = model.to(spec.device).eval()
        names = (
            INPUT_NAMES if getattr(model.config, "type_vocab_size", 0) else INPUT_NAMES - {"token_type_ids"}
        )
        encoder = read_encoder(source.folder, model.config, names)
        if spec.compile:
            progress("compiling")
            model = torch.compile(model, dynamic=True)
        info = encoder.info(spec, source.revision)
        device = torch.device(spec.device)
        return LoadedModel(info, [EmbedRunner(encoder, _forward(model, device))], _BATCH_COST[device.type])


def _forward(model: torch.nn.Module, device: torch.device) -> Forward:
    def forward(inputs: Inputs) -> Floats:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}
            hidden: Floats = model(**tensors).last_hidden_state.float().cpu().numpy()
            return hidden

    return forward
