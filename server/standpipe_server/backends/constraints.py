"""What constrains the text of a causal model: which tokens may come next, and whether anything can.

Shared by the backends: each checks constraints here, so that all refuse the same ones; torch's also holds a
text to its form with what is here. Not aware of engines, or of how a token is chosen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from numpy.typing import NDArray

from standpipe_server.errors import InvalidInputError
from standpipe_server.programs import Constraint

# The library bounds its work by fuel: a form takes 0.3 s at worst to read, a step some 20 ms. What it
# remembers of a form, 1 to 2 kB a state, is bounded more tightly here than by itself.
_LIMITS = LLParserLimits(max_lexer_states=50_000, verbose_errors=False)
# As people write JSON: a space, or a new line and its indent. Where any blanks are allowed a small model may
# write them for ever.
_WHITESPACE: Any = {"whitespace_pattern": r"\x20|\n\x20{0,12}"}
_LONGEST_MESSAGE = 200
# How the library says that no text has the form.
_DEAD_END = "NoExtension"


class Matcher:
    """How far a text has come in a form.

    Args:
        matcher: The library's.
        field: Of the request, for errors.
    """

    def __init__(self, matcher: Any, field: str) -> None:
        self._matcher = matcher
        self._field = field

    def allowed(self) -> NDArray[np.bool_]:
        """The tokens that may come next, (vocabulary,); an end token among them where the text is whole.

        Raises:
            InvalidInputError: None may, or to say which is more work than a step may cost.
        """
        mask = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")
        if self._matcher.is_error():
            raise InvalidInputError(_condensed(self._matcher.get_error()), self._field)
        return mask.view(np.bool_)

    def after(self, token: int) -> Matcher | None:
        """How far it is with one token more, None where that has no place; this one stays where it is."""
        further = self._matcher.deep_copy()
        return Matcher(further, self._field) if further.consume_token(token) else None


class Constraints:
    """Constraints in a model's vocabulary, which takes half a second to read, at first use.

    Args:
        tokenizer: The model's transformers tokenizer, a fast one.
        vocabulary: How many tokens the model knows; with padding that may be more than its tokenizer does.
        ends: Ids that end a text.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, ends: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._size = max(vocabulary, len(tokenizer))
        self._ends = list(ends)

    def check(self, constraint: Constraint) -> None:
        """Refuse what no text of this model can fulfil.

        Raises:
            InvalidInputError: Saying what is wrong with the constraint.
        """
        self.matcher(constraint).allowed()

    def matcher(self, constraint: Constraint) -> Matcher:
        """The beginning of a text.

        Raises:
            InvalidInputError: The constraint can't be read.
        """
        field = f"constraint.{constraint.form}"
        try:
            grammar = _GRAMMARS[constraint.form](constraint)
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(_condensed(str(error)), field) from error
        matcher = LLMatcher(self._vocabulary, grammar, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise InvalidInputError(_condensed(matcher.get_error()), field)
        return Matcher(matcher, field)

    @cached_property
    def _vocabulary(self) -> LLTokenizer:
        if not self._ends:
            raise InvalidInputError("the model has no end token, which a constraint needs", "constraint")
        try:
            return LLTokenizer(
                self._tokenizer.backend_tokenizer.to_str(), n_vocab=self._size, eos_token=self._ends
            )
        except ValueError as error:
            raise InvalidInputError(
                f"the model's tokenizer can't be constrained: {error}", "constraint"
            ) from error


def _json_schema(constraint: Constraint) -> str:
    # The library pastes the text into a larger one: it must be one JSON value, and nothing more.
    try:
        schema = json.loads(constraint.value)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    # A schema may be true or false too, and those have no options.
    options = _WHITESPACE if isinstance(schema, dict) else None
    grammar: str = LLMatcher.grammar_from_json_schema(constraint.value, options)
    return grammar


def _regex(constraint: Constraint) -> str:
    # The library puts a slash after it, which the last one would escape.
    backslashes = len(constraint.value) - len(constraint.value.rstrip("\\"))
    if backslashes % 2:
        raise ValueError("a backslash at the end escapes nothing")
    grammar: str = LLMatcher.grammar_from_regex(constraint.value)
    return grammar


def _choices(constraint: Constraint) -> str:
    grammar: str = LLMatcher.grammar_from_regex("|".join(map(re.escape, constraint.choices)))
    return grammar


_GRAMMARS: Mapping[str, Callable[[Constraint], str]] = {
    "json_schema": _json_schema,
    "regex": _regex,
    "choices": _choices,
}


def _condensed(message: str) -> str:
    """What the library says, as one short line, without what it says of itself."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith("error: ")), lines[0] if lines else "unknown")
    said = said.removeprefix("error: ").rpartition("(in regex): ")[2]
    if said.startswith(_DEAD_END):
        return "no text has this form"
    return said if len(said) <= _LONGEST_MESSAGE else f"{said[:_LONGEST_MESSAGE]}…"
