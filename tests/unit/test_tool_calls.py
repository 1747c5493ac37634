"""Calls of tools, found in what a model writes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from standpipe_server.tasks.tool_calls import Called, Found, ToolCallFinder

TOOLS = ["pour", "stop"]
POUR = '{"name": "pour", "arguments": {"litres": 3}}'
STOP = '{"name": "stop"}'
POURED, STOPPED = Called("pour", '{"litres": 3}'), Called("stop", "{}")


def tag(*calls: str, between: str = "\n") -> str:
    """Calls as Hermes and Qwen write them."""
    return between.join(f"<tool_call>\n{one}\n</tool_call>" for one in calls)


def found(chunks: Iterable[str], tools: Iterable[str] = TOOLS) -> Found:
    """The text and the calls of a text that comes in chunks."""
    finder = ToolCallFinder(list(tools))
    parts = [*(finder.add(chunk) for chunk in chunks), finder.rest()]
    assert ("", []) == finder.rest()
    return "".join(text for text, _ in parts), [one for _, calls in parts for one in calls]


# What is written, what of it is text, and the calls.
CALLS: list[tuple[str, str, list[Called]]] = [
    (tag(POUR), "", [POURED]),
    (f"<tool_call>{POUR}</tool_call>", "", [POURED]),
    (tag(POUR, STOP), "", [POURED, STOPPED]),
    (tag(POUR, STOP, between=""), "", [POURED, STOPPED]),
    (tag(f"[{POUR}, {STOP}]"), "", [POURED, STOPPED]),
    (f"  \n{tag(POUR)}\n\n", "", [POURED]),
    (f"Of course.\n{tag(POUR)}", "Of course.", [POURED]),
    (f"Now. {tag(POUR)}\nAnd then {tag(STOP)} it ends.\n", "Now.\nAnd then it ends.", [POURED, STOPPED]),
    (f"[sic] {tag(POUR)}", "[sic]", [POURED]),
    (f"{{so}} {tag(POUR)}", "{so}", [POURED]),
    (f"a < b <tool_ca {tag(POUR)}", "a < b <tool_ca", [POURED]),
    (f"no end </tool_call> {tag(POUR)}", "no end </tool_call>", [POURED]),
    (f"{tag('{')} {tag(POUR)}", tag("{"), [POURED]),
    (f"{tag(POUR)} <tool_call>{STOP}", f" <tool_call>{STOP}", [POURED]),
    (POUR, "", [POURED]),
    (f"\n {POUR} \n", "", [POURED]),
    (f"[{POUR}, {STOP}]", "", [POURED, STOPPED]),
    (f"[TOOL_CALLS][{POUR}, {STOP}]", "", [POURED, STOPPED]),
    (f" [TOOL_CALLS] [{POUR}]\n", "", [POURED]),
    ('{"name": "pour", "parameters": {"litres": 3}}', "", [POURED]),
    ('{"type": "function", "name": "stop", "arguments": {}}', "", [STOPPED]),
    ('{"name": "pour", "arguments": {"z": "é", "a": null}}', "", [Called("pour", '{"z": "é", "a": null}')]),
]

# What calls nothing.
TEXTS = [
    "",
    " ",
    "\n\n",
    "Of course.",
    "  Of course.\n\n1. Open it.\n2.  Close it. \n",
    "a < b",
    "<tool",
    "<tool_call>",
    " <tool_call> \n",
    "</tool_call>",
    f"</tool_call> {POUR} <tool_call> ",
    f"<tool_call>{POUR}",
    f"<tool_call>{POUR}</tool_call",
    tag(""),
    tag("{"),
    f" {tag('pour')} \n {tag('3')} ",
    tag('{"name": "fly"}'),
    tag('{"name": 3}'),
    tag('{"name": ["pour"]}'),
    tag('{"name": {"pour": 1}}'),
    tag('{"arguments": {}}'),
    tag('{"name": "pour", "arguments": "3"}'),
    tag('{"name": "pour", "arguments": null}'),
    tag('{"name": "pour", "arguments": {"litres": NaN}}'),
    tag(r'{"name": "pour", "arguments": {"half": "\ud83d"}}'),
    tag("[]"),
    tag(f"[{POUR}, 3]"),
    tag("[" * 100_000),
    "{",
    "[",
    "{}",
    "[]",
    "{so} it is",
    "[sic] it is\n",
    '{"answer": 42}',
    ' {"name": "Ada"}\n',
    '{"name": ["pour"]}',
    f"{POUR} ?",
    f"[{POUR}, 3]",
    f"Of course: {POUR}",
    "[TOOL_CALLS]",
    "[TOOL_CALLS][",
    "[1, 2]",
    "null",
    '"pour"',
]


@pytest.mark.parametrize(("text", "said", "calls"), CALLS)
def test_calls_are_told_from_text_and_space_around_them_is_none(
    text: str, said: str, calls: list[Called]
) -> None:
    assert (said, calls) == found([text])
    assert (said, calls) == found(text)


@pytest.mark.parametrize("text", TEXTS)
def test_of_a_text_without_calls_nothing_is_lost(text: str) -> None:
    assert (text, []) == found([text])


@pytest.mark.parametrize("text", [text for text, _, _ in CALLS])
def test_calls_of_tools_that_were_not_offered_are_text(text: str) -> None:
    assert (text, []) == found([text], ["fly"])


@pytest.mark.parametrize("text", [text for text, _, _ in CALLS] + TEXTS)
def test_without_tools_text_is_passed_on_at_once_as_it_is(text: str) -> None:
    finder = ToolCallFinder([])
    chunks = [text[:1], text[1:3], text[3:]]
    assert [(chunk, []) for chunk in chunks] == [finder.add(chunk) for chunk in chunks]
    assert ("", []) == finder.rest()


@pytest.mark.parametrize(
    ("chunks", "passed"),
    [
        (["Of", " course", "."], ["Of", " course", "."]),
        # Space may be before a call.
        (["Of ", "course", ".\n", "So"], ["Of", " course", ".", "\nSo"]),
        (["a <", "b"], ["a", " <b"]),
        (["a <tool_", "box> b"], ["a", " <tool_box> b"]),
        (["a<tool_call>", "{", "}</tool_call>b"], ["a", "", "<tool_call>{}</tool_call>b"]),
        (["a <tool_call>{", "</tool_call>", "b"], ["a", " <tool_call>{</tool_call>", "b"]),
        # What begins like JSON may be nothing but a call.
        (["{", "so} ", "it"], ["", "", ""]),
        (["\n", "[sic]"], ["", ""]),
    ],
)
def test_only_what_may_still_become_a_call_is_held_back(chunks: list[str], passed: list[str]) -> None:
    finder = ToolCallFinder(TOOLS)
    assert passed == [finder.add(chunk)[0] for chunk in chunks]
    assert "".join(chunks) == "".join(passed) + finder.rest()[0]


def test_a_call_is_told_as_soon_as_it_is_whole() -> None:
    finder = ToolCallFinder(TOOLS)
    text = f"Now. {tag(POUR)}"
    assert ("Now.", []) == finder.add(text[:-1])
    assert ("", [POURED]) == finder.add(text[-1:])
    assert ("", [STOPPED]) == finder.add(f"\n{tag(STOP)}")
    assert ("", []) == finder.rest()


def test_arguments_keep_the_order_of_their_keys() -> None:
    arguments = {"z": 1, "a": {"y": [2], "b": "ü"}}
    _, (poured,) = found([json.dumps({"name": "pour", "arguments": arguments})])
    assert json.dumps(arguments, ensure_ascii=False) == poured.arguments


MARKS = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<tool", *"<> \n{}[]aé"]
WHOLE = [POUR, STOP, tag(POUR), tag(STOP), tag("{"), tag('{"name": "fly"}'), f"[{POUR}]"]


@given(
    text=st.lists(st.sampled_from(MARKS + WHOLE), max_size=12).map("".join),
    lengths=st.lists(st.integers(1, 40), max_size=30),
    tools=st.sampled_from([TOOLS, ["fly"], []]),
)
@example(text=f"a\n{tag(POUR)}\n b", lengths=[1, 1, 60, 1, 1], tools=TOOLS)
def test_how_a_text_is_cut_into_chunks_does_not_matter(
    text: str, lengths: list[int], tools: list[str]
) -> None:
    begins = [*accumulate(lengths, initial=0), None]
    chunks = [text[begin:end] for begin, end in pairwise(begins)]
    said, calls = found([text], tools)
    assert (said, calls) == found(chunks, tools)
    assert (said, calls) == found(text, tools)
    if not calls:
        assert text == said


@given(st.text(alphabet='<>/tool_cal {}[]\n"', max_size=40))
def test_any_text_without_a_name_is_text(text: str) -> None:
    assert (text, []) == found(text)
