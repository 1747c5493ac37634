"""What the painter of digits is trained on and asked with; nothing is trained here, and nothing painted."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from training import common, digits, digits_data, digits_figures, digits_parts
from training.numerals import english

FOLDER: Path = common.TRAINED / "digits"
NAMES = {english(digit): digit for digit in range(10)}


def asked_for(prompt: str) -> list[int]:
    """Every digit that a prompt names."""
    words = prompt.replace(",", " ").replace("?", " ").split()
    return [NAMES[word] if word in NAMES else int(word) for word in words if word in NAMES or word.isdigit()]


def test_painter_and_judge_share_the_digits_without_overlap() -> None:
    painters, judges = digits_data.digits()
    assert 1797 == len(painters.names) + len(judges.names)
    assert 599 == len(judges.names)
    assert (1198, digits_data.COARSE, digits_data.COARSE) == painters.coarse.shape
    for half in (painters, judges):
        assert set(range(10)) == set(half.names.tolist())
        assert np.bincount(half.names).min() >= 0.08 * len(half.names)
        assert (0.0, float(digits_data.FULL)) == (half.coarse.min(), half.coarse.max())
    both = {picture.tobytes() for picture in painters.coarse}
    assert not both & {picture.tobytes() for picture in judges.coarse}


def test_a_digit_made_large_is_dark_ink_on_white_paper_with_a_margin() -> None:
    _, judges = digits_data.digits()
    large = digits_data.pictures(judges.coarse)
    assert (599, 3, digits_data.SIDE, digits_data.SIDE) == large.shape
    assert (-1.0, 1.0) == (large.min().item(), large.max().item())
    edge = digits_data.MARGIN
    rim = [large[..., :edge, :], large[..., -edge:, :], large[..., :edge], large[..., -edge:]]
    assert all(torch.all(strip == 1) for strip in rim)
    assert torch.equal(large[:, 0], large[:, 1])
    assert torch.equal(large[:, 0], large[:, 2])


def test_what_is_made_large_can_be_made_coarse_again() -> None:
    painters, _ = digits_data.digits()
    again = digits_data.coarse(digits_data.pictures(painters.coarse))
    assert painters.coarse.shape == again.shape
    assert float(np.abs(again - painters.coarse).mean()) < 0.06 * digits_data.FULL


def test_the_judge_names_digits_that_it_has_never_seen_large_and_moved_ones_too() -> None:
    painters, judges = digits_data.digits()
    judge = digits_data.judge(judges)
    large = digits_data.pictures(painters.coarse)
    moved = digits_data.moved(large, torch.Generator().manual_seed(0))
    for seen, least in (
        (painters.coarse, 0.98),
        (digits_data.coarse(large), 0.97),
        (digits_data.coarse(moved), 0.95),
    ):
        assert (digits_data.name(judge, seen) == painters.names).mean() >= least


def test_each_picture_is_moved_in_its_own_way_and_alike_with_the_same_seed() -> None:
    one = digits_data.pictures(digits_data.digits()[0].coarse[:1]).expand(8, -1, -1, -1)
    moved = [digits_data.moved(one, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(moved[0], moved[1])
    assert not torch.equal(moved[0], moved[2])
    assert 8 == len({picture.numpy().tobytes() for picture in moved[0]})
    assert moved[0].abs().max() <= 1


@pytest.mark.parametrize("phrasing", [*digits_data.PHRASINGS, *digits_data.HELD_OUT_PHRASINGS])
def test_a_phrasing_names_its_digit_and_no_other(phrasing: str) -> None:
    asked = [asked_for(digits_data.prompt(phrasing, digit)) for digit in range(10)]
    assert [[digit] for digit in range(10)] == asked


def test_the_trap_among_the_phrasings_names_one_besides() -> None:
    asked = [asked_for(digits_data.prompt(digits_data.TWO_NAMES, digit)) for digit in range(10)]
    assert [[1, digit] for digit in range(10)] == asked


def test_articles_suit_the_digit() -> None:
    assert "a handwritten seven" == digits_data.prompt("a handwritten {word}", 7)
    assert "an eight written by hand" == digits_data.prompt("a {word} written by hand", 8)


def test_prompts_of_the_training_name_one_digit_whatever_else_they_say() -> None:
    source = random.Random(0)
    drawn = [(digit, digits_data.draw_prompt(digit, source)) for digit in range(10) for _ in range(200)]
    assert [[digit] for digit, _ in drawn] == [asked_for(prompt) for _, prompt in drawn]
    known = digits_data.words()
    padded = sum(not set(prompt.split()) <= known for _, prompt in drawn) / len(drawn)
    assert padded == pytest.approx(0.5, abs=0.05)


def test_some_of_the_training_is_without_words() -> None:
    source = random.Random(0)
    empty = sum(not digits.draw_prompt(3, source) for _ in range(4000)) / 4000
    assert empty == pytest.approx(digits.WITHOUT_WORDS, abs=0.02)


def test_no_phrasing_that_is_held_out_comes_in_training() -> None:
    held_out = {*digits_data.HELD_OUT_PHRASINGS, digits_data.TWO_NAMES}
    assert not held_out & set(digits_data.PHRASINGS)
    for phrasing in held_out:
        assert set(phrasing.replace("{word}", "").replace("{figure}", "").split()) - digits_data.words()


def test_the_tokenizer_has_a_piece_for_each_word_and_spells_the_others() -> None:
    pieces = digits_parts.tokenizer()
    start, end = pieces.bos_token_id, pieces.eos_token_id
    for word in digits_data.words():
        assert [start, pieces.convert_tokens_to_ids(f"{word}</w>"), end] == pieces(word).input_ids
    assert [*"scraw", "l</w>"] == pieces.tokenize("scrawl")
    assert pieces("A Handwritten SEVEN").input_ids == pieces("a handwritten seven").input_ids
    assert "größer" == pieces.decode(pieces("größer").input_ids, skip_special_tokens=True)


def test_prompts_are_padded_and_cut_to_what_the_text_encoder_reads() -> None:
    pieces = digits_parts.tokenizer()
    padded = pieces(["", "seven " * 100], padding="max_length", truncation=True).input_ids
    assert [digits_parts.LONGEST_PROMPT] * 2 == [len(ids) for ids in padded]
    assert padded[0][1:] == [pieces.eos_token_id] * (digits_parts.LONGEST_PROMPT - 1)
    assert pieces.eos_token_id == padded[1][-1]


def test_the_folder_is_a_stock_pipeline_without_code_of_its_own() -> None:
    index = json.loads((FOLDER / "model_index.json").read_text("utf-8"))
    classes = {name: value[1] for name, value in index.items() if isinstance(value, list) and value[1]}
    assert "StableDiffusionPipeline" == index["_class_name"]
    assert {
        "scheduler": "DDIMScheduler",
        "text_encoder": "CLIPTextModel",
        "tokenizer": "CLIPTokenizer",
        "unet": "UNet2DConditionModel",
        "vae": "AutoencoderKL",
    } == classes
    assert {".json", ".md", ".safetensors"} == {path.suffix for path in FOLDER.rglob("*") if path.is_file()}


def test_the_tokenizer_that_is_checked_in_is_the_one_that_training_makes() -> None:
    kept = json.loads((FOLDER / "tokenizer" / "tokenizer.json").read_text("utf-8"))
    made = json.loads(digits_parts.tokenizer().backend_tokenizer.to_str())
    assert made == kept


def test_the_folder_is_small_and_its_card_says_what_it_is() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 4_000_000
    card = (FOLDER / "README.md").read_text("utf-8")
    figures = common.card_figures(card)
    assert card.startswith("---\n")
    assert "cc-by-4.0" in card
    assert digits_figures.size(FOLDER) == figures["Size of all files"]
    drawn = figures[f"Asked digit drawn, {digits_figures.STEPS} steps, guidance {digits_figures.GUIDANCE:g}"]
    assert float(drawn.split()[0]) >= 90
    assert not any("/work" in path.read_text("utf-8") for path in files if path.suffix in {".json", ".md"})
