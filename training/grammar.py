"""Sentences from patterns: a section of a word list for each slot, filled at random."""

from __future__ import annotations

import random
import re
from pathlib import Path

WORDS = Path(__file__).resolve().parent / "words"

_SLOT = re.compile(r"\{(~?)([^{}]+)\}")


def read_sections(*names: str) -> dict[str, list[str]]:
    """Word lists by section: "== name", then what is in it, parted by lines and bars.

    Raises:
        ValueError: A section comes twice.
    """
    sections: dict[str, list[str]] = {}
    for name in names:
        current: list[str] = []
        for line in (WORDS / name).read_text("utf-8").splitlines():
            if line.startswith("=="):
                if line.strip("= ") in sections:
                    raise ValueError(f"{name} has {line} twice")
                current = sections.setdefault(line.strip("= "), [])
            elif line and not line.startswith("#"):
                current += (item.strip() for item in line.split("|"))
    return sections


class Grammar:
    """Fills patterns from word lists that may differ by side ("good", "bad") and domain ("film").

    A slot {x} is filled from the most special section that there is: "film good x", "film x", "good x", "x".
    {~x} is filled from the other side, as is everything that it brings with it. {X} begins with a capital
    letter.
    """

    def __init__(self, sections: dict[str, list[str]], sides: tuple[str, str]) -> None:
        self._sections = sections
        self._sides = sides

    def fill(self, pattern: str, source: random.Random, *, side: int, domain: str) -> str:
        """One sentence of a pattern."""

        def one(slot: re.Match[str]) -> str:
            turned = side ^ bool(slot[1])
            chosen = source.choice(self._section(slot[2].lower(), turned, domain))
            words = self.fill(chosen, source, side=turned, domain=domain)
            return _capital(words) if slot[2][0].isupper() else words

        return _SLOT.sub(one, pattern)

    def _section(self, slot: str, side: int, domain: str) -> list[str]:
        sided = f"{self._sides[side]} {slot}"
        for name in (f"{domain} {sided}", f"{domain} {slot}", sided, slot):
            if name in self._sections:
                return self._sections[name]
        raise KeyError(f"no words for {slot}")


def with_articles(sentence: str) -> str:
    """The sentence with "an" where "a" stands before a vowel."""
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", sentence)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
