"""Every task's answers are the library's: one table, on random and on real weights, alone and in company."""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from parity.audio_cases import AUDIO_APART
from parity.cases import (
    CASES,
    INVALID,
    MISTAKES,
    MISTAKES_BY_MODEL,
    ON_OPENVINO,
    REAL_CASES,
    SPECIAL,
    TINY,
    Request,
)
from parity.comparing import differences, legible
from parity.drawing_cases import DRAWING_APART, DRAWING_CASES
from parity.oracles import ORACLES
from standpipe import CallError, Client, contract
from standpipe_bench.server_process import ServerProcess
from standpipe_server import demo_models
from standpipe_server.tasks import MODEL_TASKS, TASKS, program_for

TOLERANCE = {"torch": 1e-5, "openvino": 1e-4, "auto": 2e-2}
# In bf16 fifty layers of convolutions move logits by up to 0.2: a likely label gains or loses a tenth.
ROUGH = {("auto", "ClassifyImage"): 5e-2}
# Pictures are compared by their levels: up to 2 of 255 apart in fp32, 10 in bf16.
ROUGH |= {("openvino", rpc): 1e-5 for rpc in DRAWING_CASES}
ROUGH |= {("auto", rpc): 4e-5 for rpc in DRAWING_CASES}
RPC_OF = {name: task.rpc.rpartition(".")[2] for name, task in MODEL_TASKS.items()}
# Those that a task's models answer too.
FURTHER = {"text-generation": ["Chat"]}
# What demo models are held to the library in.
FORMS_OF = {"text-generation": ("torch", "openvino")}


def build(rpc: str, request: Request, model: str) -> Message:
    return json_format.ParseDict(request | {"model": model}, contract.empty_request(contract.find(rpc)))


