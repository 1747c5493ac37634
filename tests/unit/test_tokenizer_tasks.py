"""The tasks of every model's tokenizer: Tokenize, Detokenize, ApplyChatTemplate."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from task_cases import decoded, encoded, exceeded, parameters_of, refusal
from transformers import PreTrainedTokenizerBase

from standpipe.v1 import common_pb2, tokenizers_pb2
from standpipe_server.backends.direct import DirectRunner
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Output
from standpipe_server.tasks import TOKENIZER_TASKS, InputLimits
from standpipe_server.tasks.apply_chat_template import TemplateParameters
from standpipe_server.tasks.conversation import Conversation
from standpipe_server.tasks.tokenize import DetokenizeParameters, Tokenized, TokenizeParameters
from tiny_models import byte_pairs, word_pieces

Tokenize = tokenizers_pb2.TokenizeRequest
Detokenize = tokenizers_pb2.DetokenizeRequest
Chat = tokenizers_pb2.ApplyChatTemplateRequest
Message = common_pb2.ChatMessage
ToolCall = common_pb2.ToolCall
Ids = tokenizers_pb2.TokenIds

HELLO = Message(role="user", content="hello")


class Asked:
    """A tokenizer that answers requests.

    Args:
        tokenizer: The library's.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._runner = DirectRunner(
            {task.parameters: task.head(tokenizer) for task in TOKENIZER_TASKS.values()}
        )

    def answers(self, request: Any) -> list[Any]:
        """For each of its calls the value, or what is wrong."""
        outcomes = self._runner.run(decoded(request), alone=True)
        return [outcome.value if isinstance(outcome, Output) else outcome for outcome in outcomes]


@pytest.fixture
def pieces() -> Asked:
    return Asked(word_pieces(64))


@pytest.fixture
def pairs() -> Asked:
    return Asked(byte_pairs())


@pytest.mark.parametrize(
    ("request_", "parameters"),
    [
        (Tokenize(), TokenizeParameters(special=True, truncate=False, side=None, max_length=None)),
        (Tokenize(add_special_tokens=False), TokenizeParameters(special=False)),
        (Tokenize(add_special_tokens=True), TokenizeParameters()),
        (Tokenize(truncate=True), TokenizeParameters(truncate=True)),
        (Tokenize(truncate=False), TokenizeParameters()),
        (
            Tokenize(truncation_direction=common_pb2.TRUNCATION_DIRECTION_LEFT),
            TokenizeParameters(side="left"),
        ),
        (
            Tokenize(truncation_direction=common_pb2.TRUNCATION_DIRECTION_RIGHT),
            TokenizeParameters(side="right"),
        ),
        (Tokenize(max_length=7), TokenizeParameters(max_length=7)),
    ],
)
def test_each_field_of_tokenizing_reaches_the_parameters(
    request_: tokenizers_pb2.TokenizeRequest, parameters: TokenizeParameters
) -> None:
    request_.texts.extend(["a", ""])
    expected = [Call("a", parameters, "texts[0]"), Call("", parameters, "texts[1]")]
    assert expected == decoded(request_)
    request_.text_pairs.extend(["", "b"])
    # An empty second makes no pair.
    assert ["a", ("", "b")] == [call.input for call in decoded(request_)]


def test_seconds_that_are_not_as_many_as_texts_are_refused() -> None:
    assert "text_pairs" == refusal(Tokenize(texts=["a", "b"], text_pairs=["c"])).field


@pytest.mark.parametrize(
    ("request_", "parameters"),
    [
        (Detokenize(), DetokenizeParameters(skip_special=False, clean_up=None)),
        (Detokenize(skip_special_tokens=True), DetokenizeParameters(skip_special=True)),
        (Detokenize(clean_up_tokenization_spaces=True), DetokenizeParameters(clean_up=True)),
        (Detokenize(clean_up_tokenization_spaces=False), DetokenizeParameters(clean_up=False)),
    ],
)
def test_each_field_of_detokenizing_reaches_the_parameters(
    request_: tokenizers_pb2.DetokenizeRequest, parameters: DetokenizeParameters
) -> None:
    request_.sequences.extend([Ids(ids=[3, 1]), Ids()])
    assert [Call((3, 1), parameters, "sequences[0]"), Call((), parameters, "sequences[1]")] == decoded(
        request_
    )


def test_tokens_travel_with_their_places() -> None:
    first = Tokenized([5, 3], ["a", "[SEP]"], [(1, 2), (0, 0)], [0, 1], [0, 1], 4)
    results = encoded(Tokenize(texts=["a", "b"]), first, Tokenized([], [], [], [], [], 0)).results
    assert [4, 0] == [one.overflowing for one in results]
    assert [[(5, "a", 1, 2, False, 0), (3, "[SEP]", 0, 0, True, 1)], []] == [
        [(t.id, t.token, t.start, t.end, t.special, t.type_id) for t in one.tokens] for one in results
    ]


def test_texts_travel_in_the_order_of_the_sequences() -> None:
    assert ["b", "", "a"] == list(encoded(Detokenize(), "b", "", "a").texts)


