"""GenerateText and StreamGenerateText, and what all calls of GenerationService have in common."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message
from task_cases import decoded, encoded, exceeded, parameters_of, refusal, streamed

from standpipe.v1 import common_pb2, generation_pb2
from standpipe_server.errors import LimitExceededError
from standpipe_server.interfaces import Call, Chunk, Finish, FinishName, Output, TokenLogprob, Written
from standpipe_server.programs import CausalPrompt, Constraint, Generation, Writing
from standpipe_server.tasks import InputLimits
from standpipe_server.tasks.generate_text import GENERATE_TEXT, GenerateHead, GenerateParameters

Generate = generation_pb2.GenerateTextRequest
StreamGenerate = generation_pb2.StreamGenerateTextRequest
StreamResponse = generation_pb2.StreamGenerateTextResponse
TextDelta = generation_pb2.TextDelta
Parameters = common_pb2.GenerationParameters
Form = generation_pb2.Constraint
Choices = generation_pb2.Choices

HELLO = [common_pb2.ChatMessage(role="user", content="hello")]
# Each with what it can't do without, and whether it is read while it is written.
REQUESTS: list[tuple[type[Message], dict[str, Any], bool]] = [
    (Generate, {"prompts": ["a", "b"]}, False),
    (StreamGenerate, {"prompt": "a"}, True),
    (generation_pb2.ChatRequest, {"messages": HELLO}, False),
    (generation_pb2.StreamChatRequest, {"messages": HELLO}, True),
]
each = pytest.mark.parametrize(
    ("kind", "needed", "stream"), REQUESTS, ids=[kind.DESCRIPTOR.name for kind, _, _ in REQUESTS]
)

# How a text is written of which nothing is said.
PLAIN = Generation(truncate=False)


@each
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"parameters": Parameters()}, {}),
        ({"constraint": Form(), "logprobs": False}, {}),
        (
            {"parameters": Parameters(do_sample=True, top_p=0.5, max_new_tokens=9, seed=3)},
            {
                "generation": Generation(
                    (("max_new_tokens", 9), ("do_sample", True), ("top_p", 0.5)), seed=3, truncate=False
                )
            },
        ),
        (
            {"parameters": Parameters(num_beams=1)},
            {"generation": Generation((("num_beams", 1),), truncate=False)},
        ),
        ({"stop_strings": ["\n", "é" * 1024]}, {"stop_strings": ("\n", "é" * 1024)}),
        ({"stop_strings": ["a"] * 16}, {"stop_strings": ("a",) * 16}),
        ({"constraint": Form(json_schema="{}")}, {"constraint": Constraint("json_schema", "{}")}),
        ({"constraint": Form(regex="a+")}, {"constraint": Constraint("regex", "a+")}),
        (
            {"constraint": Form(choices=Choices(texts=["yes", "no"]))},
            {"constraint": Constraint("choices", choices=("yes", "no"))},
        ),
        ({"logprobs": True}, {"logprobs": True}),
    ],
)
def test_each_field_reaches_the_writing(
    kind: type[Message],
    needed: dict[str, Any],
    stream: bool,
    fields: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    calls = decoded(kind(**needed, **fields))
    writing = Writing(**{"generation": PLAIN, **expected})
    assert {writing} == {call.parameters.writing for call in calls}


@each
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"parameters": Parameters(temperature=-1)}, "parameters.temperature"),
        ({"parameters": Parameters(top_p=2)}, "parameters.top_p"),
        ({"parameters": Parameters(num_beams=17)}, "parameters.num_beams"),
        ({"parameters": Parameters(min_new_tokens=5, max_new_tokens=4)}, "parameters.min_new_tokens"),
        ({"stop_strings": ["a", ""]}, "stop_strings[1]"),
        ({"constraint": Form(json_schema="")}, "constraint.json_schema"),
        ({"constraint": Form(regex="")}, "constraint.regex"),
        ({"constraint": Form(choices=Choices())}, "constraint.choices.texts"),
        ({"constraint": Form(choices=Choices(texts=["a", ""]))}, "constraint.choices.texts[1]"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_by_its_name(
    kind: type[Message], needed: dict[str, Any], stream: bool, fields: dict[str, Any], field: str
) -> None:
    error = refusal(kind(**needed, **fields))
    assert (field, False) == (error.field, isinstance(error, LimitExceededError))


LIMITS = InputLimits(max_text_bytes=8, max_labels=2, max_new_tokens=5)


@each
@pytest.mark.parametrize(
    ("fields", "field", "limit", "value"),
    [
        ({"parameters": Parameters(max_new_tokens=6)}, "parameters.max_new_tokens", "max_new_tokens", 5),
        ({"parameters": Parameters(min_new_tokens=6)}, "parameters.min_new_tokens", "max_new_tokens", 5),
        ({"stop_strings": ["a"] * 17}, "stop_strings", "stop_strings", 16),
        ({"stop_strings": ["a", "b" * 1025]}, "stop_strings[1]", "stop_string", 1024),
        ({"constraint": Form(json_schema=" " * 9)}, "constraint.json_schema", "max_text_bytes", 8),
        ({"constraint": Form(regex="é" * 5)}, "constraint.regex", "max_text_bytes", 8),
        ({"constraint": Form(choices=Choices(texts="abc"))}, "constraint.choices.texts", "max_labels", 2),
        (
            {"constraint": Form(choices=Choices(texts=["a", "b" * 9]))},
            "constraint.choices.texts[1]",
            "max_text_bytes",
            8,
        ),
    ],
)
def test_more_than_a_call_may_hold_is_refused_with_the_limit(
    kind: type[Message],
    needed: dict[str, Any],
    stream: bool,
    fields: dict[str, Any],
    field: str,
    limit: str,
    value: int,
) -> None:
    assert (field, limit, str(value)) == exceeded(kind(**needed, **fields), LIMITS)


@each
def test_the_server_tells_its_engine_how_much_it_lets_a_call_write(
    kind: type[Message], needed: dict[str, Any], stream: bool
) -> None:
    (writing,) = {call.parameters.writing for call in decoded(kind(**needed), LIMITS)}
    assert Generation(truncate=False, max_new_tokens=5) == writing.generation


@each
def test_beams_can_not_be_streamed(kind: type[Message], needed: dict[str, Any], stream: bool) -> None:
    request = kind(**needed, parameters=Parameters(num_beams=2))
    if stream:
        error = refusal(request)
        assert "parameters.num_beams" == error.field
        assert "can't be streamed" in str(error)
    else:
        assert decoded(request)


def test_each_prompt_is_a_call() -> None:
    parameters = GenerateParameters(Writing(PLAIN))
    expected = [Call("a", parameters, "prompts[0]"), Call("", parameters, "prompts[1]")]
    assert expected == decoded(Generate(prompts=["a", ""]))


def test_the_prompt_of_a_stream_is_its_call() -> None:
    expected = [Call("a", GenerateParameters(Writing(PLAIN)), "prompt")]
    assert expected == decoded(StreamGenerate(prompt="a"))
    assert ("prompt", "max_text_bytes", "8") == exceeded(StreamGenerate(prompt="a" * 9), LIMITS)


@pytest.mark.parametrize(("sequences", "beams"), [(1, None), (16, None), (3, 1), (3, 3), (2, 16), (1, 4)])
def test_a_prompt_may_have_several_texts(sequences: int, beams: int | None) -> None:
    parameters = Parameters(num_beams=beams)
    request = Generate(prompts=["a"], num_return_sequences=sequences, parameters=parameters)
    assert sequences == parameters_of(request).writing.sequences


@pytest.mark.parametrize(
    ("sequences", "beams", "problem"),
    [
        (0, None, "0 isn't at least 1 and at most 16"),
        (17, None, "17 isn't at least 1 and at most 16"),
        (3, 2, "2 beams don't give 3 texts"),
    ],
)
def test_a_prompt_may_not_have_no_text_nor_too_many(sequences: int, beams: int | None, problem: str) -> None:
    parameters = Parameters(num_beams=beams)
    error = refusal(Generate(prompts=["a"], num_return_sequences=sequences, parameters=parameters))
    assert ("num_return_sequences", problem) == (error.field, str(error))


def test_all_texts_together_may_be_no_more_than_a_call_may_hold() -> None:
    limits = InputLimits(max_items=6)
    request = Generate(prompts=["a"] * 3, num_return_sequences=2)
    assert decoded(request, limits)
    request.num_return_sequences = 3
    assert ("num_return_sequences", "max_items", "6") == exceeded(request, limits)


def test_a_model_reads_the_prompt_as_it_is_special_tokens_added() -> None:
    writing = Writing(Generation(seed=3), ("\n",))
    head, call = GenerateHead(None), Call("a text", GenerateParameters(writing))
    assert (CausalPrompt("a text", special_tokens=True), writing) == (head.prompt(call), head.writing(call))


def finish(
    reason: FinishName = "stop", generated: int = 2, cached: int | None = None, stop: str = ""
) -> Finish:
    """Of a prompt of 5 tokens."""
    return Finish(reason, 5, generated, stop, cached)


REASONS: list[tuple[FinishName, int]] = [
    ("stop", generation_pb2.FINISH_REASON_STOP),
    ("length", generation_pb2.FINISH_REASON_LENGTH),
    ("stop_string", generation_pb2.FINISH_REASON_STOP_STRING),
    ("cancelled", generation_pb2.FINISH_REASON_CANCELLED),
]


@pytest.mark.parametrize(("reason", "expected"), REASONS)
def test_why_a_text_ends_is_told(reason: FinishName, expected: int) -> None:
    end = finish(reason, stop="\n" if reason == "stop_string" else "")
    (result,) = encoded(Generate(prompts=["a"]), (Written("b", 2, (), end),)).results
    (text,) = result.texts
    (message,) = streamed(StreamGenerate(prompt="a"), Chunk(finish=end))
    assert (expected, end.stop_string) == (text.finish_reason, text.stop_string)
    assert (expected, end.stop_string) == (message.end.finish_reason, message.end.stop_string)


def test_texts_come_in_the_order_of_the_prompts_and_of_their_beams() -> None:
    outputs = [
        Output((Written("b", 2, (), finish()), Written("c", 3, (), finish())), tokens=5),
        Output((Written("", 1, (), finish()), Written("e", 4, (), finish())), tokens=5),
    ]
    request = Generate(prompts=["a", "d"], num_return_sequences=2)
    for full, before in ((False, ("", "")), (True, ("a", "d"))):
        request.return_full_text = full
        response: Any = GENERATE_TEXT.encode(outputs, request)
        assert [
            [(before[0] + "b", 2), (before[0] + "c", 3)],
            [(before[1], 1), (before[1] + "e", 4)],
        ] == [
            [(text.generated_text, text.generated_tokens) for text in result.texts]
            for result in response.results
        ]


@pytest.mark.parametrize(("cached", "told"), [((None, None), None), ((0, 0), 0), ((3, None), 3), ((3, 1), 4)])
def test_what_all_texts_took_is_told_and_what_was_cached_where_the_engine_tells(
    cached: tuple[int | None, int | None], told: int | None
) -> None:
    first, second = (Written("b", 2, (), finish(generated=2, cached=tokens)) for tokens in cached)
    outputs = [Output((first,), tokens=5), Output((second,), tokens=7)]
    usage: Any = GENERATE_TEXT.encode(outputs, Generate(prompts=["a", "b"]))
    expected = generation_pb2.Usage(prompt_tokens=12, generated_tokens=4, cached_tokens=told)
    assert expected == usage.usage


LOGPROBS = (TokenLogprob(3, "a", -0.5), TokenLogprob(4, "\ufffd", 0.0))
MESSAGES = [
    generation_pb2.TokenLogprob(id=3, token="a", logprob=-0.5),
    generation_pb2.TokenLogprob(id=4, token="\ufffd", logprob=0),
]


def test_logprobs_travel_with_their_tokens() -> None:
    (result,) = encoded(Generate(prompts=["a"]), (Written("b", 2, LOGPROBS, finish()),)).results
    assert MESSAGES == list(result.texts[0].logprobs)


def test_a_stream_tells_what_each_step_added_and_then_its_end() -> None:
    messages = streamed(
        StreamGenerate(prompt="a"),
        Chunk("b"),
        # Nothing is told of a step that adds nothing.
        Chunk(),
        Chunk(logprobs=LOGPROBS),
        Chunk(" c", finish=finish("length", generated=9, cached=4)),
    )
    usage = generation_pb2.Usage(prompt_tokens=5, generated_tokens=9, cached_tokens=4)
    end = generation_pb2.StreamEnd(finish_reason=generation_pb2.FINISH_REASON_LENGTH, usage=usage)
    assert [
        StreamResponse(delta=TextDelta(text="b")),
        StreamResponse(delta=TextDelta(logprobs=MESSAGES)),
        StreamResponse(delta=TextDelta(text=" c")),
        StreamResponse(end=end),
    ] == messages


def test_a_stream_of_nothing_is_its_end() -> None:
    (message,) = streamed(StreamGenerate(prompt="a"), Chunk(finish=finish()))
    assert "end" == message.WhichOneof("event")
    assert not message.end.usage.HasField("cached_tokens")
