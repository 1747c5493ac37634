"""Numbers from 0 to 999,999 as English and German words."""

from __future__ import annotations

HIGHEST = 999_999

_ENGLISH_ONES = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_ENGLISH_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_GERMAN_ONES = (
    *(
        "null",
        "eins",
        "zwei",
        "drei",
        "vier",
        "fünf",
        "sechs",
        "sieben",
        "acht",
        "neun",
        "zehn",
        "elf",
        "zwölf",
    ),
    *("dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"),
)
_GERMAN_TENS = (
    "",
    "",
    "zwanzig",
    "dreißig",
    "vierzig",
    "fünfzig",
    "sechzig",
    "siebzig",
    "achtzig",
    "neunzig",
)

ENGLISH_PARTS = (*_ENGLISH_ONES, *_ENGLISH_TENS[2:], "hundred", "thousand", "-")
"""Everything that `english` puts together, spaces aside."""

GERMAN_PARTS = (*_GERMAN_ONES, *_GERMAN_TENS[2:], "ein", "und", "hundert", "tausend")
"""Everything that `german` puts together."""


def english(number: int) -> str:
    """A number in American English: hyphens within tens, no "and"."""
    _check(number)
    thousands, rest = divmod(number, 1000)
    if not thousands:
        return _english_below_1000(rest)
    return f"{_english_below_1000(thousands)} thousand" + (f" {_english_below_1000(rest)}" if rest else "")


def german(number: int) -> str:
    """A number in German, as one word; a leading one is said: einhundert, eintausend."""
    _check(number)
    thousands, rest = divmod(number, 1000)
    if not thousands:
        return _german_below_1000(rest)
    return f"{_before(thousands)}tausend" + (_german_below_1000(rest) if rest else "")


def _english_below_1000(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return _english_below_100(rest)
    return f"{_ENGLISH_ONES[hundreds]} hundred" + (f" {_english_below_100(rest)}" if rest else "")


def _english_below_100(number: int) -> str:
    tens, ones = divmod(number, 10)
    if tens < 2:
        return _ENGLISH_ONES[number]
    return _ENGLISH_TENS[tens] + (f"-{_ENGLISH_ONES[ones]}" if ones else "")


def _german_below_1000(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return _german_below_100(rest)
    return f"{_before(hundreds)}hundert" + (_german_below_100(rest) if rest else "")


def _german_below_100(number: int) -> str:
    tens, ones = divmod(number, 10)
    if tens < 2:
        return _GERMAN_ONES[number]
    return (f"{_before(ones)}und" if ones else "") + _GERMAN_TENS[tens]


def _before(number: int) -> str:
    """A number within a longer word, where a final "eins" loses its s."""
    return _german_below_1000(number).removesuffix("s") if number % 100 == 1 else _german_below_1000(number)


def _check(number: int) -> None:
    if not 0 <= number <= HIGHEST:
        raise ValueError(f"{number} isn't between 0 and {HIGHEST}")
