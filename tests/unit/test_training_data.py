"""What the small models are trained on and measured with; nothing is trained here."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from training import common, ner_data, number_words, sentiment_data
from training.grammar import Grammar, with_articles
from training.numerals import ENGLISH_PARTS, GERMAN_PARTS, HIGHEST, english, german

MODELS = {
    "sentiment": "adapter.safetensors",
    "ner": "adapter.safetensors",
    "number-words": "model.safetensors",
}


@pytest.mark.parametrize(
    ("number", "in_english", "in_german"),
    [
        (0, "zero", "null"),
        (1, "one", "eins"),
        (7, "seven", "sieben"),
        (10, "ten", "zehn"),
        (11, "eleven", "elf"),
        (12, "twelve", "zwölf"),
        (16, "sixteen", "sechzehn"),
        (17, "seventeen", "siebzehn"),
        (20, "twenty", "zwanzig"),
        (21, "twenty-one", "einundzwanzig"),
        (30, "thirty", "dreißig"),
        (60, "sixty", "sechzig"),
        (76, "seventy-six", "sechsundsiebzig"),
        (100, "one hundred", "einhundert"),
        (101, "one hundred one", "einhunderteins"),
        (110, "one hundred ten", "einhundertzehn"),
        (999, "nine hundred ninety-nine", "neunhundertneunundneunzig"),
        (1000, "one thousand", "eintausend"),
        (1001, "one thousand one", "eintausendeins"),
        (1100, "one thousand one hundred", "eintausendeinhundert"),
        (9999, "nine thousand nine hundred ninety-nine", "neuntausendneunhundertneunundneunzig"),
        (21_000, "twenty-one thousand", "einundzwanzigtausend"),
        (101_101, "one hundred one thousand one hundred one", "einhunderteintausendeinhunderteins"),
        (
            777_777,
            "seven hundred seventy-seven thousand seven hundred seventy-seven",
            "siebenhundertsiebenundsiebzigtausendsiebenhundertsiebenundsiebzig",
        ),
    ],
)
def test_numbers_are_written_as_people_write_them(number: int, in_english: str, in_german: str) -> None:
    assert in_english == english(number)
    assert in_german == german(number)


@pytest.mark.parametrize("number", [-1, HIGHEST + 1])
def test_a_number_beyond_the_words_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="isn't between"):
        english(number)
    with pytest.raises(ValueError, match="isn't between"):
        german(number)


def test_no_two_numbers_are_written_alike_and_all_are_made_of_the_known_parts() -> None:
    numbers = [*range(10_000), *random.Random(0).sample(range(10_000, HIGHEST), 5000)]
    in_english, in_german = [english(number) for number in numbers], [german(number) for number in numbers]
    assert len(numbers) == len(set(in_english)) == len(set(in_german))
    assert set(re.findall(r"[a-z]+|-", " ".join(in_english))) == set(ENGLISH_PARTS)
    parts = "|".join(sorted(GERMAN_PARTS, key=len, reverse=True))
    assert all(re.fullmatch(f"({parts})+", word) for word in in_german)


def test_the_tokenizer_of_number_words_gives_back_what_it_took_and_has_no_unknown_words() -> None:
    pieces = number_words.tokenizer()
    for number in (0, 7, 16, 21, 101, 1100, 9999, 101_101, 999_999):
        for task in number_words.TASKS.values():
            question, answer = task.example(number)
            ids = pieces(answer).input_ids
            assert answer == pieces.decode(ids, skip_special_tokens=True)
            assert pieces.unk_token_id not in ids + pieces(question).input_ids
            assert pieces.eos_token_id == ids[-1]
            assert len(ids) <= 32
    assert pieces("hello").input_ids[-2] == pieces.unk_token_id
    assert pieces("Twenty-One").input_ids == pieces("twenty-one").input_ids


def test_a_fifth_of_the_numbers_is_held_out_and_never_drawn_for_training() -> None:
    assert not any(number_words.held_out(number) for number in range(number_words.ALWAYS_TRAINED))
    for low, high in ((100, 1000), (1000, 10_000), (10_000, 100_000)):
        share = sum(number_words.held_out(number) for number in range(low, high)) / (high - low)
        assert share == pytest.approx(0.2, abs=0.02)
    source = random.Random(0)
    assert not any(number_words.held_out(number_words.draw(source)) for _ in range(5000))


def test_the_other_side_of_a_pattern_turns_everything_that_it_brings() -> None:
    sections = {
        "good adj": ["good"],
        "bad adj": ["bad"],
        "fact": ["the {thing} is {adj}"],
        "film thing": ["cast"],
        "thing": ["hose"],
    }
    grammar = Grammar(sections, ("bad", "good"))
    source = random.Random(0)
    said = grammar.fill("{~Fact}, but it is {adj}.", source, side=1, domain="film")
    assert "The cast is bad, but it is good." == said
    assert "the hose is bad" == grammar.fill("{fact}", source, side=0, domain="food")
    with pytest.raises(KeyError, match="no words for colour"):
        grammar.fill("{colour}", source, side=0, domain="film")


def test_articles_suit_the_word_that_follows() -> None:
    assert "An honest man" == with_articles("An honest man")
    assert "an apple and a pear" == with_articles("a apple and a pear")


def plain(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


def test_sentences_of_sentiment_are_balanced_and_none_that_is_held_out_can_come_in_training() -> None:
    held_out = sentiment_data.held_out()
    assert len(held_out) >= 120
    assert len(held_out) == len({plain(example.text) for example in held_out})
    kinds = Counter((example.kind, example.label) for example in held_out)
    assert set(kinds) == {
        (kind, label) for kind in ("plain", "negation", "contrast", "question") for label in (0, 1)
    }
    assert all(kinds[kind, 0] == kinds[kind, 1] for kind, _ in kinds)

    texts = {plain(example.text) for example in held_out}
    made = sentiment_data.sample(20_000, random.Random(0))
    assert {0: 10_000, 1: 10_000} == Counter(example.label for example in made)
    assert not any("{" in example.text or "|" in example.text for example in made)
    assert not texts & {plain(example.text) for example in made}
    ready = (item for items in sentiment_data.sections().values() for item in items)
    assert not texts & {plain(item) for item in ready}


def test_every_domain_of_sentiment_can_praise_and_blame() -> None:
    sections = sentiment_data.sections()
    domains = [name.removesuffix(" thing") for name in sections if name.endswith(" thing")]
    assert len(domains) >= 20
    for domain in domains:
        assert len(sections[f"{domain} good fact"]) >= 5
        assert len(sections[f"{domain} bad fact"]) >= 5


def test_no_word_stands_on_both_sides() -> None:
    sections = sentiment_data.sections()
    for name, words in sections.items():
        if "good " in name:
            assert not set(words) & set(sections[name.replace("good ", "bad ")]), name


def test_marked_sentences_are_read_as_text_and_spans() -> None:
    example = ner_data.parse("[PER Ada Lovelace] wrote from [LOC Turin].")
    assert "Ada Lovelace wrote from Turin." == example.text
    assert ["Ada Lovelace", "Turin"] == example.names()
    assert ["PER", "LOC"] == [entity.kind for entity in example.entities]


@pytest.mark.parametrize("marked", ["[DOG Rex] barked", "[PER Ada", "Ada] wrote", "[PER ] wrote"])
def test_a_sentence_that_is_marked_wrongly_is_refused(marked: str) -> None:
    with pytest.raises(ValueError, match=r"isn't one of|stands alone"):
        ner_data.parse(marked)


def test_an_entity_begins_once_and_goes_on_to_its_end() -> None:
    example = ner_data.parse("[PER Ada Lovelace] met [PER Babbage] in [LOC Turin].")
    offsets = [found.span() for found in re.finditer(r"\w+|\.", example.text)]
    tags = [ner_data.LABELS[tag] for tag in ner_data.tags(example, offsets)]
    assert ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "O"] == tags


def test_labels_are_outside_first_and_then_pairs() -> None:
    assert ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG") == ner_data.LABELS


def test_made_and_held_out_sentences_have_tags_that_fit_their_words() -> None:
    for example in [*ner_data.held_out(), *ner_data.sample(3000, random.Random(0))]:
        assert not re.search(r"[{}|]", example.text)
        offsets = [found.span() for found in re.finditer(r"\w+|[^\w\s]", example.text)]
        tags = [ner_data.LABELS[tag] for tag in ner_data.tags(example, offsets)]
        assert len(example.entities) == sum(tag.startswith("B") for tag in tags)
        for before, tag in zip(["O", *tags], tags, strict=False):
            assert not tag.startswith("I") or before[2:] == tag[2:]
        assert all(name == name.strip() and not name.lower().startswith("the ") for name in example.names())


def test_most_names_that_are_held_out_are_new_and_so_are_all_sentences() -> None:
    held_out = ner_data.held_out()
    assert len(held_out) >= 80
    made = ner_data.sample(20_000, random.Random(0))
    known = {plain(name) for example in made for name in example.names()}
    known |= {plain(item) for items in ner_data.sections().values() for item in items}
    names = [plain(name) for example in held_out for name in example.names()]
    assert sum(name in known for name in names) / len(names) <= 0.1
    assert not {plain(example.text) for example in held_out} & {plain(example.text) for example in made}


@pytest.mark.parametrize("name", MODELS)
def test_weights_are_small_and_their_card_says_what_they_are(name: str) -> None:
    folder = common.TRAINED / name
    assert (folder / MODELS[name]).stat().st_size <= 2_000_000
    card = (folder / "README.md").read_text("utf-8")
    assert card.startswith("---\n")
    assert "license: apache-2.0" in card
    assert common.size(folder / MODELS[name]) in card
    assert len(common.card_figures(card)) >= 5
    assert "/work" not in card


def test_figures_are_put_into_a_card_and_read_from_it_again() -> None:
    card = (
        "# A card\n\n<!-- figures: by the training command -->\nold\n<!-- end of figures -->\n\nThe rest.\n"
    )
    figures = {"Accuracy": "50.0 % (1 of 2)", "Size": "0.10 MB"}
    filled = common.with_figures(common.with_figures(card, {"Old": "1"}), figures)
    assert figures == common.card_figures(filled)
    assert "old" not in filled.lower()
    assert filled.endswith("The rest.\n")


def test_number_words_know_their_tasks_as_t5_does() -> None:
    folder: Path = common.TRAINED / "number-words"
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert {
        "translation_en_to_de": {"prefix": "translate English to German: "},
        "translation_de_to_en": {"prefix": "translate German to English: "},
    } == config["task_specific_params"]
