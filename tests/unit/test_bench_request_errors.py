"""What makes no request of the bench: told with the flag, the field, the file and the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor

from standpipe import contract
from standpipe_bench.requests.plan import RequestError, RequestPlan
from standpipe_bench.targets.methods import find_method

PROTO = Path(__file__).parents[1] / "foreign" / "library.proto"
BOOKS = "acme.library.v1.FindBooksRequest"
FIELDS = "it has: reader, titles, shelf, borrowed_for, notes"
NEEDS_LENGTH = "says where texts go: give their length too, such as --words 17"
NO_ELEMENT = "the list holds 0; --data or --jsonl gives a request that has it"


@pytest.fixture(scope="session")
def find_books() -> MethodDescriptor:
    return find_method("FindBooks", connection=None, proto=PROTO)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("reader", "write FIELD=VALUE, such as model=minilm"),
        ("titels=[]", f"{BOOKS} has no field 'titels'; near: titles; {FIELDS}"),
        ("x y=1", "'x y' is no name of a field; write name, or name[0] for an element of a list"),
        ("reader[0]=a", f"reader of {BOOKS} is no list, so there is no reader[0]"),
        ("titles[2]=a", "there is no titles[2]: the list holds 0"),
        ("reader.name=a", f"reader of {BOOKS} is set as a whole: it has no 'name'"),
        ("notes.fields={}", f"notes of {BOOKS} is set as a whole: it has no 'fields'"),
        (
            "shelf=TOP",
            "'TOP' is no acme.library.v1.Shelf: Failed to parse shelf field: Invalid enum value TOP for enum "
            "type acme.library.v1.Shelf at FindBooksRequest.shelf.",
        ),
        (
            "titles=a",
            "'a' is no list of string: Failed to parse titles field: repeated field titles must be in [] "
            "which is a at FindBooksRequest.",
        ),
        ("titles=[a]", "'[a]' is no list of string: Expecting value: line 1 column 2 (char 1)"),
        (
            "borrowed_for=3",
            "'3' is no google.protobuf.Duration: Failed to parse borrowedFor field: Duration JSON value "
            "not a string: 3 at FindBooksRequest.borrowedFor.",
        ),
    ],
)
def test_a_field_that_cannot_be_set_is_named(
    setting: str, message: str, find_books: MethodDescriptor
) -> None:
    with pytest.raises(RequestError) as caught:
        RequestPlan(set=[setting]).make(find_books)
    assert f"--set {setting}: {message}" == str(caught.value)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            RequestPlan(),
            "acme.library.v1.LibraryService.FindBooks needs requests: --data takes the JSON of a "
            "FindBooksRequest (or @FILE), --jsonl a file of them, --words 17 fills in texts, --set "
            "FIELD=VALUE sets a field",
        ),
        (RequestPlan(data="{}", jsonl=Path("a")), "--data and --jsonl exclude each other"),
        (RequestPlan(data="[1]"), "--data: a request is a JSON object, {…}"),
        (
            RequestPlan(data='{"titles": "Emma"}'),
            f"--data: no {BOOKS}: Failed to parse titles field: repeated field titles must be in [] which is "
            "Emma at FindBooksRequest.",
        ),
        (
            RequestPlan(data='{"titles": ["\\ud800"]}'),
            f"--data: no {BOOKS}: Failed to parse titles field: Unpaired surrogate at "
            "FindBooksRequest.titles[0].",
        ),
        (RequestPlan(data="@gone.json"), "--data: gone.json: No such file or directory"),
        (RequestPlan(jsonl=Path("gone.jsonl")), "--jsonl: gone.jsonl: No such file or directory"),
        (RequestPlan(items=2), f"--items {NEEDS_LENGTH}"),
        (RequestPlan(field="titles"), f"--field {NEEDS_LENGTH}"),
        (RequestPlan(words="3", items=0), "--items 0: a request holds at least 1"),
        (RequestPlan(words="3", pool=0), "--pool 0: there is at least 1 request"),
        (
            RequestPlan(words="3", field="title"),
            f"--field title: {BOOKS} has no field 'title'; near: titles; {FIELDS}",
        ),
        (
            RequestPlan(words="3", field="shelf"),
            "--field shelf: shelf holds no text: it is acme.library.v1.Shelf",
        ),
        (
            RequestPlan(words="3", field="reader", items=2),
            f"--items 2: reader of {BOOKS} takes one text",
        ),
        (
            RequestPlan(words="3", field="titles[0]"),
            f"--words: there is no titles[0]: {NO_ELEMENT}",
        ),
        (
            RequestPlan(words="about 3"),
            "--words: 'about 3' is no length of texts: write 17 (half to one and a half times as many "
            "words), fixed:17, uniform:8-25, loguniform:10-60 or lognormal:17,0.5 (median, sigma up to 3); 1 "
            "to 100,000 words",
        ),
    ],
)
def test_what_makes_no_request_is_told_with_the_flag(
    plan: RequestPlan, message: str, find_books: MethodDescriptor
) -> None:
    with pytest.raises(RequestError) as caught:
        plan.make(find_books)
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("name", "plan", "message"),
    [
        (
            "Detokenize",
            RequestPlan(words="3"),
            "--words: no field of standpipe.v1.DetokenizeRequest is known to hold texts; name it: --field",
        ),
        (
            "AnswerTableQuestion",
            RequestPlan(words="3", field="table.columns.cells"),
            "--field table.columns.cells: table.columns.cells: which of columns? Write columns[0]",
        ),
        ("Chat", RequestPlan(words="3", data="{}"), f"--words: there is no messages[-1]: {NO_ELEMENT}"),
        (
            "Chat",
            RequestPlan(set=["messages.content=x"]),
            "--set messages.content=x: messages.content: which of messages? Write messages[0]",
        ),
        (
            "StreamGenerateText",
            RequestPlan(words="3", items=4),
            "--items 4: prompt of standpipe.v1.StreamGenerateTextRequest takes one text",
        ),
    ],
)
def test_texts_that_have_no_place_are_told_as_such(name: str, plan: RequestPlan, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        plan.make(contract.find(name))
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n\n", "--jsonl: {path} holds no requests"),
        (b'{"texts": ["a"]}\n\n{"text": "a"}', "--jsonl: {path}, line 3: no standpipe.v1.EmbedTextRequest: "),
        (b'{"texts": ["a"]}\nplain text', "--jsonl: {path}, line 2: a request is a JSON object"),
        (b"\xff", "--jsonl: {path} isn't UTF-8: "),
    ],
)
def test_a_line_that_is_no_request_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(content)
    with pytest.raises(RequestError) as caught:
        RequestPlan(jsonl=path).make(contract.find("EmbedText"))
    assert str(caught.value).startswith(message.format(path=path))


def test_json_that_nests_without_end_is_refused(find_books: MethodDescriptor) -> None:
    deep = json.dumps({"notes": {"a": 1}}).replace("1", "[" * 5000 + "]" * 5000)
    with pytest.raises(RequestError, match=f"^--data: no {BOOKS}: "):
        RequestPlan(data=deep).make(find_books)
