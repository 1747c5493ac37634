"""Every RPC once, with the example that comes with it, found by its descriptor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from standpipe import CallError, Client, contract
from standpipe.v1 import models_pb2, text_pb2

_LONGEST = 100
"""Characters of an input that are shown."""


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call.

    Attributes:
        rpc: Its full name.
        given: What went in, for people.
        got: What came out, for people; or why nothing did.
        answered: Whether it was answered; else this server refuses it, as it should.
        milliseconds: It took.
    """

    rpc: str
    given: str
    got: str
    answered: bool
    milliseconds: float


def _embeddings(response: text_pb2.EmbedTextResponse) -> str:
    first, *others = [embedding.values for embedding in response.embeddings]
    products = [sum(a * b for a, b in zip(first, other, strict=True)) for other in others]
    likeness = ", ".join(f"1·{number} = {product:.2f}" for number, product in enumerate(products, start=2))
    return f"{len(others) + 1} vectors of {response.dimensions}; {likeness}"


def _labels(response: Any) -> str:
    return _lines(
        ", ".join(f"{one.label} {one.score:.2f}" for one in result.labels) for result in response.results
    )


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


SAYINGS: Mapping[str, Callable[[Any], str]] = {
    "ListTasks": lambda response: (
        f"{len(response.tasks)} tasks, {sum(task.served for task in response.tasks)} of them served"
    ),
    "ListModels": lambda response: _lines(
        f"{model.name}, from {model.revision or model.source}" for model in response.models
    ),
    "GetModel": lambda response: (
        f"{response.model.backend} {response.model.dtype} on {response.model.device}; {response.model.reason}"
    ),
    "EmbedText": _embeddings,
    "RerankText": lambda response: _lines(f"{one.score:.2f} {one.text}" for one in response.results),
    "ClassifyText": _labels,
    "ClassifyTextZeroShot": _labels,
    "ClassifyTokens": lambda response: _lines(
        ", ".join(f"{one.word} {one.entity_group or one.entity}" for one in result.entities)
        for result in response.results
    ),
    "AnswerQuestion": lambda response: _lines(
        ", ".join(f"{one.answer} {one.score:.2f}" for one in result.answers) for result in response.results
    ),
    "AnswerTableQuestion": lambda response: _lines(one.answer for one in response.results),
    "FillMask": lambda response: _lines(
        ", ".join(f"{one.token_str} {one.score:.2f}" for one in mask.fills)
        for result in response.results
        for mask in result.masks
    ),
    "SummarizeText": lambda response: _lines(one.summary_text for one in response.results),
    "TranslateText": lambda response: _lines(one.translation_text for one in response.results),
    "TransformText": lambda response: _lines(one.generated_text for one in response.results),
    "Tokenize": lambda response: _lines(
        " ".join(token.token for token in result.tokens) for result in response.results
    ),
    "Detokenize": lambda response: _lines(response.texts),
    "ApplyChatTemplate": lambda response: response.text,
}
"""How the response of each RPC reads in a few words."""


def call_everything(client: Client) -> list[DemoCall]:
    """Call every RPC once.

    Raises:
        CallError: One failed that shouldn't have.
    """
    # Where several tasks share an RPC, one that is served stands for them.
    tasks = {task.rpc: task for task in sorted(client.list_tasks(), key=lambda task: task.served)}
    return [_call(client, method, tasks.get(name)) for name, method in contract.methods().items()]


def _call(client: Client, method: MethodDescriptor, task: models_pb2.Task | None) -> DemoCall:
    request = contract.example(method)
    send = contract.callable_on(client.channel, method)
    started = time.perf_counter()
    refused: CallError | None = None
    try:
        response = client.call(send, request)
    except CallError as error:
        refused = error
    milliseconds = (time.perf_counter() - started) * 1e3
    got = SAYINGS[method.name](response) if refused is None else _why(refused, task)
    return DemoCall(method.full_name, _given(request), got, refused is None, milliseconds)


def _why(error: CallError, task: models_pb2.Task | None) -> str:
    """Why a server rightly refuses an example: no model for it, or one that can't do what is asked."""
    if task is not None and not task.served:
        default = f"; the library's default is {task.default_model}" if task.default_model else ""
        return f"no model served{default}"
    if error.code is grpc.StatusCode.INVALID_ARGUMENT:
        return error.message
    raise error


def _given(request: Message) -> str:
    fields = MessageToDict(request, preserving_proto_field_name=True)
    return _lines(shorten(line, _LONGEST, placeholder=" …") for line in _inputs(fields))


def _inputs(fields: Mapping[str, Any]) -> list[str]:
    """What a request holds: its inputs a line each, its options by name."""
    lines: list[str] = []
    for name, value in fields.items():
        if isinstance(value, dict):
            lines += _inputs(value)
        elif isinstance(value, list):
            lines += [_input(one) for one in value]
        else:
            # A value of an enum begins with the enum's name, which is mostly the field's.
            lines.append(f"{name} = {str(value).removeprefix(f'{name.upper()}_')}")
    return lines


def _input(value: Any) -> str:
    if isinstance(value, dict):
        return ": ".join(_input(part) for part in value.values()).replace("?: ", "? ")
    return ", ".join(_input(part) for part in value) if isinstance(value, list) else str(value)
