"""Each mistake of a caller of GenerationService: its status, its reason, the field it names."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from generation import (
    BACKENDS,
    HELLO,
    Chat,
    Constraint,
    GenerateText,
    Parameters,
    StreamChat,
    StreamGenerateText,
    Turn,
    stream,
)
from standpipe import CallError, Client
from standpipe.v1 import generation_pb2

Code = grpc.StatusCode
ENDLESS = "water stands " * 20_000
MUCH = "w" * 10_000_000

REFUSED: dict[str, tuple[Message, grpc.StatusCode, str, list[str]]] = {
    "no prompts": (GenerateText(), Code.INVALID_ARGUMENT, "INVALID_INPUT", ["prompts"]),
    "an empty prompt": (StreamGenerateText(), Code.INVALID_ARGUMENT, "INVALID_INPUT", ["prompt"]),
    "a prompt without tokens": (
        GenerateText(prompts=["a", ""]),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["prompts[1]"],
    ),
    "too long a prompt": (
        GenerateText(prompts=["a", ENDLESS]),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["prompts[1]"],
    ),
    "too long a prompt of a stream": (
        StreamGenerateText(prompt=ENDLESS),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["prompt"],
    ),
    "too long a conversation": (
        Chat(messages=[Turn(role="user", content=ENDLESS)]),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["messages"],
    ),
    "10 MB of prompt": (
        StreamGenerateText(prompt=MUCH),
        Code.INVALID_ARGUMENT,
        "LIMIT_EXCEEDED",
        ["prompt"],
    ),
    "10 MB of conversation": (
        StreamChat(messages=[*HELLO, Turn(role="user", content=MUCH)]),
        Code.INVALID_ARGUMENT,
        "LIMIT_EXCEEDED",
        ["messages[1].content"],
    ),
    "an unknown role": (
        StreamChat(messages=[Turn(role="robot", content="hi")]),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["messages[0].role"],
    ),
    "no temperature": (
        Chat(messages=HELLO, parameters=Parameters(temperature=-1)),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["parameters.temperature"],
    ),
    "more than everything": (
        StreamChat(messages=HELLO, parameters=Parameters(top_p=2)),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["parameters.top_p"],
    ),
    "more tokens than are allowed": (
        StreamChat(messages=HELLO, parameters=Parameters(max_new_tokens=100_000)),
        Code.INVALID_ARGUMENT,
        "LIMIT_EXCEEDED",
        ["parameters.max_new_tokens"],
    ),
    "beams of a stream": (
        StreamGenerateText(prompt="a", parameters=Parameters(num_beams=3)),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["parameters.num_beams"],
    ),
    "several texts without drawing": (
        GenerateText(prompts=["a"], num_return_sequences=2),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["num_return_sequences"],
    ),
    "a schema that nothing fits": (
        StreamChat(
            messages=HELLO,
            constraint=Constraint(json_schema='{"type": "integer", "minimum": 3, "maximum": 2}'),
        ),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["constraint.json_schema"],
    ),
    "a schema that isn't JSON": (
        GenerateText(prompts=["a"], constraint=Constraint(json_schema='{"type":')),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["constraint.json_schema"],
    ),
    "nothing to choose from": (
        GenerateText(prompts=["a"], constraint=Constraint(choices=generation_pb2.Choices())),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["constraint.choices.texts"],
    ),
    "a choice with a NUL": (
        GenerateText(
            prompts=["a"], constraint=Constraint(choices=generation_pb2.Choices(texts=["a", "b\0"]))
        ),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["constraint.choices.texts[1]"],
    ),
    "a model that doesn't write": (
        StreamChat(model="bert", messages=HELLO),
        Code.NOT_FOUND,
        "MODEL_NOT_FOUND",
        [],
    ),
    "an unknown model": (GenerateText(model="nobody", prompts=["a"]), Code.NOT_FOUND, "MODEL_NOT_FOUND", []),
}


def refusal(client: Client, request: Message) -> CallError:
    """What the server says to a request that it refuses."""
    service = client.generation
    unary: dict[type, Any] = {GenerateText: service.GenerateText, Chat: service.Chat}
    method = unary.get(type(request))
    with pytest.raises(CallError) as caught:
        next(stream(client, request)) if method is None else client.call(method, request)
    return caught.value


@pytest.mark.parametrize("model", BACKENDS)
@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_gets_its_status_reason_and_field(writer: Client, mistake: str, model: str) -> None:
    request, code, reason, fields = REFUSED[mistake]
    request = type(request).FromString(request.SerializeToString())
    request.model = request.model or model  # type: ignore[attr-defined]
    error = refusal(writer, request)
    assert (code, reason, fields) == (error.code, error.reason, list(error.fields))
    assert error.metadata["request_id"]


def test_openvino_refuses_by_name_what_its_engine_lacks(writer: Client) -> None:
    for parameters in (Parameters(typical_p=0.5, do_sample=True), Parameters(no_repeat_ngram_size=2)):
        error = refusal(writer, StreamChat(model="openvino", messages=HELLO, parameters=parameters))
        (named,) = (field.name for field, _ in parameters.ListFields() if field.name != "do_sample")
        assert (Code.INVALID_ARGUMENT, [f"parameters.{named}"]) == (error.code, list(error.fields))