def test_a_pair_is_tokenized_as_the_library_does(pieces: Asked) -> None:
    (found,) = pieces.answers(Tokenize(texts=["the dog"], text_pairs=["lazy"]))
    assert ["[CLS]", "the", "dog", "[SEP]", "lazy", "[SEP]"] == found.tokens
    assert [(0, 0), (0, 3), (4, 7), (0, 0), (0, 4), (0, 0)] == found.offsets
    assert ([1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 1, 1], 0) == (found.special, found.types, found.overflowing)
    (bare,) = pieces.answers(Tokenize(texts=["the dog"], add_special_tokens=False))
    assert ["the", "dog"] == bare.tokens


def test_a_text_is_cut_where_and_as_it_was_asked_for_and_not_unless(pieces: Asked) -> None:
    text = ["the quick brown fox"]
    left = common_pb2.TRUNCATION_DIRECTION_LEFT

    def words(**fields: Any) -> tuple[list[str], int]:
        (found,) = pieces.answers(Tokenize(texts=text, **fields))
        return [
            token for token, special in zip(found.tokens, found.special, strict=True) if not special
        ], found.overflowing

    assert (["the", "quick", "brown", "fox"], 0) == words(max_length=4)
    assert (["the", "quick"], 2) == words(max_length=4, truncate=True)
    assert (["brown", "fox"], 2) == words(max_length=4, truncate=True, truncation_direction=left)
    # The tokenizer forgets what the call before wanted.
    assert (["the", "quick"], 2) == words(max_length=4, truncate=True)
    assert (["the", "quick", "brown", "fox"], 0) == words(max_length=6, truncate=True)
    assert (["the", "quick", "brown", "fox"], 0) == words(truncate=True)


@pytest.mark.parametrize(("special", "least"), [(True, 3), (False, 1)])
def test_a_length_without_room_for_the_special_tokens_is_refused(
    pieces: Asked, special: bool, least: int
) -> None:
    def cut_at(length: int) -> Any:
        request = Tokenize(texts=["the dog"], truncate=True, max_length=length, add_special_tokens=special)
        (found,) = pieces.answers(request)
        return found

    assert least == len(cut_at(least).ids)
    if least > 1:
        error = cut_at(least - 1)
        assert isinstance(error, InvalidInputError)
        assert "max_length" == error.field
        assert "2 tokens have no room for the 2 special ones" in str(error)


def test_an_id_that_the_tokenizer_does_not_have_is_refused_with_its_place(pieces: Asked) -> None:
    size = len(pieces.tokenizer)
    fine, error, empty = pieces.answers(
        Detokenize(sequences=[Ids(ids=[2, size - 1]), Ids(ids=[2, size]), Ids()])
    )
    assert isinstance(fine, str)
    assert isinstance(error, InvalidInputError)
    assert "sequences[1].ids[1]" == error.field
    assert f"no token {size}: its {size} begin at 0" in str(error)
    assert "" == empty


def test_what_was_tokenized_comes_back_with_special_tokens_unless_they_are_left_out(pairs: Asked) -> None:
    text = "Wasser für alle 🚰"
    (tokens,) = pairs.answers(Tokenize(texts=[text]))
    sequences = [Ids(ids=tokens.ids)]
    assert [f"{text}</s>"] == pairs.answers(Detokenize(sequences=sequences))
    assert [text] == pairs.answers(Detokenize(sequences=sequences, skip_special_tokens=True))


@pytest.mark.parametrize(
    ("request_", "parameters"),
    [
        (
            Chat(),
            TemplateParameters(add_generation_prompt=False, continue_final_message=False, tokenize=False),
        ),
        (Chat(add_generation_prompt=True), TemplateParameters(add_generation_prompt=True)),
        (Chat(continue_final_message=True), TemplateParameters(continue_final_message=True)),
        (
            Chat(continue_final_message=True, add_generation_prompt=False),
            TemplateParameters(continue_final_message=True),
        ),
        (Chat(tokenize=True), TemplateParameters(tokenize=True)),
    ],
)
def test_each_field_of_a_chat_reaches_the_parameters(
    request_: tokenizers_pb2.ApplyChatTemplateRequest, parameters: TemplateParameters
) -> None:
    request_.messages.append(HELLO)
    assert parameters == parameters_of(request_)


def talk(**fields: Any) -> Conversation:
    """The conversation that a request becomes."""
    (call,) = decoded(Chat(**{"messages": [HELLO], **fields}))
    conversation: Conversation = call.input
    return conversation


def test_a_conversation_is_written_as_the_library_takes_it() -> None:
    calls = [ToolCall(id="1", name="pour", arguments='{"b": 1, "a": [2]}'), ToolCall(name="stop")]
    messages = [
        Message(role="user", content="water?", name="Ada"),
        Message(role="assistant", tool_calls=calls),
        Message(role="tool", content="done", tool_call_id="1"),
    ]
    pour = {"id": "1", "type": "function", "function": {"name": "pour", "arguments": {"b": 1, "a": [2]}}}
    stop = {"type": "function", "function": {"name": "stop", "arguments": {}}}
    said = talk(messages=messages).messages
    assert [
        {"role": "user", "content": "water?", "name": "Ada"},
        {"role": "assistant", "content": "", "tool_calls": [pour, stop]},
        {"role": "tool", "content": "done", "tool_call_id": "1"},
    ] == said
    assert ["b", "a"] == list(said[1]["tool_calls"][0]["function"]["arguments"])


