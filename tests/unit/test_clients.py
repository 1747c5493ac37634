"""Both clients' methods, on a channel that answers from a table.

Those of VisionService and AudioService are in test_vision_clients and test_audio_clients.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import grpc
import numpy as np
import pytest
from client_fakes import ANSWERS, FakeChannel, fake_client, put_on, refused

from standpipe import (
    Answer,
    AsyncClient,
    CallError,
    ChatAnswer,
    ChatDelta,
    ChatPrompt,
    Entity,
    Fill,
    GeneratedText,
    Label,
    Ranked,
    StreamEnd,
    TableAnswer,
    TextDelta,
    Token,
    TokenLogprob,
    Tokens,
    ToolCall,
    Usage,
    contract,
)
from standpipe.v1 import common_pb2, generation_pb2, models_pb2, text_pb2, tokenizers_pb2

HELLO = [{"role": "user", "content": "Open the valve!"}]
LOGPROBS = (TokenLogprob(7, " wa", -0.5),)
CHAT_ANSWER = ChatAnswer(
    "Of course.",
    (ToolCall("c1", "open", '{"valve": 3, "how": "slowly"}'),),
    "tool_call",
    "",
    Usage(5, 3, 0),
    LOGPROBS,
)
LABELS = [Label("wet", 0.75), Label("dry", 0.25)]

# For each method: what it is called with, and what it makes of the answer in ANSWERS.
METHODS: dict[str, tuple[tuple[Any, ...], dict[str, Any], Any]] = {
    "rerank_text": (("q", ["a", "b"]), {"top_k": 2}, [Ranked(1, 0.75, "b"), Ranked(0, 0.5, "a")]),
    "classify_text": ((["a", "b"], ["c", "d"]), {"function_to_apply": "none"}, [LABELS, []]),
    "classify_text_zero_shot": ((["a"], ["wet", "dry"]), {"multi_label": True}, [LABELS]),
    "classify_tokens": (
        (["in nice paris", "b"],),
        {"stride": 3},
        [[Entity("B-LOC", "", 0.5, "nice", 3, 7, 2), Entity("", "LOC", 0.25, "paris", 8, 13, 0)], []],
    ),
    "answer_question": (
        ([("who?", "only a hose"), ("why?", "b")],),
        {"top_k": 2},
        [[Answer("a hose", 0.5, 4, 10)], []],
    ),
    "answer_table_question": (
        ({"city": ["x", "y", "z"], "people": ["2", "5", "3"]}, ["how many?"]),
        {"sequential": True},
        [TableAnswer("SUM > 2, 3", ((0, 1), (2, 1)), ("2", "3"), "SUM")],
    ),
    "fill_mask": (
        (["a [MASK] [MASK]"],),
        {"targets": ["pipe"]},
        [[[Fill(0.5, 7, "pipe", "a pipe hose")], [Fill(0.25, 9, "hose", "a hose")]]],
    ),
    "summarize_text": ((["long"],), {"num_beams": 2}, ["short"]),
    "translate_text": ((["short"],), {"target_language": "de"}, ["kurz"]),
    "transform_text": ((["a"],), {"seed": 3}, ["changed"]),
    "generate_text": (
        (["Pipes bring", "b"],),
        {"num_return_sequences": 2},
        [
            [
                GeneratedText(" water", "stop_string", ".", 3, LOGPROBS),
                GeneratedText(" fire", "length", "", 0, ()),
            ],
            [],
        ],
    ),
    "chat": ((HELLO,), {"tools": [{"name": "open"}]}, CHAT_ANSWER),
    "tokenize": (
        (["a", "pipe"],),
        {"max_length": 4},
        [Tokens((Token(101, "[CLS]", 0, 0, True, 0), Token(7, "##pipe", 5, 9, False, 1)), 3)],
    ),
    "detokenize": (([[1, 2], []],), {"skip_special_tokens": True}, ["one", ""]),
    "apply_chat_template": (
        ([{"role": "user", "content": "hi"}],),
        {"tokenize": True},
        ChatPrompt("<user> hi", (5, 6)),
    ),
    "list_tasks": ((), {}, list(ANSWERS["ListTasks"].tasks)),
    "list_models": (("fill-mask",), {}, list(ANSWERS["ListModels"].models)),
    "get_model": (("m",), {}, ANSWERS["GetModel"].model),
}

# For each that streams: the same, of the result of the whole stream.
STREAMS: dict[str, tuple[tuple[Any, ...], dict[str, Any], Any]] = {
    "stream_generate_text": (
        ("Pipes bring",),
        {"regex": "[a-z ]+"},
        GeneratedText(" water", "stop_string", ".", 3, LOGPROBS),
    ),
    "stream_chat": ((HELLO,), {"max_new_tokens": 9}, CHAT_ANSWER),
}


def rpc_of(method: str) -> str:
    return "".join(word.capitalize() for word in method.split("_"))


def test_every_rpc_has_a_method() -> None:
    elsewhere = {"VisionService", "AudioService", "ImageGenerationService"}
    rpcs = [rpc for rpc in contract.methods().values() if rpc.containing_service.name not in elsewhere]
    assert {"EmbedText", *map(rpc_of, METHODS | STREAMS)} == {rpc.name for rpc in rpcs}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_calls_its_rpc_and_returns_what_was_asked_for(method: str) -> None:
    given, options, expected = METHODS[method]
    client, channel = fake_client(ANSWERS)
    assert expected == getattr(client, method)(*given, **options)
    ((path, request, timeout, metadata),) = channel.calls
    rpc = contract.find(path)
    assert (rpc_of(method), rpc.input_type) == (rpc.name, request.DESCRIPTOR)
    assert (7.0, (("x-key", "1"),)) == (timeout, metadata)


@pytest.mark.parametrize("method", METHODS)
async def test_the_async_client_sends_and_returns_the_same(method: str) -> None:
    given, options, expected = METHODS[method]
    client, channel = fake_client(ANSWERS)
    getattr(client, method)(*given, **options, timeout=2.0)
    async with AsyncClient("127.0.0.1:1", metadata=[("x-key", "1")]) as aio:
        real = aio.channel
        later = FakeChannel(ANSWERS, asynchronous=True)
        put_on(aio, later)
        assert expected == await getattr(aio, method)(*given, **options, timeout=2.0)
        assert channel.calls == later.calls
        aio.channel = real


@pytest.mark.parametrize("method", STREAMS)
def test_a_stream_calls_its_rpc_and_its_result_is_that_of_the_call_without(method: str) -> None:
    given, options, expected = STREAMS[method]
    client, channel = fake_client(ANSWERS)
    assert expected == getattr(client, method)(*given, **options).result()
    ((path, request, timeout, metadata),) = channel.calls
    rpc = contract.find(path)
    assert (rpc_of(method), rpc.input_type) == (rpc.name, request.DESCRIPTOR)
    assert (7.0, (("x-key", "1"),)) == (timeout, metadata)


@pytest.mark.parametrize("method", STREAMS)
async def test_a_stream_of_the_async_client_sends_and_gives_the_same(method: str) -> None:
    given, options, expected = STREAMS[method]
    client, channel = fake_client(ANSWERS)
    deltas = list(getattr(client, method)(*given, **options, timeout=2.0))
    async with AsyncClient("127.0.0.1:1", metadata=[("x-key", "1")]) as aio:
        real = aio.channel
        later = FakeChannel(ANSWERS, asynchronous=True)
        put_on(aio, later)
        stream = getattr(aio, method)(*given, **options, timeout=2.0)
        assert deltas == [delta async for delta in stream]
        assert expected == await stream.result()
        assert channel.calls == later.calls
        aio.channel = real


def test_an_answer_is_a_message_that_the_conversation_goes_on_with() -> None:
    client, channel = fake_client(ANSWERS)
    answer = client.chat(HELLO)
    client.chat([*HELLO, answer.message, {"role": "tool", "tool_call_id": "c1", "content": "open"}])
    sent: Any = channel.calls[1][1]
    assert ANSWERS["Chat"].message == sent.messages[1]
    plain = ChatAnswer("Yes.", (), "stop", "", Usage(5, 3, None), ())
    assert {"role": "assistant", "content": "Yes."} == plain.message


def test_what_an_engine_does_not_tell_is_none_not_zero() -> None:
    client, _ = fake_client({"Chat": generation_pb2.ChatResponse()})
    assert client.chat(HELLO).usage.cached_tokens is None


def test_an_unknown_reason_to_end_is_no_word() -> None:
    client, _ = fake_client({"Chat": generation_pb2.ChatResponse(finish_reason=99)})  # type: ignore[arg-type]
    assert "" == client.chat(HELLO).finish_reason


def test_embed_text_gives_an_array_in_order() -> None:
    client, _ = fake_client(ANSWERS)
    vectors = client.embed_text(["a", "b"])
    assert np.float32 == vectors.dtype
    np.testing.assert_array_equal([[1, 0], [0.5, 0.25]], vectors)
    assert vectors.flags.writeable


def test_the_whole_response_is_there_with_the_client_s_own_timeout_and_metadata() -> None:
    answer = text_pb2.ClassifyTextResponse()
    answer.metadata.model = "m"
    client, channel = fake_client({"ClassifyText": answer})
    response = client.call(client.text.ClassifyText, text_pb2.ClassifyTextRequest(texts=["a"]))
    assert "m" == response.metadata.model
    assert (7.0, (("x-key", "1"),)) == channel.calls[0][2:]


def test_a_refusal_is_a_call_error_with_the_status() -> None:
    client, _ = fake_client({"FillMask": refused(grpc.StatusCode.NOT_FOUND, "no model")})
    with pytest.raises(CallError, match="NOT_FOUND: no model"):
        client.fill_mask(["a [MASK]"])


def test_an_entity_has_its_label_whichever_kind_it_is() -> None:
    token, group = METHODS["classify_tokens"][2][0]
    assert ("B-LOC", "LOC") == (token.label, group.label)


def test_tokens_give_what_detokenize_takes() -> None:
    (tokens,) = METHODS["tokenize"][2]
    assert [101, 7] == tokens.ids


def test_results_can_not_be_changed_and_can_be_counted() -> None:
    label = Label("wet", 0.75)
    with pytest.raises(FrozenInstanceError):
        label.score = 1.0  # type: ignore[misc]
    assert {label} == {label, Label("wet", 0.75)}
    assert not hasattr(label, "__dict__")


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (Label, common_pb2.LabelScore),
        (Ranked, text_pb2.RankedText),
        (Entity, text_pb2.Entity),
        (Answer, text_pb2.Answer),
        (TableAnswer, text_pb2.TableAnswer),
        (Fill, text_pb2.MaskFill),
        (Token, tokenizers_pb2.Token),
        (Tokens, tokenizers_pb2.Tokens),
        (TokenLogprob, generation_pb2.TokenLogprob),
        (ToolCall, common_pb2.ToolCall),
        (Usage, generation_pb2.Usage),
        (TextDelta, generation_pb2.TextDelta),
        (ChatDelta, generation_pb2.ChatDelta),
        (StreamEnd, generation_pb2.StreamEnd),
    ],
)
def test_a_result_has_every_field_of_its_message(result: type[Any], message: Any) -> None:
    assert [field.name for field in message.DESCRIPTOR.fields] == [field.name for field in fields(result)]


def test_the_contract_finds_an_rpc_by_any_of_its_names() -> None:
    rpc = contract.methods()["standpipe.v1.TextService.EmbedText"]
    for name in ("EmbedText", "TextService.EmbedText", rpc.full_name, "/standpipe.v1.TextService/EmbedText"):
        assert rpc is contract.find(name)


@pytest.mark.parametrize(
    ("name", "near"), [("embed_text", "EmbedText"), ("classifytokens", "ClassifyTokens"), ("xyzzy", "")]
)
def test_a_wrong_name_brings_up_near_ones(name: str, near: str) -> None:
    with pytest.raises(
        LookupError, match=f"no RPC is called '{name}'" + (f"; near: .*{near}" if near else "$")
    ):
        contract.find(name)


def test_a_name_that_several_rpcs_have_must_be_said_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    rpc = contract.find("EmbedText")
    twice = {"a.Service.EmbedText": rpc, "b.Service.EmbedText": rpc}
    monkeypatch.setattr(contract, "methods", lambda: twice)
    with pytest.raises(LookupError, match="several RPCs are called 'EmbedText'"):
        contract.find("EmbedText")


@pytest.mark.parametrize("rpc", contract.methods().values(), ids=lambda rpc: rpc.name)
def test_every_rpc_says_what_it_does_and_has_an_example(rpc: Any) -> None:
    assert contract.about(rpc).endswith(".")
    assert "\n" not in contract.about(rpc)
    assert rpc.input_type is contract.example(rpc).DESCRIPTOR


def test_an_example_is_a_message_of_the_generated_modules() -> None:
    example = contract.example(contract.find("GetModel"))
    assert models_pb2.GetModelRequest(model="all-MiniLM-L6-v2") == example
    assert isinstance(example, models_pb2.GetModelRequest)
