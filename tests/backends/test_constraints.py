"""Constraints in a tiny vocabulary of byte pairs."""

from __future__ import annotations

import json
import time

import pytest
import transformers

from standpipe_server.backends.constraints import Constraints
from standpipe_server.errors import InvalidInputError
from standpipe_server.programs import Constraint
from tiny_models import byte_pairs, word_pieces

END = 2


@pytest.fixture(scope="module")
def tokenizer() -> transformers.PreTrainedTokenizerFast:
    return byte_pairs(ends=False)


@pytest.fixture(scope="module")
def constraints(tokenizer: transformers.PreTrainedTokenizerFast) -> Constraints:
    # A model's vocabulary may have room that its tokenizer doesn't use.
    return Constraints(tokenizer, len(tokenizer) + 5, [END])


def schema(**rules: object) -> Constraint:
    return Constraint("json_schema", json.dumps(rules))


DEEP = "[" * 100_000
BOMB = schema(
    allOf=[
        {"anyOf": [{"type": "object", "properties": {f"{i}{j}": {"type": "string"}}} for j in range(5)]}
        for i in range(10)
    ]
)


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (Constraint("json_schema", '{"type":'), "not JSON: Expecting value: line 1 column 9"),
        (Constraint("json_schema", '{}}, {"lark_grammar": "start: /a/"'), "not JSON: Extra data"),
        (Constraint("json_schema", DEEP), "maximum recursion depth"),
        (Constraint("json_schema", "3"), "schema must be an object or boolean"),
        (Constraint("json_schema", "false"), "Unsatisfiable schema"),
        (schema(type="nonsense"), "Invalid type: nonsense"),
        (schema(type="array", uniqueItems=True), 'Unimplemented keys: \\["uniqueItems"\\]'),
        (schema(type="integer", minimum=5, maximum=3), "minimum \\(5\\) is greater than maximum \\(3\\)"),
        (schema(type="string", pattern="((("), "unclosed group"),
        (schema(**{"$ref": "#/nowhere"}), "Pointer '/nowhere' does not exist"),
        (schema(**{"$defs": {"n": {"$ref": "#/$defs/n"}}, "$ref": "#/$defs/n"}), "no text has this form"),
        (schema(type="integer", multipleOf=982451653), "fuel exhausted"),
        (BOMB, "schema too large"),
        (Constraint("regex", "((("), "^unclosed group$"),
        (Constraint("regex", "(?=a)b"), "look-ahead and look-behind, is not supported"),
        (Constraint("regex", "\\bfoo"), "^lookarounds not supported"),
        (Constraint("regex", "[^\\s\\S]"), "no text has this form"),
        (Constraint("regex", "a[^\\s\\S]b|b[^\\s\\S]"), "no text has this form"),
        (Constraint("regex", "(" * 5000 + ")" * 5000), "nested"),
        (Constraint("regex", "a\\"), "a backslash at the end escapes nothing"),
    ],
)
def test_what_no_text_can_fulfil_is_refused_in_a_line(
    constraints: Constraints, constraint: Constraint, message: str
) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidInputError, match=message) as caught:
        constraints.check(constraint)
    assert f"constraint.{constraint.form}" == caught.value.field
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("constraint", "texts", "others"),
    [
        (Constraint("regex", "(yes|no), [0-9]{2}"), ["yes, 42", "no, 00"], ["yes", "yes, 423", " no, 00"]),
        (Constraint("regex", "é日?/"), ["é/", "é日/"], ["é", "日/"]),
        (Constraint("regex", ""), [""], ["a"]),
        (
            Constraint("choices", choices=("a", "ab|c", ".*", "\n")),
            ["a", "ab|c", ".*", "\n"],
            ["ab", "c", "x"],
        ),
        (schema(type="integer", minimum=3, maximum=12), ["3", "12"], ["2", "13", "x", "03"]),
        (
            schema(const={"a": [1, 2]}),
            ['{"a":[1,2]}', '{\n  "a": [1, 2]\n}'],
            ['{"a":[2,1]}', '{"a":\t[1,2]}'],
        ),
        (Constraint("json_schema", "true"), ['"x"', "null", "[]"], ["x"]),
    ],
)
def test_a_form_lets_its_texts_through_and_no_others(
    tokenizer: transformers.PreTrainedTokenizerFast,
    constraints: Constraints,
    constraint: Constraint,
    texts: list[str],
    others: list[str],
) -> None:
    def fits(text: str) -> bool:
        matcher = constraints.matcher(constraint)
        for token in [*tokenizer(text)["input_ids"], END]:
            if not matcher.allowed()[token]:
                return False
            after = matcher.after(token)
            assert after is not None
            matcher = after
        return True

    constraints.check(constraint)
    assert texts == [text for text in [*texts, *others] if fits(text)]


def test_a_matcher_stays_where_it_is(
    tokenizer: transformers.PreTrainedTokenizerFast, constraints: Constraints
) -> None:
    beginning = constraints.matcher(Constraint("choices", choices=("ab", "b")))
    a, b = tokenizer("a")["input_ids"][0], tokenizer("b")["input_ids"][0]
    assert beginning.after(END) is None
    further = beginning.after(a)
    assert further is not None
    assert [True, False] == [bool(beginning.allowed()[a]), bool(further.allowed()[a])]
    assert further.allowed()[b]
    assert len(beginning.allowed()) >= len(tokenizer) + 5


def test_large_forms_are_read_in_bounded_time(constraints: Constraints) -> None:
    started = time.monotonic()
    constraints.check(Constraint("choices", choices=tuple(f"word {i * 7919}" for i in range(20_000))))
    constraints.check(Constraint("regex", "((a{1,1000}){1,1000}){1,1000}"))
    constraints.check(schema(type="string", maxLength=10_000_000))
    assert time.monotonic() - started < 20


def test_a_model_without_an_end_or_with_another_tokenizer_takes_no_constraints(
    tokenizer: transformers.PreTrainedTokenizerFast,
) -> None:
    with pytest.raises(InvalidInputError, match="the model has no end token"):
        Constraints(tokenizer, 10, []).check(Constraint("regex", "a"))
    with pytest.raises(InvalidInputError, match="tokenizer can't be constrained"):
        Constraints(word_pieces(64), 10, [3]).check(Constraint("regex", "a"))
