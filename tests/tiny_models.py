"""Models with random weights, made in memory in milliseconds, tokenizer included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

_CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "water stands ready in the pipe for any hose",
    "hello world, this example is about the house of Ada Lovelace in London",
    "translate English to German: summarize one two three four five",
] * 10
NLI = ("contradiction", "neutral", "entailment")
BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")

# Of the models in BART's line.
_SMALL: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 128,
    "init_std": 0.5,
}
CLAP_EARS: dict[str, Any] = {
    "hidden_size": 32,
    "patch_embeds_hidden_size": 16,
    "spec_size": 64,
    "num_mel_bins": 16,
    "window_size": 4,
    "depths": [1, 1],
    "num_attention_heads": [2, 2],
    "num_hidden_layers": 2,
    "projection_dim": 16,
}
"""What a CLAP hears with."""


def save_tiny_encoder(
    folder: Path,
    *,
    kind: str = "bert",
    head: str = "AutoModel",
    labels: Sequence[str] = (),
    max_tokens: int = 64,
    tokenizer: transformers.PreTrainedTokenizerFast | None = None,
    **config: Any,
) -> Path:
    """Write an encoder of 32 dimensions as transformers writes it.

    Args:
        folder: To write into.
        kind: transformers' model type.
        head: transformers' class for what it does.
        labels: That it gives.
        max_tokens: Of the tokenizer, and positions of the model.
        tokenizer: Another than word pieces.
        config: Anything else for its config.
    """
    tokenizer = tokenizer or word_pieces(max_tokens)
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    settings = transformers.AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=max_tokens,
        # Of the usual size, so that scores differ by more than rounding.
        initializer_range=0.5,
        **(names if labels else {}),
        **config,
    )
    _save(folder, lambda: getattr(transformers, head).from_config(settings))
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_t5(folder: Path, **config: Any) -> Path:
    """Write a T5 that knows the instructions of ``task_specific_params``, as t5-small's files have them."""
    tokenizer = byte_pairs()
    specific = {
        "summarization": {"prefix": "summarize: "},
        "translation_en_to_de": {"prefix": "translate English to German: "},
    }
    settings = transformers.T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=2,
        task_specific_params=specific,
        initializer_factor=3.0,
        **config,
    )
    _save(folder, lambda: transformers.T5ForConditionalGeneration(settings))
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_llama(folder: Path, *, max_tokens: int = 512, **config: Any) -> Path:
    """Write a Llama with a chat template; it ends texts with ``</s>``.

    Args:
        folder: To write into.
        max_tokens: Of the tokenizer, and positions of the model.
        config: Anything else for its config.
    """
    tokenizer = byte_pairs(max_tokens=max_tokens, ends=False)
    settings = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        **{
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "initializer_range": 0.5,
        }
        | config,
        max_position_embeddings=max_tokens,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    _save(folder, lambda: transformers.LlamaForCausalLM(settings))
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_marian(folder: Path) -> Path:
    """Write a Marian model of several targets: its vocabulary has ">>fra<<" and ">>deu<<"."""
    tokenizer = byte_pairs(extra=(">>fra<<", ">>deu<<"))
    settings = transformers.MarianConfig(
        vocab_size=len(tokenizer),
        **_SMALL,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
        forced_eos_token_id=2,
    )
    _save(folder, lambda: transformers.MarianMTModel(settings))
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_nllb(folder: Path) -> Path:
    """Write an M2M100 model with NLLB's tokenizer: it is told both languages by tokens."""
    letters = sorted({letter for text in _CORPUS for letter in text if letter != " "})
    words = ["<s>", "<pad>", "</s>", "<unk>", "\u2581", *letters]
    tokenizer = transformers.NllbTokenizer(
        vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=128
    )
    settings = transformers.M2M100Config(
        vocab_size=len(tokenizer),
        **_SMALL,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
    )
    _save(folder, lambda: transformers.M2M100ForConditionalGeneration(settings))
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_tapas(folder: Path) -> Path:
    """Write a TAPAS model that chooses cells and how to aggregate them."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = sorted(word_pieces(64).get_vocab().items(), key=lambda entry: entry[1])
    words = [*(word for word, _ in vocabulary), "[EMPTY]"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    settings = transformers.TapasConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        num_aggregation_labels=4,
        aggregation_labels={0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"},
        no_aggregation_label_index=0,
        initializer_range=0.5,
    )
    _save(folder, lambda: transformers.TapasForQuestionAnswering(settings))
    transformers.TapasTokenizer(folder / "vocab.txt", model_max_length=128).save_pretrained(folder)
    return folder


def word_pieces(max_tokens: int) -> transformers.PreTrainedTokenizerFast:
    """A BERT-like tokenizer."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=max_tokens,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


CHAT_TEMPLATE = (
    "{% for tool in tools or [] %}tool {{ tool | tojson }}\n{% endfor %}"
    "{% for m in messages %}"
    "{% if m['role'] == 'robot' %}{{ raise_exception('robots may not speak') }}{% endif %}"
    "{{ m['role'] }}: {{ m['content'] }}{% for c in m.tool_calls or [] %} {{ c | tojson }}{% endfor %}\n"
    "{% endfor %}{% if mood %}mood {{ mood }}\n{% endif %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def byte_pairs(
    extra: Sequence[str] = (), max_tokens: int = 128, *, ends: bool = True
) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer that knows any text; it has a chat template.

    Args:
        extra: Special tokens, beside the usual ones.
        max_tokens: That it takes.
        ends: End each text with ``</s>``.
    """
    special = ["<pad>", "<s>", "</s>", *extra]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)]
        )
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=max_tokens,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def _save(folder: Path, make: Callable[[], Any]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make().save_pretrained(folder)


def save_hub_cache(cache: Path, source: Path, repository: str, revision: str) -> Path:
    """Lay a model out as the Hub's own cache does: snapshots by commit, and the branch that names one."""
    home = cache / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / revision
    snapshot.mkdir(parents=True)
    for path in source.iterdir():
        (snapshot / path.name).write_bytes(path.read_bytes())
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(revision)
    return snapshot