def plain(response: Message) -> dict[str, Any]:
    """A response as the oracles write it."""
    found: dict[str, Any] = json_format.MessageToDict(
        response, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    assert found.pop("metadata")["model"]
    answer: dict[str, Any] = legible(found)
    return answer


def last(answer: Message | Iterable[Message]) -> Message:
    """The answer of an RPC, or the last message of those of a stream of them."""
    return answer if isinstance(answer, Message) else deque(answer, maxlen=1).pop()


def expected(rpc: str, folder: Path, request: Message) -> dict[str, Any]:
    asked = type(request).FromString(request.SerializeToString())
    asked.model = ""  # type: ignore[attr-defined] # every task's request has it
    return answered(rpc, folder, asked.SerializeToString(deterministic=True))


@cache
def answered(rpc: str, folder: Path, request: bytes) -> dict[str, Any]:
    """What the oracle says, asked once whatever forms a model is served in."""
    with warnings.catch_warnings():
        # What the library says of its own words and windows isn't about ours.
        warnings.simplefilter("ignore")
        return ORACLES[rpc](folder, contract.empty_request(contract.find(rpc)).FromString(request))


def tiny_cases() -> Iterator[tuple[str, str, str, Request]]:
    for name, (_, rpcs) in TINY.items():
        for backend in ("torch", "openvino") if name in ON_OPENVINO else ("torch",):
            for rpc in rpcs:
                shared = [] if name in (*AUDIO_APART, *DRAWING_APART) else CASES[rpc]
                for request in [*shared, *SPECIAL.get(name, {}).get(rpc, [])]:
                    yield name, backend, rpc, request


def demo_cases() -> Iterator[tuple[str, str, str, Request]]:
    for recipe in filter(lambda one: one.able, demo_models.RECIPES):
        for form in FORMS_OF.get(recipe.tasks[0], ("torch", "auto")):
            further = [rpc for task in recipe.tasks for rpc in FURTHER.get(task, [])]
            if program_for(recipe.tasks).kind.tokenizes:
                further += ["Tokenize", "Detokenize"]
            for rpc in [*(RPC_OF[task] for task in recipe.tasks), *further]:
                # The second form of what writes freely is held to its own engine, in tests/backends.
                for request in REAL_CASES[rpc][: 1 if form == "openvino" else None]:
                    yield recipe.name, form, rpc, request


def name_of(value: object) -> str:
    return value if isinstance(value, str) else "request"


def test_every_task_has_an_oracle_cases_a_model_and_an_invalid_request() -> None:
    rpcs = {task.rpc.rpartition(".")[2] for task in TASKS}
    assert rpcs == set(ORACLES) == set(CASES) == set(INVALID)
    assert rpcs == {rpc for _, _, rpc, _ in tiny_cases()}
    for recipe in demo_models.RECIPES:
        assert {RPC_OF[task] for task in recipe.tasks} <= set(REAL_CASES)


def check(server: ServerProcess, folder: Path, model: str, form: str, rpc: str, request: Request) -> None:
    method = contract.find(rpc)
    message = build(rpc, request, model)
    with grpc.insecure_channel(server.address) as channel:
        response = last(contract.callable_on(channel, method)(message, timeout=60))
    theirs = expected(rpc, folder, message)
    assert theirs, "the oracle gave nothing to compare with"
    assert [] == differences(plain(response), theirs, ROUGH.get((form, rpc), TOLERANCE[form]))


def refusal(
    server: ServerProcess, name: str, rpc: str, request: Request
) -> tuple[grpc.StatusCode, list[str]]:
    """The status of a call that fails, and the fields that it names."""
    message = build(rpc, request, f"{name}-torch")
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        last(contract.callable_on(channel, contract.find(rpc))(message, timeout=60))
    error = CallError(caught.value)
    return error.code, list(error.fields)


@pytest.mark.parametrize(("name", "form", "rpc", "request_"), list(tiny_cases()), ids=name_of)
def test_a_tiny_model_answers_as_the_library(
    tiny_parity_server: ServerProcess,
    tiny_folders: dict[str, Path],
    name: str,
    form: str,
    rpc: str,
    request_: Request,
) -> None:
    check(tiny_parity_server, tiny_folders[name], f"{name}-{form}", form, rpc, request_)


@pytest.mark.parametrize(("name", "form", "rpc", "request_"), list(demo_cases()), ids=name_of)
def test_a_demo_model_answers_as_the_library(
    demo_parity_server: ServerProcess,
    default_server: ServerProcess,
    demo_folders: dict[str, Path],
    name: str,
    form: str,
    rpc: str,
    request_: Request,
) -> None:
    server, model = (default_server, name) if form == "auto" else (demo_parity_server, f"{name}-{form}")
    check(server, demo_folders[name], model, form, rpc, request_)


def test_a_conversation_that_names_no_model_is_for_the_one_that_chats(default_server: ServerProcess) -> None:
    """The first model of the default server, an encoder, has no template."""
    talk = [{"role": "user", "content": "What is a standpipe?"}]
    with Client(default_server.address, retry=False) as client:
        first, *_ = client.list_models()
        (chats,) = client.list_models("text-generation")
        assert first.name != chats.name
        asked = client.apply_chat_template(talk, model=chats.name)
        assert asked == client.apply_chat_template(talk)
        served = {task.name: task.served_model for task in client.list_tasks()}
    assert (chats.name, first.name) == (served["apply-chat-template"], served["tokenize"])


@pytest.mark.parametrize(("name", "rpc", "request_", "field"), MISTAKES_BY_MODEL, ids=name_of)
def test_what_other_models_understand_is_refused_with_the_name_of_its_field(
    tiny_parity_server: ServerProcess, name: str, rpc: str, request_: Request, field: str
) -> None:
    assert (grpc.StatusCode.INVALID_ARGUMENT, [field]) == refusal(tiny_parity_server, name, rpc, request_)


MODEL_FOR = {rpc: name for name, (_, rpcs) in reversed(TINY.items()) for rpc in rpcs}


@pytest.mark.parametrize("rpc", CASES)
async def test_32_calls_at_once_and_an_invalid_one_answer_as_each_alone(
    tiny_parity_server: ServerProcess, tiny_folders: dict[str, Path], rpc: str
) -> None:
    """Different lengths and different parameters, all in the queue together."""
    name = MODEL_FOR[rpc]
    bad, field = INVALID[rpc]
    requests = [*CASES[rpc] * 32][:31]
    messages = [build(rpc, request, f"{name}-torch") for request in requests]
    messages.insert(13, build(rpc, bad, f"{name}-torch"))
    method = contract.find(rpc)
    async with grpc.aio.insecure_channel(tiny_parity_server.address) as channel:
        kind = channel.unary_stream if method.server_streaming else channel.unary_unary
        call: Any = kind(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )

        async def answer_to(message: Message) -> Message:
            answering = call(message, timeout=60)
            if method.server_streaming:
                return last([response async for response in answering])
            return await answering  # type: ignore[no-any-return] # a response

        answers = await asyncio.gather(*map(answer_to, messages), return_exceptions=True)
    refusal = answers.pop(13)
    assert isinstance(refusal, grpc.RpcError)
    error = CallError(refusal)
    assert (grpc.StatusCode.INVALID_ARGUMENT, [field]) == (error.code, list(error.fields))
    for request, answer in zip(requests[: len(CASES[rpc])], answers, strict=False):
        assert isinstance(answer, Message), answer
        theirs = expected(rpc, tiny_folders[name], build(rpc, request, ""))
        assert [] == differences(plain(answer), theirs, TOLERANCE["torch"])
    first = [plain(answer) for answer in answers[: len(CASES[rpc])] if isinstance(answer, Message)]
    for index, answer in enumerate(answers):
        assert isinstance(answer, Message), answer
        assert [] == differences(plain(answer), first[index % len(first)], TOLERANCE["torch"])


@pytest.mark.parametrize(("rpc", "request_", "field"), MISTAKES, ids=name_of)
def test_a_mistake_is_refused_with_the_name_of_its_field(
    tiny_parity_server: ServerProcess, rpc: str, request_: Request, field: str
) -> None:
    found = refusal(tiny_parity_server, MODEL_FOR[rpc], rpc, request_)
    assert (grpc.StatusCode.INVALID_ARGUMENT, [field]) == found
