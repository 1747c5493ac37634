"""SmolLM, a small Llama that chats, from the GGUF file that llama.cpp made of it.

Knows how llama.cpp writes a Llama: tensors by names of its own, quantized, the rows of queries and keys in
another order; of the tokenizer the words, the merges, and only a name for the way a text is split.

Not aware of another way to split a text than SmolLM's, of positions that are scaled to reach further, or of
how well the model answers with weights of four bits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import MODEL_ARCH, GGUFReader, TokenType, dequantize, get_tensor_name_map
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, PreTrainedTokenizerFast

from standpipe_server.demo_models.converters.folders import check, write

# Between two documents when the model was trained; the file says of it only that it is the unknown token.
_DOCUMENT_ENDS = "<|endoftext|>"


def convert(source: Path, target: Path) -> None:
    """Write the model, in bfloat16, as it was published: what that rounds off is little beside four bits.

    Raises:
        ValueError: The file isn't of a SmolLM, or the model doesn't answer.
    """
    [path] = source.glob("*.gguf")
    file = GGUFReader(path)
    tokenizer = _tokenizer(file)
    config = _config(file, tokenizer)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=[config.eos_token_id, tokenizer.convert_tokens_to_ids(_DOCUMENT_ENDS)],
        pad_token_id=config.pad_token_id,
    )
    write(model, _weights(file, model), tokenizer, target)
    check(target, AutoModelForCausalLM)


def _config(file: GGUFReader, tokenizer: Any) -> Any:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=_said(file, "llama.embedding_length"),
        intermediate_size=_said(file, "llama.feed_forward_length"),
        num_hidden_layers=_said(file, "llama.block_count"),
        num_attention_heads=_said(file, "llama.attention.head_count"),
        num_key_value_heads=_said(file, "llama.attention.head_count_kv"),
        rms_norm_eps=_said(file, "llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": _said(file, "llama.rope.freq_base")},
        max_position_embeddings=tokenizer.model_max_length,
        tie_word_embeddings=all(tensor.name != "output.weight" for tensor in file.tensors),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _weights(file: GGUFReader, model: Any) -> dict[str, NDArray[np.float32]]:
    """State dict of the model, dequantized; a tensor that it has no place for keeps the file's name."""
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, model.config.num_hidden_layers)
    ours = {names.get_name(name, (".weight",)): name for name in model.state_dict()}
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    weights = {}
    for tensor in file.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        layer = tensor.name.split(".")[-2]
        if layer in heads:
            values = _halves(values, heads[layer])
        # Copied: what lies in the file can't be written to, and torch wants it writable.
        weights[ours.get(tensor.name, tensor.name)] = np.array(values, np.float32, order="C")
    if model.config.tie_word_embeddings:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    return weights


def _halves(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows in the order of transformers, which turns row i of a head with row i of its other half.

    llama.cpp turns each with its neighbour.
    """
    return rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _tokenizer(file: GGUFReader) -> Any:
    """SmolLM's own: what transformers itself makes of the file splits and ends as another Llama's."""
    splits = _said(file, "tokenizer.ggml.pre")
    if splits != "smollm":
        raise ValueError(f"the tokenizer splits texts as {splits} does, not as smollm")
    words: list[str] = _said(file, "tokenizer.ggml.tokens")
    kinds: list[int] = _said(file, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in _said(file, "tokenizer.ggml.merges")]
    raw = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=merges))
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(
        [
            AddedToken(word, special=True, normalized=False)
            for word, kind in zip(words, kinds, strict=True)
            if kind == TokenType.CONTROL
        ]
    )
    named = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    special = {kind: _said(file, f"tokenizer.ggml.{its}_token_id") for kind, its in named.items()}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        **{f"{kind}_token": words[index] for kind, index in special.items()},
        model_max_length=_said(file, "llama.context_length"),
    )
    tokenizer.chat_template = _said(file, "tokenizer.chat_template")
    return tokenizer


def _said(file: GGUFReader, key: str) -> Any:
    field = file.get_field(key)
    if field is None:
        raise ValueError(f"the file doesn't say {key}")
    return field.contents()
