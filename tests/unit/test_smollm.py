"""From a GGUF file, written here as llama.cpp writes it, to a folder that answers and splits texts alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, dequantize, quantize
from numpy.typing import NDArray
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from standpipe_server.demo_models.converters.smollm import convert

Weights = dict[str, NDArray[np.float32]]

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>"]
MERGES = ["h e", "l l", "he ll", "hell o", "Ġ hello", "1 2"]
TOKENS = [*SPECIAL, *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
HEADS, KEY_HEADS = 4, 2
LAYERS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
THEIRS = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""What llama.cpp calls what transformers calls otherwise."""


def random_model(*, tied: bool) -> Any:
    """A Llama of two layers with weights that are no rounder than any others."""
    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        rms_norm_eps=1e-4,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        max_position_embeddings=128,
        tie_word_embeddings=tied,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        for name, weight in model.named_parameters():
            if "norm" in name:
                torch.nn.init.uniform_(weight, 0.5, 1.5)
    return model.eval()


def their_name(name: str) -> str:
    for ours, theirs in THEIRS.items():
        name = name.replace(ours, theirs)
    return name.replace("model.layers.", "blk.")


def as_llama_cpp_turns_them(name: str, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """LlamaModel.permute of llama.cpp's convert_hf_to_gguf.py."""
    heads = HEADS if "attn_q" in name else KEY_HEADS if "attn_k" in name else 0
    if not heads:
        return weight
    return (
        weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
        .swapaxes(1, 2)
        .reshape(weight.shape)
    )


def stored_as(name: str) -> GGMLQuantizationType:
    """The mixture that the package ships."""
    if "norm" in name:
        return GGMLQuantizationType.F32
    return GGMLQuantizationType.Q8_0 if "token_embd" in name else GGMLQuantizationType.Q4_1


def save(folder: Path, weights: Weights, *, splits: str = "smollm", template: str = TEMPLATE) -> Path:
    """Write the file, alone in its folder; the weights have transformers' names."""
    folder.mkdir()
    file = GGUFWriter(folder / "tiny.gguf", "llama")
    file.add_block_count(2)
    file.add_context_length(128)
    file.add_embedding_length(64)
    file.add_feed_forward_length(96)
    file.add_head_count(HEADS)
    file.add_head_count_kv(KEY_HEADS)
    file.add_rope_freq_base(500.0)
    file.add_layer_norm_rms_eps(1e-4)
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre(splits)
    file.add_token_list(TOKENS)
    file.add_token_types([TokenType.CONTROL if token in SPECIAL else TokenType.NORMAL for token in TOKENS])
    file.add_token_merges(MERGES)
    file.add_unk_token_id(0)
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_pad_token_id(2)
    if template:
        file.add_chat_template(template)
    for name, weight in weights.items():
        theirs = their_name(name)
        kind = stored_as(theirs)
        file.add_tensor(theirs, quantize(as_llama_cpp_turns_them(theirs, weight), kind), raw_dtype=kind)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return folder


def weights_of(model: Any) -> Weights:
    """Each weight once, as its parameter's name."""
    return {name: weight.detach().numpy() for name, weight in model.named_parameters()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm")
    convert(save(folder / "source", weights_of(random_model(tied=True))), folder / "made")
    return folder / "made"


@pytest.mark.parametrize("tied", [True, False])
def test_the_model_answers_as_one_with_the_weights_that_the_file_was_written_from(
    tmp_path: Path, tied: bool
) -> None:
    expected = random_model(tied=tied)
    weights = weights_of(expected)
    convert(save(tmp_path / "source", weights), tmp_path / "made")
    for name, weight in expected.named_parameters():
        kind = stored_as(their_name(name))
        weight.data = torch.from_numpy(dequantize(quantize(weights[name], kind), kind)).bfloat16().float()
    kept = AutoModelForCausalLM.from_pretrained(tmp_path / "made", local_files_only=True)
    assert (torch.bfloat16, tied) == (kept.dtype, kept.config.tie_word_embeddings)
    # Compared in 32 bits, where nothing but the weights can make a difference.
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "made", local_files_only=True, dtype="float32")
    read = torch.arange(100).reshape(2, 50)
    with torch.inference_mode():
        answer, right = model(read).logits, expected(read).logits
    assert torch.equal(answer, right)
    assert 1 < right.std()


@pytest.mark.parametrize(
    "text",
    [
        "hello, hello  world\n\t12",
        "It's 2026!",
        "äöüß Straße",
        "你好,世界",
        "🙂👩‍👩‍👧",
        "a<|im_end|>\nb<|im_start|>",
    ],
)
def test_any_text_comes_back_from_its_tokens_as_it_was(made: Path, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(made, local_files_only=True)
    assert text == tokenizer.decode(tokenizer(text).input_ids)


def test_words_are_merged_and_digits_stay_alone_and_special_tokens_are_whole(made: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(made, local_files_only=True)
    inputs = tokenizer("hello hello 12<repo_name>")
    assert ["hello", "Ġhello", "Ġ", "1", "2", "<repo_name>"] == tokenizer.convert_ids_to_tokens(
        inputs.input_ids
    )
    assert {"input_ids", "attention_mask"} == set(inputs)
    assert TOKENS == tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert "hello" == tokenizer.decode(tokenizer("<repo_name>hello").input_ids, skip_special_tokens=True)
    assert 128 == tokenizer.model_max_length


def test_the_chat_is_laid_out_by_the_files_own_template(made: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(made, local_files_only=True)
    said = tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False)
    assert "<|im_start|>user\nhello<|im_end|>\n" == said


def test_an_answer_ends_where_the_turn_or_the_document_does(made: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(made, local_files_only=True)
    assert ("<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>") == (
        tokenizer.bos_token,
        tokenizer.eos_token,
        tokenizer.pad_token,
        tokenizer.unk_token,
    )
    generation = GenerationConfig.from_pretrained(made, local_files_only=True)
    assert (1, [2, 0], 2) == (generation.bos_token_id, generation.eos_token_id, generation.pad_token_id)


def test_nothing_is_said_on_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logging.enable_progress_bar()
    logging.set_verbosity_info()
    convert(save(tmp_path / "source", weights_of(random_model(tied=True))), tmp_path / "made")
    assert ("", "") == capfd.readouterr()


@pytest.mark.parametrize(
    ("lacks", "has", "options", "words"),
    [
        ("model.norm.weight", "", {}, r"model\.norm\.weight"),
        ("", "rope_freqs.weight", {}, r"rope_freqs\.weight"),
        ("", "", {"splits": "llama-bpe"}, "llama-bpe"),
        ("", "", {"template": ""}, "chat_template"),
    ],
)
def test_a_file_of_something_else_is_refused_and_nothing_is_written(
    tmp_path: Path, lacks: str, has: str, options: dict[str, Any], words: str
) -> None:
    weights = weights_of(random_model(tied=True))
    weights.pop(lacks, None)
    if has:
        weights[has] = np.ones((8, 32), np.float32)
    with pytest.raises((RuntimeError, ValueError), match=words):
        convert(save(tmp_path / "source", weights, **options), tmp_path / "made")
    assert not (tmp_path / "made").exists()
