"""What the bench calls RPCs with: requests of any RPC, from an example, a file, or drawn texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass

from standpipe import contract
from standpipe.v1 import text_pb2
from standpipe_bench.requests import inputs, texts
from standpipe_bench.requests.fields import written
from standpipe_bench.requests.plan import RequestError, RequestPlan
from standpipe_bench.targets.grpc import Requests
from standpipe_bench.targets.methods import find_method

FOREIGN = Path(__file__).parents[1] / "foreign"

# Of each RPC of the contract: the field that texts are filled into, and how many inputs its example holds.
INPUTS = {
    "GenerateText": ("prompts", 2),
    "StreamGenerateText": ("prompt", 1),
    "Chat": ("messages[-1].content", 1),
    "StreamChat": ("messages[-1].content", 1),
    "ListTasks": (None, 1),
    "ListModels": ("task", 1),
    "GetModel": (None, 1),
    "EmbedText": ("texts", 3),
    "RerankText": ("texts", 3),
    "ClassifyText": ("texts", 2),
    "ClassifyTextZeroShot": ("texts", 1),
    "ClassifyTokens": ("texts", 1),
    "AnswerQuestion": ("inputs.context", 1),
    "AnswerTableQuestion": ("questions", 1),
    "FillMask": ("texts", 1),
    "SummarizeText": ("texts", 1),
    "TranslateText": ("texts", 1),
    "TransformText": ("texts", 1),
    "TranscribeAudio": ("language", 1),
    "StreamTranscribeAudio": ("config.language", 1),
    "ClassifyAudio": (None, 1),
    "ClassifyAudioZeroShot": ("candidate_labels", 1),
    "SynthesizeSpeech": ("texts", 1),
    "StreamSynthesizeSpeech": ("text", 1),
    "GenerateAudio": ("prompts", 1),
    "GenerateImage": ("prompt", 1),
    "TransformImage": ("prompt", 1),
    "InpaintImage": ("prompt", 1),
    "GenerateVideo": ("prompt", 1),
    "ClassifyImage": (None, 1),
    "ClassifyImageZeroShot": ("candidate_labels", 1),
    "DetectObjects": (None, 1),
    "DetectObjectsZeroShot": ("candidate_labels", 1),
    "SegmentImage": (None, 1),
    "GenerateMasks": (None, 1),
    "EstimateDepth": (None, 1),
    "EmbedImage": (None, 2),
    "CaptionImage": ("prompt", 1),
    "AnswerImageQuestion": ("inputs.question", 1),
    "AnswerDocumentQuestion": ("inputs.question", 1),
    "MatchKeypoints": (None, 1),
    "ClassifyVideo": (None, 1),
    "Tokenize": ("texts", 1),
    "Detokenize": (None, 1),
    "ApplyChatTemplate": ("messages[-1].content", 1),
}


@pytest.fixture(scope="session")
def find_books() -> MethodDescriptor:
    return find_method("FindBooks", connection=None, proto=FOREIGN / "library.proto")


@pytest.fixture(scope="session")
def old_send() -> MethodDescriptor:
    """Of a contract in proto2, which has fields that must be there."""
    return find_method("Send", connection=None, proto=FOREIGN / "old.proto")


def decoded(name: str | MethodDescriptor, requests: Requests) -> list[dict[str, Any]]:
    method = contract.find(name) if isinstance(name, str) else name
    make = GetMessageClass(method.input_type)
    return [
        MessageToDict(make.FromString(one), preserving_proto_field_name=True) for one in requests.messages
    ]


def first(name: str | MethodDescriptor, plan: RequestPlan) -> dict[str, Any]:
    method = contract.find(name) if isinstance(name, str) else name
    return decoded(name, plan.make(method))[0]


def words(count: int, plan_words: str = "fixed:2") -> RequestPlan:
    return RequestPlan(words=plan_words, items=count, pool=1)


@pytest.mark.parametrize("name", INPUTS)
def test_the_inputs_of_each_rpc_are_known(name: str) -> None:
    method = contract.find(name)
    path = inputs.text_path(method.input_type)
    assert INPUTS[name] == (path and written(path), inputs.items(contract.example(method)))


def test_the_inputs_of_every_rpc_are_checked() -> None:
    assert {method.name for method in contract.methods().values()} == INPUTS.keys()


@pytest.mark.parametrize("name", INPUTS)
def test_an_rpc_of_the_contract_is_called_with_its_example(name: str) -> None:
    method = contract.find(name)
    requests = RequestPlan().make(method)
    assert [contract.example(method).SerializeToString()] == requests.messages
    assert f"the example of {name}" == requests.about


def test_texts_of_a_pool_differ_and_a_seed_repeats_them() -> None:
    method = contract.find("EmbedText")
    requests = RequestPlan(words="17", items=2, seed=3, pool=5).make(method)
    assert 5 == len(set(requests.messages))
    assert [2] * 5 == list(requests.items)
    assert requests == RequestPlan(words="17", items=2, seed=3, pool=5).make(method)
    assert requests.messages != RequestPlan(words="17", items=2, seed=4, pool=5).make(method).messages
    assert (
        "the example of EmbedText; 5 requests with texts in texts, 2 each, words 17, seed 3; model=a"
        == RequestPlan(words="17", items=2, seed=3, pool=5, set=["model=a"]).make(method).about
    )


@pytest.mark.parametrize(
    ("name", "plan", "items", "kept", "filled"),
    [
        ("EmbedText", words(4), 4, {}, [("texts", 4)]),
        ("RerankText", words(2), 2, {"query": "How does water reach the upper floors?"}, [("texts", 2)]),
        ("ClassifyTextZeroShot", words(2), 2, {"candidate_labels": ["plumbing", "finance", "music"]}, []),
        ("StreamGenerateText", words(1), 1, {"stop_strings": ["\n"]}, []),
        ("RerankText", RequestPlan(words="2", field="query", pool=1), 3, {"top_k": 2}, [("texts", 3)]),
        ("AnswerQuestion", words(3), 3, {}, [("inputs", 3)]),
        ("AnswerTableQuestion", words(3), 3, {}, [("questions", 3)]),
        ("Chat", words(1), 1, {"parameters": {"max_new_tokens": 48}}, [("messages", 2)]),
    ],
)
def test_texts_are_filled_into_the_inputs_and_the_rest_is_kept(
    name: str, plan: RequestPlan, items: int, kept: dict[str, Any], filled: list[tuple[str, int]]
) -> None:
    requests = plan.make(contract.find(name))
    request = decoded(name, requests)[0]
    assert [items] == list(requests.items)
    assert kept.items() <= request.items()
    assert filled == [(field, len(request[field])) for field, _ in filled]


def test_the_last_message_of_a_conversation_is_what_is_asked() -> None:
    asked = first("Chat", RequestPlan(words="fixed:3", pool=1))["messages"]
    assert ["system", "user"] == [message["role"] for message in asked]
    assert "You answer in one short sentence." == asked[0]["content"]
    assert 3 == len(asked[1]["content"].split())


@pytest.mark.parametrize("name", ["TransformImage", "InpaintImage"])
def test_a_prompt_is_filled_in_beside_its_picture_and_its_mask(name: str) -> None:
    expected, filled = first(name, RequestPlan()), first(name, RequestPlan(words="fixed:5", pool=1))
    assert 5 == len(filled.pop("prompt").split())
    assert "a handwritten eight" == expected.pop("prompt")
    assert expected == filled


def test_each_input_has_a_text_of_its_own() -> None:
    asked = first("AnswerQuestion", words(2, "fixed:8"))["inputs"]
    assert {"What couples to a standpipe?"} == {one["question"] for one in asked}
    assert 2 == len({one["context"] for one in asked})


@pytest.mark.parametrize(
    ("name", "field", "items", "place"),
    [
        ("EmbedText", "texts", 2, lambda request: request["texts"]),
        ("EmbedText", "texts[1]", 1, lambda request: request["texts"][1:2]),
        ("Chat", "messages[0].content", 1, lambda request: [request["messages"][0]["content"]]),
        ("AnswerQuestion", "inputs.question", 1, lambda request: [request["inputs"][0]["question"]]),
        (
            "AnswerTableQuestion",
            "table.columns[1].cells",
            3,
            lambda request: request["table"]["columns"][1]["cells"],
        ),
        ("ClassifyTextZeroShot", "candidateLabels", 2, lambda request: request["candidate_labels"]),
    ],
)
def test_a_field_that_is_named_is_filled(name: str, field: str, items: int, place: Any) -> None:
    request = first(name, RequestPlan(words="fixed:7", field=field, items=items, pool=1))
    assert [7] * items == [len(text.split()) for text in place(request)]


def test_texts_of_a_foreign_request_need_nothing_else(find_books: MethodDescriptor) -> None:
    request = first(find_books, words(3))
    assert (["titles"], 3) == (list(request), len(request["titles"]))


def test_texts_are_filled_into_each_line_of_a_file_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "two.jsonl"
    path.write_text('{"model": "a"}\n{"model": "b"}\n', encoding="utf-8")
    method = contract.find("EmbedText")
    requests = RequestPlan(jsonl=path, words="3", pool=3).make(method)
    assert ["a", "b", "a"] == [request["model"] for request in decoded("EmbedText", requests)]


def test_data_is_json_or_a_file_of_it(find_books: MethodDescriptor, tmp_path: Path) -> None:
    text = '{"titles": ["Emma"], "borrowedFor": "3s", "notes": {"a": [1]}, "shelf": "SHELF_POETRY"}'
    path = tmp_path / "book.json"
    path.write_text(text, encoding="utf-8")
    expected = {"titles": ["Emma"], "borrowed_for": "3s", "notes": {"a": [1.0]}, "shelf": "SHELF_POETRY"}
    assert expected == first(find_books, RequestPlan(data=text))
    assert expected == first(find_books, RequestPlan(data=f"@{path}"))


def test_each_line_of_a_file_is_a_request(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    lines = ['{"texts": ["a", "b"]}', "", '{"texts": ["c\u2028d"]}', "  "]
    path.write_text("\r\n".join(lines), encoding="utf-8")
    requests = RequestPlan(jsonl=path, set=["model=m"]).make(contract.find("EmbedText"))
    assert [{"model": "m", "texts": ["a", "b"]}, {"model": "m", "texts": ["c\u2028d"]}] == decoded(
        "EmbedText", requests
    )
    assert ([2, 1], "texts.jsonl, 2 requests; model=m") == (list(requests.items), requests.about)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("model=minilm", {"model": "minilm"}),
        ("model=a=b", {"model": "a=b"}),
        ("parameters.max_new_tokens=16", {"parameters": {"max_new_tokens": 16}}),
        ("parameters.maxNewTokens=16", {"parameters": {"max_new_tokens": 16}}),
        ("parameters.doSample=false", {"parameters": {"max_new_tokens": 48, "do_sample": False}}),
        ("parameters.temperature=0.5", {"parameters": {"max_new_tokens": 48, "temperature": 0.5}}),
        ("parameters.maxNewTokens=null", {"parameters": {}}),
        ('parameters={"topK": 3}', {"parameters": {"top_k": 3}}),
        ('stopStrings=["a", "b"]', {"stop_strings": ["a", "b"]}),
        ("stopStrings[0]=a", {"stop_strings": ["a"]}),
        ("constraint.regex=[a-z]+", {"constraint": {"regex": "[a-z]+"}}),
        ('templateVariables={"thinks": true}', {"template_variables": {"thinks": True}}),
        ('messages=[{"role": "user"}]', {"messages": [{"role": "user"}]}),
    ],
)
def test_a_field_is_set_to_what_its_type_makes_of_the_text(setting: str, expected: dict[str, Any]) -> None:
    request = first("Chat", RequestPlan(set=[setting]))
    assert expected == {name: request[name] for name in expected}


def test_an_element_of_a_list_is_replaced_or_added() -> None:
    plan = RequestPlan(set=['messages[0]={"role": "x"}', "messages[1].content=y", "messages[2].role=z"])
    with pytest.raises(RequestError, match=r"there is no messages\[2\]: the list holds 2"):
        first("Chat", plan)
    plan = RequestPlan(
        set=['messages[0]={"role": "x"}', "messages[1].content=y", 'messages[2]={"role": "z"}']
    )
    expected = [{"role": "x"}, {"role": "user", "content": "y"}, {"role": "z"}]
    assert expected == first("Chat", plan)["messages"]


def test_what_protobuf_has_messages_for_is_set_as_its_json_has_it(find_books: MethodDescriptor) -> None:
    plan = RequestPlan(set=["borrowed_for=3s", "shelf=SHELF_POETRY", "titles[0]=Emma", "titles[1]=[3]"])
    expected = {"borrowed_for": "3s", "shelf": "SHELF_POETRY", "titles": ["Emma", "[3]"]}
    assert expected == first(find_books, plan)


def test_fields_that_must_be_there_are_named(old_send: MethodDescriptor) -> None:
    with pytest.raises(RequestError) as caught:
        RequestPlan(data='{"body": "hi"}').make(old_send)
    assert "acme.old.Letter needs to: --set or --data gives it" == str(caught.value)
    letter = first(old_send, RequestPlan(set=["to.street=Elm"], words="2", pool=1))
    assert {"street": "Elm"} == letter["to"]


def test_a_request_that_refers_to_itself_has_its_text_found(old_send: MethodDescriptor) -> None:
    path = inputs.text_path(old_send.input_type)
    assert path is not None
    assert "body" == written(path)


def test_an_empty_request_is_sent_where_a_message_has_no_fields() -> None:
    method = contract.find("ListTasks")
    assert ([b""], [1]) == (RequestPlan().make(method).messages, RequestPlan().make(method).items)


def test_a_pool_is_as_texts_always_were() -> None:
    method = contract.find("EmbedText")
    requests = RequestPlan(words="17", items=2, seed=7, pool=2, data="{}").make(method)
    expected = [
        text_pb2.EmbedTextRequest(texts=texts.texts(2, 17, seed)).SerializeToString() for seed in (7000, 7001)
    ]
    assert expected == requests.messages