def test_tools_and_variables_are_parsed_and_tools_keep_the_order_of_their_keys() -> None:
    tool = {"type": "function", "function": {"name": "z", "description": "a"}}
    variables = {"thinking": False, "names": ["a", None, {"b": "c"}]}
    written = json_format.ParseDict(variables, Struct())
    conversation = talk(tools=[json.dumps(tool)], template_variables=written)
    assert ([tool], variables) == (conversation.tools, conversation.variables)
    assert list(tool["function"]) == list(conversation.tools[0]["function"])
    assert Conversation([{"role": "user", "content": "hello"}], [], {}) == talk()


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"messages": [HELLO, Message(content="x")]}, "messages[1].role", "the role is empty"),
        (
            {"add_generation_prompt": True, "continue_final_message": True},
            "continue_final_message",
            "send one of the two",
        ),
        ({"tools": ["{}", "{"]}, "tools[1]", "it isn't JSON"),
        ({"tools": [""]}, "tools[0]", "it isn't JSON"),
        ({"tools": ["[" * 100_000]}, "tools[0]", "it isn't JSON"),
        ({"tools": ["[]"]}, "tools[0]", "it isn't a JSON object"),
        ({"tools": ["null"]}, "tools[0]", "it isn't a JSON object"),
        (
            {"messages": [Message(role="assistant", tool_calls=[ToolCall(), ToolCall(arguments="x")])]},
            "messages[0].tool_calls[1].arguments",
            "it isn't JSON",
        ),
        (
            {"messages": [Message(role="assistant", tool_calls=[ToolCall(arguments="3")])]},
            "messages[0].tool_calls[0].arguments",
            "it isn't a JSON object",
        ),
    ],
)
def test_a_conversation_that_is_none_is_refused_with_the_place(
    fields: dict[str, Any], field: str, problem: str
) -> None:
    error = refusal(Chat(**{"messages": [HELLO], **fields}))
    assert field == error.field
    assert problem in str(error)


LONG = json.dumps({"a": "b" * 100})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tools": [LONG]}, "tools[0]"),
        (
            {"messages": [Message(role="assistant", tool_calls=[ToolCall(arguments=LONG)])]},
            "messages[0].tool_calls[0].arguments",
        ),
    ],
)
def test_json_of_too_many_bytes_is_refused_with_its_place(fields: dict[str, Any], field: str) -> None:
    request = Chat(**{"messages": [HELLO], **fields})
    assert (field, "max_text_bytes", "99") == exceeded(request, InputLimits(max_text_bytes=99))


OPTIONS = [
    name
    for name, option in inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters.items()
    if name != "self" and option.kind is not option.VAR_KEYWORD
]


@pytest.mark.parametrize("name", OPTIONS)
def test_a_variable_that_would_be_taken_for_an_option_of_the_library_is_refused(name: str) -> None:
    error = refusal(Chat(messages=[HELLO], template_variables=json_format.ParseDict({name: "x"}, Struct())))
    assert "template_variables" == error.field
    assert f"{name} isn't a variable" in str(error)


def test_a_conversation_travels_as_text_and_ids() -> None:
    response = encoded(Chat(messages=[HELLO]), ("user: hello", [3, 1]))
    assert ("user: hello", [3, 1]) == (response.text, list(response.ids))


def test_a_template_writes_the_conversation_with_its_tools_and_variables(pairs: Asked) -> None:
    request = Chat(
        messages=[HELLO],
        tools=['{"name": "z"}'],
        add_generation_prompt=True,
        tokenize=True,
        template_variables=json_format.ParseDict({"mood": "calm"}, Struct()),
    )
    ((text, ids),) = pairs.answers(request)
    # The library drops a line's end after a tag.
    assert 'tool {"name": "z"}\nuser: hellomood calm\nassistant: ' == text
    assert pairs.tokenizer(text, add_special_tokens=False)["input_ids"] == ids
    (open_,) = pairs.answers(Chat(messages=[HELLO], continue_final_message=True))
    assert ("user: hello", []) == open_


@pytest.mark.parametrize(
    ("tokenizer", "message", "field", "problem"),
    [
        (word_pieces(64), HELLO, "model", "has no chat template"),
        (byte_pairs(), Message(role="robot"), "messages", "robots may not speak"),
    ],
)
def test_a_conversation_that_can_not_be_written_is_refused(
    tokenizer: Any, message: common_pb2.ChatMessage, field: str, problem: str
) -> None:
    (error,) = Asked(tokenizer).answers(Chat(messages=[message]))
    assert isinstance(error, InvalidInputError)
    assert field == error.field
    assert problem in str(error)
