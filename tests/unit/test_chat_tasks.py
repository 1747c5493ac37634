"""Chat and StreamChat: what their messages become, and what comes of what is written."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message as AnyMessage
from google.protobuf.struct_pb2 import Struct
from task_cases import decoded, encoded, exceeded, refusal, streamed

from standpipe.v1 import common_pb2, generation_pb2, tokenizers_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Chunk, Finish, FinishName, Output, TokenLogprob, Written
from standpipe_server.programs import CausalPrompt, Generation, Writing
from standpipe_server.tasks import InputLimits
from standpipe_server.tasks.chat import CHAT, ChatHead, ChatParameters
from standpipe_server.tasks.conversation import Conversation
from tiny_models import byte_pairs, word_pieces

Chat = generation_pb2.ChatRequest
StreamChat = generation_pb2.StreamChatRequest
Message = common_pb2.ChatMessage
Part = common_pb2.ContentPart
ToolCall = common_pb2.ToolCall

HELLO = Message(role="user", content="hello")
POUR = json.dumps({"type": "function", "function": {"name": "pour", "parameters": {}}})
STOP = json.dumps({"name": "stop"})

each = pytest.mark.parametrize("kind", [Chat, StreamChat])
# Those that have a conversation.
each_talk = pytest.mark.parametrize("kind", [Chat, StreamChat, tokenizers_pb2.ApplyChatTemplateRequest])


def talk(request: AnyMessage) -> Conversation:
    """The conversation that a request becomes."""
    (call,) = decoded(request)
    conversation: Conversation = call.input
    return conversation


def variables(**values: Any) -> Struct:
    return json_format.ParseDict(values, Struct())


@pytest.mark.parametrize("kind", [Chat, StreamChat])
def test_a_conversation_is_one_call(kind: type[AnyMessage]) -> None:
    writing = Writing(Generation(truncate=False), ("\n",))
    conversation = Conversation([{"role": "user", "content": "hello"}], [json.loads(POUR)], {"mood": "calm"})
    request = kind(
        messages=[HELLO], tools=[POUR], template_variables=variables(mood="calm"), stop_strings=["\n"]
    )
    assert [Call(conversation, ChatParameters(writing), "messages")] == decoded(request)


@each
@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool"])
def test_these_may_speak(kind: type[AnyMessage], role: str) -> None:
    assert [{"role": role, "content": ""}] == talk(kind(messages=[Message(role=role)])).messages


@each_talk
def test_what_is_said_in_parts_is_read_as_one(kind: type[AnyMessage]) -> None:
    parts = [Part(text="hel"), Part(text=""), Part(text="lo")]
    said = talk(kind(messages=[Message(role="user", parts=parts), HELLO])).messages
    assert [{"role": "user", "content": "hello"}] * 2 == said


@each_talk
@pytest.mark.parametrize(
    ("message", "place", "problem"),
    [
        (Message(content="hello"), "role", "the role is empty"),
        (Message(role="user", content="a", parts=[Part(text="b")]), "parts", "send one of the two"),
        (Message(role="user", parts=[Part(text="a"), Part()]), "parts[1]", "the part is empty"),
        (
            Message(role="assistant", tool_calls=[ToolCall(name="pour", arguments="3")]),
            "tool_calls[0].arguments",
            "it isn't a JSON object",
        ),
    ],
)
def test_a_message_that_makes_no_sense_is_refused_with_its_place(
    kind: type[AnyMessage], message: Message, place: str, problem: str
) -> None:
    error = refusal(kind(messages=[HELLO, message]))
    assert f"messages[1].{place}" == error.field
    assert problem in str(error)


@each_talk
@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"messages": []}, "messages", "messages is empty: send at least one"),
        ({"tools": [POUR, "{"]}, "tools[1]", "it isn't JSON"),
        ({"tools": ["[]"]}, "tools[0]", "it isn't a JSON object"),
        ({"tools": [r'{"name": "\ud83d"}']}, "tools[0]", "it isn't JSON"),
        ({"template_variables": variables(tools=[])}, "template_variables", "tools isn't a variable"),
        ({"template_variables": variables(tokenize=1)}, "template_variables", "tokenize isn't a variable"),
    ],
)
def test_a_conversation_that_makes_no_sense_is_refused_by_the_fields_name(
    kind: type[AnyMessage], fields: dict[str, Any], field: str, problem: str
) -> None:
    error = refusal(kind(**{"messages": [HELLO], **fields}))
    assert field == error.field
    assert problem in str(error)


@each
@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        (
            {"messages": [HELLO, Message(role="robot")]},
            "messages[1].role",
            "unknown role 'robot'; known: system, ",
        ),
        ({"messages": [Message(role="User")]}, "messages[0].role", "unknown role 'User'"),
        ({"tools": [POUR, "{}"]}, "tools[1]", "the function has no name"),
        ({"tools": ['{"name": 3}']}, "tools[0]", "the function has no name"),
        ({"tools": ['{"name": ""}']}, "tools[0]", "the function has no name"),
        ({"tools": ['{"name": "a", "function": {}}']}, "tools[0]", "the function has no name"),
        ({"tools": ['{"name": "a", "function": "b"}']}, "tools[0]", "the function has no name"),
    ],
)
def test_only_known_speakers_and_named_tools_are_answered(
    kind: type[AnyMessage], fields: dict[str, Any], field: str, problem: str
) -> None:
    error = refusal(kind(**{"messages": [HELLO], **fields}))
    assert field == error.field
    assert problem in str(error)


@each_talk
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"messages": [HELLO, Message(role="user", content="a" * 9)]}, "messages[1].content"),
        (
            {"messages": [Message(role="user", parts=[Part(text="abcde"), Part(text="fghi")])]},
            "messages[0].parts",
        ),
        ({"tools": [STOP]}, "tools[0]"),
    ],
)
def test_a_text_of_too_many_bytes_is_refused_with_its_place(
    kind: type[AnyMessage], fields: dict[str, Any], field: str
) -> None:
    request = kind(**{"messages": [HELLO], **fields})
    assert (field, "max_text_bytes", "8") == exceeded(request, InputLimits(max_text_bytes=8))


def read(*messages: Message, tokenizer: Any = None, **fields: Any) -> CausalPrompt:
    """What a model reads for a conversation."""
    (call,) = decoded(Chat(messages=messages, **fields))
    prompt: CausalPrompt = ChatHead(SimpleNamespace(template=tokenizer or byte_pairs())).prompt(call)
    return prompt


@pytest.mark.parametrize(
    ("messages", "fields", "text"),
    [
        ([HELLO], {}, "user: helloassistant: "),
        (
            [HELLO],
            {"tools": [STOP], "template_variables": variables(mood="calm")},
            'tool {"name": "stop"}\nuser: hellomood calm\nassistant: ',
        ),
        (
            [Message(role="system", content="Be brief."), HELLO],
            {},
            "system: Be brief.user: helloassistant: ",
        ),
        # An answer that is begun is gone on with.
        ([HELLO, Message(role="assistant", content="Good")], {}, "user: helloassistant: Good"),
        (
            [HELLO, Message(role="assistant", content="Good"), HELLO],
            {},
            "user: helloassistant: Gooduser: helloassistant: ",
        ),
    ],
)
def test_the_models_template_writes_what_it_reads(
    messages: list[Message], fields: dict[str, Any], text: str
) -> None:
    assert CausalPrompt(text, special_tokens=False) == read(*messages, **fields)


def test_a_conversation_that_a_model_can_not_read_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no chat template") as caught:
        read(HELLO, tokenizer=word_pieces(64))
    assert "model" == caught.value.field
    strict = byte_pairs()
    strict.chat_template = "{{ raise_exception('users may not speak') }}"
    with pytest.raises(InvalidInputError, match="users may not speak") as caught:
        read(HELLO, tokenizer=strict)
    assert "messages" == caught.value.field


def test_a_conversation_is_written_as_its_call_says() -> None:
    writing = Writing(Generation(seed=3), ("\n",))
    head = ChatHead(SimpleNamespace(template=None))
    assert writing == head.writing(Call(None, ChatParameters(writing)))


def finish(reason: FinishName = "stop", cached: int | None = None, stop: str = "") -> Finish:
    """Of a prompt of 5 tokens and an answer of 3."""
    return Finish(reason, 5, 3, stop, cached)


USAGE = generation_pb2.Usage(prompt_tokens=5, generated_tokens=3)
CALL = '<tool_call>{"name": "pour", "arguments": {"litres": 3}}</tool_call>'
LOGPROBS = (TokenLogprob(3, "a", -0.5),)
LOGPROB = generation_pb2.TokenLogprob(id=3, token="a", logprob=-0.5)


def answered(text: str, end: Finish | None = None, **fields: Any) -> generation_pb2.ChatResponse:
    """The response to a conversation that the model answers so."""
    end = end or finish()
    output = Output((Written(text, 3, LOGPROBS, end),), tokens=5)
    response: Any = CHAT.encode([output], Chat(messages=[HELLO], **fields))
    return generation_pb2.ChatResponse.FromString(response.SerializeToString())


@pytest.mark.parametrize("tools", [[], [POUR]])
def test_an_answer_travels_with_its_end_and_usage(tools: list[str]) -> None:
    expected = generation_pb2.ChatResponse(
        message=Message(role="assistant", content=" Hello. "),
        finish_reason=generation_pb2.FINISH_REASON_STOP_STRING,
        stop_string="\n",
        usage=generation_pb2.Usage(prompt_tokens=5, generated_tokens=3, cached_tokens=2),
        logprobs=[LOGPROB],
    )
    assert expected == answered(" Hello. ", finish("stop_string", cached=2, stop="\n"), tools=tools)


@pytest.mark.parametrize(
    ("text", "content", "tools"),
    [
        (f"Of course.\n{CALL}", "Of course.", [POUR]),
        (f"{CALL}\n", "", [STOP, POUR]),
        ('{"name": "pour", "parameters": {"litres": 3}}', "", [POUR]),
        ('[TOOL_CALLS][{"name": "pour", "arguments": {"litres": 3}}]', "", [POUR]),
    ],
)
def test_calls_of_tools_are_told_from_what_is_said(text: str, content: str, tools: list[str]) -> None:
    response = answered(text, tools=tools)
    (call,) = response.message.tool_calls
    assert (content, "pour", '{"litres": 3}') == (response.message.content, call.name, call.arguments)
    assert generation_pb2.FINISH_REASON_TOOL_CALL == response.finish_reason


@pytest.mark.parametrize(("text", "tools"), [(CALL, []), (CALL, [STOP]), ('{"name": ["pour"]}', [POUR])])
def test_what_calls_no_tool_of_the_request_is_said(text: str, tools: list[str]) -> None:
    response = answered(text, tools=tools)
    assert (text, []) == (response.message.content, list(response.message.tool_calls))
    assert generation_pb2.FINISH_REASON_STOP == response.finish_reason


@pytest.mark.parametrize("reason", ["length", "stop_string", "cancelled"])
def test_an_answer_that_did_not_end_by_itself_says_so_even_where_it_calls_tools(reason: FinishName) -> None:
    response = answered(CALL, finish(reason), tools=[POUR])
    assert f"FINISH_REASON_{reason.upper()}" == generation_pb2.FinishReason.Name(response.finish_reason)
    assert 1 == len(response.message.tool_calls)


def test_every_call_of_a_tool_has_an_id_of_its_own() -> None:
    calls = [
        *answered(CALL * 3, tools=[POUR]).message.tool_calls,
        *answered(CALL, tools=[POUR]).message.tool_calls,
    ]
    assert 4 == len({call.id for call in calls if call.id})


def test_a_call_can_be_sent_back_as_it_came() -> None:
    message = answered(CALL, tools=[POUR]).message
    (call,) = message.tool_calls
    (_, said) = talk(Chat(messages=[HELLO, message])).messages
    function = {"name": "pour", "arguments": {"litres": 3}}
    assert [{"id": call.id, "type": "function", "function": function}] == said["tool_calls"]


def delta(content: str = "", **fields: Any) -> generation_pb2.StreamChatResponse:
    return generation_pb2.StreamChatResponse(delta=generation_pb2.ChatDelta(content=content, **fields))


def ended(reason: generation_pb2.FinishReason.ValueType) -> generation_pb2.StreamChatResponse:
    return generation_pb2.StreamChatResponse(end=generation_pb2.StreamEnd(finish_reason=reason, usage=USAGE))


def streaming(*chunks: Chunk, tools: tuple[str, ...] = (POUR,)) -> list[generation_pb2.StreamChatResponse]:
    """The messages to a conversation; the ids of calls of tools are seen to, and taken out."""
    messages = streamed(StreamChat(messages=[HELLO], tools=tools), *chunks)
    for message in messages:
        for call in message.delta.tool_calls:
            assert call.id
            call.ClearField("id")
    return messages


STOPPED = ended(generation_pb2.FINISH_REASON_STOP)
CALLED = ended(generation_pb2.FINISH_REASON_TOOL_CALL)
POURING = delta(tool_calls=[ToolCall(name="pour", arguments='{"litres": 3}')])


def test_a_stream_tells_what_each_step_added_and_then_its_end() -> None:
    chunks = [
        Chunk("Hel"),
        Chunk(),
        Chunk("lo ", LOGPROBS),
        Chunk(logprobs=LOGPROBS),
        Chunk(".", finish=finish()),
    ]
    expected = [
        delta("Hel"),
        delta("lo ", logprobs=[LOGPROB]),
        delta(logprobs=[LOGPROB]),
        delta("."),
        STOPPED,
    ]
    assert expected == streaming(*chunks, tools=())
    # Space may be before a call.
    expected[1], expected[3] = delta("lo", logprobs=[LOGPROB]), delta(" .")
    assert expected == streaming(*chunks)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([Chunk("Now.\n"), Chunk(CALL, finish=finish())], [delta("Now."), POURING, CALLED]),
        (
            [Chunk("Now."), Chunk(CALL[:30]), Chunk(CALL[30:]), Chunk("\n", finish=finish())],
            [delta("Now."), POURING, CALLED],
        ),
        (
            [Chunk(CALL + CALL), Chunk(finish=finish())],
            [delta(tool_calls=[*POURING.delta.tool_calls] * 2), CALLED],
        ),
        (
            [Chunk('{"name": '), Chunk('"pour", "arguments": {"litres": 3}}'), Chunk(finish=finish())],
            [POURING, CALLED],
        ),
        ([Chunk('{"name": '), Chunk('"Ada"}'), Chunk(finish=finish())], [delta('{"name": "Ada"}'), STOPPED]),
        (
            [Chunk("a "), Chunk("<tool"), Chunk(" \n", finish=finish())],
            [delta("a"), delta(" <tool \n"), STOPPED],
        ),
        (
            [Chunk(CALL[:30], LOGPROBS), Chunk(CALL[30:], finish=finish())],
            [delta(logprobs=[LOGPROB]), POURING, CALLED],
        ),
    ],
)
def test_calls_of_tools_are_streamed_whole_and_nothing_is_lost(
    chunks: list[Chunk], expected: list[generation_pb2.StreamChatResponse]
) -> None:
    assert expected == streaming(*chunks)


def test_a_whole_answer_and_a_stream_say_the_same() -> None:
    text = f"Of course. {CALL}\nAnd then {CALL} it ends."
    whole = answered(text, tools=[POUR]).message
    deltas = [message.delta for message in streaming(*map(Chunk, text), Chunk(finish=finish()))]
    assert whole.content == "".join(one.content for one in deltas)
    assert ["pour", "pour"] == [call.name for call in whole.tool_calls]
    assert ["pour", "pour"] == [call.name for one in deltas for call in one.tool_calls]


def test_an_answer_without_an_end_has_no_reason() -> None:
    response = encoded(Chat(messages=[HELLO]), (Written("Hello.", 3),))
    assert ("Hello.", 0) == (response.message.content, response.finish_reason)
