"""Texts to the signs of their sounds (IPA), by the program espeak-ng.

The program drops punctuation, which a voice reads as pauses and as the tune of a question. So a text is cut
into clauses before, about where the program itself pauses, and each gets its mark again after it.

Not aware of voices that are models, of their tokenizers, or of messages.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from tempfile import TemporaryFile
from threading import Timer

from standpipe_server.errors import ModelFailedError, ModelLoadError

_PROGRAM = "espeak-ng"
# A voice knows these marks; what else the program pauses at is one of them to it.
_MARKS = {
    **{mark: mark for mark in ".,;:?!"},
    **dict(zip("。、，；：？！…–—", ".,,;:?!;;;", strict=True)),
}
_ENDS_SENTENCE = ".?!"
_PARAGRAPH = re.compile(r"\n\s*\n")
_PAUSE = re.compile(
    r"""([.,;:?!…]+)["'”’»)\]]*(?=\s|$)  # not 3.14, 10:30 or a.b
    |(?<=\s)([–—])(?=\s)
    |([。、，；：？！]+)[」』”’）]*""",
    re.VERBOSE,
)
_NEXT_LETTER = re.compile(r"""\s*["'“‘«(\[]*(\w?)""")
# What a point follows without ending a sentence: a letter (U.S., J. Smith, p.m.), and titles before names.
_SHORTENED = re.compile(
    r"(?<!\w)(?:[^\W\d_]|mrs?|ms|drs?|prof|st|rev|gen|col|capt|lt|sgt|vs)$", re.IGNORECASE
)
_LONGEST_SHORTENED = 6
# Nothing but a text: the program takes [[ for its own phonemes, and control characters for orders.
_OPENS_PHONEMES = re.compile(r"\[(?=\[)")
# Where the program changes to the voice of another language and back, it says so: (en), (de).
_CHANGES_VOICE = re.compile(r"\([\w-]+\)")
# The program reads lines of less than 1000 bytes; a sign takes four at most.
_LINE = 240
# A sign is called by its name, which is longer: 😀 is "grinning face".
_MOST_PER_BYTE = 64


@dataclass(frozen=True, slots=True)
class Clause:
    """What is said in one breath.

    Attributes:
        words: Without the mark at its end.
        mark: One of ``, . ; : ? !``, or none.
        sentence: Which one of the text it belongs to, from 0.
    """

    words: str
    mark: str
    sentence: int


class Phonemizer:
    """Writes texts as a voice of espeak-ng says them, each by a process of its own: from any thread.

    Args:
        voice: As espeak-ng calls it: "en-us".
        timeout: Seconds that it may take for a text.

    Raises:
        ModelLoadError: espeak-ng isn't installed, or has no such voice.
    """

    def __init__(self, voice: str, timeout: float = 10.0) -> None:
        program = shutil.which(_PROGRAM)
        if program is None:
            raise ModelLoadError(
                f"speech synthesis with piper voices needs {_PROGRAM}, which isn't installed: "
                f"on Debian and Ubuntu it is the package {_PROGRAM}"
            )
        # -b 1: the text is UTF-8. It comes by stdin: as an argument it could be taken for an option.
        self._command = [program, "-q", "--ipa", "-b", "1", "-v", voice]
        self._timeout = timeout
        try:
            self._said(["a"])
        except ModelFailedError as error:
            raise ModelLoadError(
                f"{_PROGRAM} doesn't speak as {voice!r}: {error}; `{_PROGRAM} --voices` lists what it can"
            ) from error

    def phonemes(self, text: str) -> list[str]:
        """Write a text as it sounds.

        Args:
            text: Of any language that the voice speaks.

        Returns:
            A string for each sentence, in Unicode's decomposed form, as Piper has it, with its punctuation;
            none where there is nothing to say.

        Raises:
            ModelFailedError: espeak-ng failed, or took too long.
        """
        parts = list(clauses(text))
        said = self._said([part.words for part in parts]) if parts else []
        clauses_said = (
            (part.sentence, sounds + part.mark) for part, sounds in zip(parts, said, strict=True) if sounds
        )
        return [
            " ".join(sounds for _, sounds in those) for _, those in groupby(clauses_said, lambda one: one[0])
        ]

    def _said(self, lines: Sequence[str]) -> list[str]:
        """How each line sounds; each gives one line or more, and the empty ones between them an empty one."""
        output = self._run("\n\n".join(lines).encode(errors="replace"))
        said = output.decode(errors="replace").removesuffix("\n").split("\n\n")
        if len(said) != len(lines):
            # Some rare signs give an empty line of their own: then it's found out whose it is.
            if len(lines) > 1:
                half = len(lines) // 2
                return self._said(lines[:half]) + self._said(lines[half:])
            said = [" ".join(said)]
        plain = (_CHANGES_VOICE.sub("", unicodedata.normalize("NFD", sounds)) for sounds in said)
        return [" ".join(sounds.split()) for sounds in plain]

    def _run(self, content: bytes) -> bytes:
        most, output = (len(content) + _LINE) * _MOST_PER_BYTE, b""
        with TemporaryFile() as given:
            # A file, so that nobody waits for anybody: the program reads when it likes.
            given.write(content + b"\n")
            given.seek(0)
            with subprocess.Popen(  # noqa: S603
                self._command, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as process:
                late = Timer(self._timeout, process.kill)
                late.start()
                try:
                    output = process.stdout.read(most + 1) if process.stdout else output
                    if len(output) > most:
                        raise ModelFailedError(f"{_PROGRAM} said more than {most} bytes of {len(content)}")
                    code = process.wait()
                finally:
                    process.kill()
                    late.cancel()
        if code < 0:
            raise ModelFailedError(f"{_PROGRAM} was stopped after {self._timeout:g} s")
        if code:
            raise ModelFailedError(f"{_PROGRAM} ended with {code}")
        return output


def clauses(text: str) -> Iterator[Clause]:
    """Cut a text where a reader pauses; what has neither letters nor digits is left out.

    Args:
        text: May have several paragraphs, each of which ends a sentence.
    """
    sentence = 0
    for paragraph in _PARAGRAPH.split(text):
        for words, mark in _cut(paragraph):
            lines = textwrap.wrap(_plain(words), _LINE, break_on_hyphens=False)
            spoken = [line for line in lines if any(map(str.isalnum, line))]
            for line in spoken[:-1]:
                yield Clause(line, "", sentence)
            if spoken:
                yield Clause(spoken[-1], mark, sentence)
            sentence += bool(mark) and mark in _ENDS_SENTENCE
        sentence += 1


def _cut(text: str) -> Iterator[tuple[str, str]]:
    """Words, and the mark after them."""
    begin = 0
    for found in _PAUSE.finditer(text):
        mark = _mark(found[1] or found[2] or found[3])
        if mark == "." and found[1] and _goes_on(text, found):
            continue
        yield text[begin : found.start()], mark
        begin = found.end()
    yield text[begin:], ""


def _mark(run: str) -> str:
    """What several marks come to: ``?!`` asks, ``...`` waits, and of ``e.g.,`` the comma counts."""
    first = run.lstrip(".…")[:1]
    if first:
        return _MARKS[first]
    return "." if run == "." else _MARKS["…"]


def _goes_on(text: str, point: re.Match[str]) -> bool:
    """Whether a sentence goes on after a point."""
    letter = _NEXT_LETTER.match(text, point.end())
    if letter is None or not letter[1]:
        return False
    before = text[max(0, point.start() - _LONGEST_SHORTENED) : point.start()]
    return letter[1].islower() or _SHORTENED.search(before) is not None


def _plain(words: str) -> str:
    """Words as the program takes them for nothing else."""
    visible = "".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in words)
    return _OPENS_PHONEMES.sub("[ ", visible).strip()
