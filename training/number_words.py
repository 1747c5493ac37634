"""Trains a T5 from nothing to write numbers as English and German words, and to translate between them.

`python -m training.number_words [--output FOLDER] [--evaluate]`
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers

from training import common
from training.numerals import ENGLISH_PARTS, GERMAN_PARTS, HIGHEST, english, german

STEPS = 1700
BATCH = 192
PEAK_RATE = 6e-3
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
ALWAYS_TRAINED = 100
"""Numbers below this are never held out: they are the words that all others are made of."""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that the model does: what stands before the question, what is asked, what is right."""

    prefix: str
    ask: Callable[[int], str]
    answer: Callable[[int], str]

    def example(self, number: int) -> tuple[str, str]:
        """Input and right output."""
        return self.prefix + self.ask(number), self.answer(number)


TASKS = {
    "spell in English": Task("spell in English: ", str, english),
    "spell in German": Task("spell in German: ", str, german),
    "translate English to German": Task("translate English to German: ", english, german),
    "translate German to English": Task("translate German to English: ", german, english),
}


def held_out(number: int) -> bool:
    """Whether no task sees this number in training: one in five, spread without a pattern in its digits."""
    return number >= ALWAYS_TRAINED and number * 2_654_435_761 % 2**32 < 2**32 // 5


def draw(source: random.Random) -> int:
    """A number for training; short ones as often as long ones, or they would hardly ever come."""
    while True:
        number = source.randrange(10 ** source.choice((2, 3, 4, 5, 6, 6)))
        if not held_out(number):
            return number


def tokenizer() -> Any:
    """A tokenizer of whole number words and lone digits, which is written, not learned."""
    words = ("spell", "in", "translate", "to", "english", "german", *ENGLISH_PARTS, *GERMAN_PARTS)
    pieces = dict.fromkeys(("▁", ":", *"0123456789", *words, *(f"▁{word}" for word in words if word != "-")))
    special = [(PAD, 0.0), (END, 0.0), (UNKNOWN, -10.0)]
    made = tokenizers.Tokenizer(
        tokenizers.models.Unigram([*special, *((piece, -1.0) for piece in pieces)], unk_id=2)
    )
    made.normalizer = tokenizers.normalizers.Sequence(
        [
            tokenizers.normalizers.NFKC(),
            tokenizers.normalizers.Lowercase(),
            tokenizers.normalizers.Strip(),
            tokenizers.normalizers.Replace(tokenizers.Regex(r"\s+"), " "),
        ]
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.decoder = tokenizers.decoders.Metaspace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, model_max_length=64
    )


def model(vocabulary: int) -> Any:
    """The model before training."""
    config = transformers.T5Config(
        vocab_size=vocabulary,
        d_model=96,
        d_kv=24,
        d_ff=256,
        num_heads=4,
        num_layers=2,
        num_decoder_layers=2,
        relative_attention_num_buckets=16,
        relative_attention_max_distance=32,
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        task_specific_params={
            "translation_en_to_de": {"prefix": TASKS["translate English to German"].prefix},
            "translation_de_to_en": {"prefix": TASKS["translate German to English"].prefix},
        },
    )
    made = transformers.T5ForConditionalGeneration(config)
    made.generation_config.max_new_tokens = 32
    return made


def train(folder: Path) -> None:
    """Train for `STEPS` batches of all tasks and write a stock folder."""
    source = random.Random(common.SEED)  # noqa: S311
    pieces = tokenizer()
    learner = model(len(pieces)).train()
    optimizer = torch.optim.AdamW(learner.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=STEPS, pct_start=0.1)
    kinds = list(TASKS.values())
    for _ in common.steps(STEPS):
        examples = [source.choice(kinds).example(draw(source)) for _ in range(BATCH)]
        asked = pieces([question for question, _ in examples], padding=True, return_tensors="pt")
        wanted = pieces([answer for _, answer in examples], padding=True, return_tensors="pt").input_ids
        loss = learner(**asked, labels=wanted.masked_fill(wanted == 0, -100)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    learner.eval().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # safetensors leaves it to its owner alone
    pieces.save_pretrained(folder)
    _tidy(folder)


def _tidy(folder: Path) -> None:
    """Name the tokenizer's class as every version of transformers knows it."""
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def measure(folder: Path) -> common.Figures:
    """Exact matches on numbers that no task saw in training."""
    pieces = transformers.AutoTokenizer.from_pretrained(folder)
    learned = transformers.T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    figures: common.Figures = {}
    samples = {
        f"0–{ALWAYS_TRAINED - 1}, seen in training": list(range(ALWAYS_TRAINED)),
        f"{ALWAYS_TRAINED}–9,999, held out": _sample(ALWAYS_TRAINED, 10_000),
        f"10,000–{HIGHEST:,}, held out": _sample(10_000, HIGHEST + 1),
    }
    for which, numbers in samples.items():
        for name, task in TASKS.items():
            right = _right(learned, pieces, [task.example(number) for number in numbers])
            figures[f"{name}, {which}"] = common.share(right, len(numbers))
    figures["Parameters"] = f"{learned.num_parameters():,}"
    figures["Size of model.safetensors"] = common.size(folder / "model.safetensors")
    return figures


def _sample(low: int, high: int) -> list[int]:
    source = random.Random(common.SEED + 1)  # noqa: S311
    return source.sample([number for number in range(low, high) if held_out(number)], 1000)


def _right(learned: Any, pieces: Any, examples: list[tuple[str, str]]) -> int:
    """How many answers are exactly right, greedily, in padded batches."""
    right = 0
    for batch in _batches(examples, 250):
        asked = pieces([question for question, _ in batch], padding=True, return_tensors="pt")
        with torch.inference_mode():
            ids = learned.generate(**asked, do_sample=False)
        answers = pieces.batch_decode(ids, skip_special_tokens=True)
        right += sum(answer == wanted for answer, (_, wanted) in zip(answers, batch, strict=True))
    return right


def _batches(examples: list[tuple[str, str]], length: int) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(examples), length):
        yield examples[start : start + length]


MODEL = common.Model("number-words", (__doc__ or "").splitlines()[0], train, measure)

if __name__ == "__main__":
    given = common.parser(MODEL.about).parse_args()
    common.run(MODEL, given.output, only_evaluate=given.evaluate)
