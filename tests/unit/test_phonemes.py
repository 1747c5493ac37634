"""Where a text pauses, and what espeak-ng makes of it: its words only, whatever is written there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from standpipe_server.errors import ModelFailedError, ModelLoadError
from standpipe_server.media.phonemes import Phonemizer, clauses

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng isn't installed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world. How are you?", ["Hello,|world.", "How are you?"]),
        ("One; two: three! Four", ["One;|two:|three!", "Four"]),
        ('He said: "no!" (Really.) [Yes?] “Well.” Go', ["He said:|no!", "Really.", "Yes?", "Well.", "Go"]),
        (
            "At 10:30 it was 3.14, or 1,000.5; see a.b/c?d=e now",
            ["At 10:30 it was 3.14,|or 1,000.5;|see a.b/c?d=e now"],
        ),
        ("What?! No!? Well... then… Stop... Go.", ["What?", "No!", "Well;|then;|Stop;|Go."]),
        ("Yes – no — perhaps well-known", ["Yes;|no;|perhaps well-known"]),
        (
            "Dr. Smith met Mrs. J. Jones at St. John. Good.",
            ["Dr. Smith met Mrs. J. Jones at St. John.", "Good."],
        ),
        (
            "The U.S.A. is big, e.g., here. It ends at 5 p.m.",
            ["The U.S.A. is big,|e.g,|here.", "It ends at 5 p.m."],
        ),
        ("a point. then a small letter", ["a point. then a small letter"]),
        ("A heading\n\nThe text\ngoes on.\n \nMore", ["A heading", "The text goes on.", "More"]),
        ("你好。世界，很好！", ["你好.", "世界,|很好!"]),
        ("", []),
        (" \n\n ... ?! — “” ", []),
        ("Hello. ... ! World", ["Hello.", "World"]),
        ("take [[h@l@U]] or [[[x", ["take [ [h@l@U]] or [ [ [x"]),
        ("a\x00b\x01c\x7fd\te", ["a b c d e"]),
    ],
)
def test_a_text_is_cut_where_a_reader_pauses(text: str, expected: list[str]) -> None:
    sentences: dict[int, list[str]] = {}
    for clause in clauses(text):
        sentences.setdefault(clause.sentence, []).append(clause.words.strip("\"'“”([") + clause.mark)
    assert expected == ["|".join(parts) for parts in sentences.values()]


@pytest.mark.parametrize("text", ["word " * 400, "x" * 1500, "学" * 1500])
def test_no_clause_is_longer_than_the_line_that_the_program_reads(text: str) -> None:
    parts = list(clauses(text + "."))
    assert len(text.replace(" ", "")) == sum(len(part.words.replace(" ", "")) for part in parts)
    assert max(len(part.words.encode()) for part in parts) < 1000
    assert {0} == {part.sentence for part in parts}
    assert ["."] == [part.mark for part in parts if part.mark]


@needs_espeak
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The quick brown fox.", ["ðə kwˈɪk bɹˈaʊn fˈɑːks."]),
        ("Hello, world! Are you well?", ["həlˈoʊ, wˈɜːld!", "ɑːɹ juː wˈɛl?"]),
        ("-v de", ["vˈiː də"]),
        ("--stdin -f no.txt\n-q", ["ˌɛstˈiːdˈɪn ˈɛf nˈoʊ dˈɑːt tˌiːˌɛkstˈiː kjˈuː"]),
        ("", []),
        ("?!", []),
    ],
)
def test_a_text_is_written_as_it_sounds_sentence_by_sentence(text: str, expected: list[str]) -> None:
    assert expected == Phonemizer("en-us").phonemes(text)


@needs_espeak
def test_an_order_of_the_program_in_the_text_is_read_aloud() -> None:
    both = Phonemizer("en-us").phonemes("[[h@l@U]] \x01s50S")
    assert Phonemizer("en-us").phonemes("[ [h@l@U]] s50S") == both


@needs_espeak
def test_signs_are_decomposed_and_changes_of_the_voice_are_left_out() -> None:
    [said] = Phonemizer("de").phonemes("ich mag den Computer, den ich mag, und das Update")
    assert "ç" not in said
    assert "c\u0327" in said
    assert not {"(", ")"} & set(said)


@needs_espeak
def test_rare_signs_that_give_empty_lines_take_nothing_from_the_clauses_beside_them() -> None:
    odd = '\u0122\u053bA\u05f3 )1\u0907\u0560\u01c1\u048e1R" 3\u04ae\u0194B'
    said = Phonemizer("en-us").phonemes(f"One. {odd}. Two, three.")
    assert "wˈʌn." == said[0]
    assert "tˈuː, θɹˈiː." == said[-1]


@needs_espeak
def test_a_voice_that_is_not_there_is_named_when_it_is_loaded() -> None:
    with pytest.raises(
        ModelLoadError, match=r"espeak-ng doesn't speak as 'nonsense'.*ended with 1.*--voices"
    ):
        Phonemizer("nonsense")


def test_where_the_program_is_missing_loading_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelLoadError, match=r"piper voices needs espeak-ng.*Debian.*package espeak-ng"):
        Phonemizer("en-us")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A program in espeak-ng's place that does what its file ``does`` says."""
    script = tmp_path / "espeak-ng"
    script.write_text(f"#!/bin/sh\n. {tmp_path}/does\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "does").write_text("echo a")
    return tmp_path / "does"


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("exec sleep 60", "was stopped after 0.3 s"),
        ("exec yes", "said more than [0-9]+ bytes of 5"),
        ("exit 3", "ended with 3"),
    ],
)
def test_a_program_that_misbehaves_is_stopped_and_fails_the_call_alone(
    program: Path, does: str, words: str
) -> None:
    phonemizer = Phonemizer("en-us", timeout=0.3)
    program.write_text(does)
    with pytest.raises(ModelFailedError, match=words):
        phonemizer.phonemes("Hello")
    program.write_text("echo again")
    assert ["again"] == phonemizer.phonemes("Hello")
