"""Each mistake of a caller, through a real server process: its status, its reason, the field it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import grpc
import pytest

from standpipe import CallError, Client
from standpipe.v1 import text_pb2, text_pb2_grpc
from standpipe_bench.server_process import ServerProcess

Code = grpc.StatusCode
EMBED = "/standpipe.v1.TextService/EmbedText"


def refusal(client: Client, request: bytes | text_pb2.EmbedTextRequest, timeout: float = 30) -> CallError:
    """What the server says to a request that it refuses."""
    data = request if isinstance(request, bytes) else request.SerializeToString()
    call: Callable[..., bytes] = client.channel.unary_unary(EMBED)
    with pytest.raises(grpc.RpcError) as caught:
        call(data, timeout=timeout)
    return CallError(caught.value)


@pytest.fixture(autouse=True)
def _the_server_keeps_serving(client: Client) -> Iterator[None]:
    yield
    assert client.embed_text(["still here"]).shape == (1, 32)


Request = text_pb2.EmbedTextRequest

UNKNOWN: Any = 99

REFUSED: dict[str, tuple[bytes | Request, grpc.StatusCode, str, list[str]]] = {
    "no texts": (Request(), Code.INVALID_ARGUMENT, "INVALID_INPUT", ["texts"]),
    "too many texts": (Request(texts=["a"] * 10_000), Code.INVALID_ARGUMENT, "LIMIT_EXCEEDED", ["texts"]),
    "a text of too many bytes": (
        Request(texts=["a", "b" * 100_001]),
        Code.INVALID_ARGUMENT,
        "LIMIT_EXCEEDED",
        ["texts[1]"],
    ),
    "a text of too many tokens": (
        Request(texts=["a", "b", "the dog " * 64], truncate=False),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["texts[2]"],
    ),
    "an unknown format": (
        Request(texts=["a"], format=UNKNOWN),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["format"],
    ),
    "an unknown pooling": (
        Request(texts=["a"], pooling=UNKNOWN),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["pooling"],
    ),
    "an unknown prompt": (
        Request(texts=["a"], prompt_name="query"),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["prompt_name"],
    ),
    "no dimensions": (
        Request(texts=["a"], dimensions=0),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["dimensions"],
    ),
    "more dimensions than there are": (
        Request(texts=["a"], dimensions=33),
        Code.INVALID_ARGUMENT,
        "INVALID_INPUT",
        ["dimensions"],
    ),
    "an unknown model": (Request(model="nobody", texts=["a"]), Code.NOT_FOUND, "MODEL_NOT_FOUND", []),
    # Field 2, three bytes: U+D800 as no UTF-8 encoder should write it.
    "half a surrogate pair": (b"\x12\x03\xed\xa0\x80", Code.INVALID_ARGUMENT, "INVALID_INPUT", [""]),
    "malformed bytes": (b"\xff\xff\xff", Code.INVALID_ARGUMENT, "INVALID_INPUT", [""]),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_gets_its_status_reason_and_field(client: Client, mistake: str) -> None:
    request, code, reason, fields = REFUSED[mistake]
    error = refusal(client, request)
    assert (code, reason, fields) == (error.code, error.reason, list(error.fields))


def test_an_exceeded_limit_is_named_with_its_value(client: Client) -> None:
    error = refusal(client, Request(texts=["a"] * 10_000))
    assert ("max_items", "1024") == (error.metadata["limit"], error.metadata["value"])
    assert "10000 texts in one call exceed the limit max_items = 1024" in error.message


def test_a_message_of_100_mb_is_refused_by_grpc_itself(tiny_server: ServerProcess) -> None:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(tiny_server.address, options) as channel:
        call: Callable[..., bytes] = channel.unary_unary(EMBED)
        with pytest.raises(grpc.RpcError) as caught:
            call(Request(texts=["a" * 1_000_000] * 100).SerializeToString(), timeout=30)
    assert CallError(caught.value).code is Code.RESOURCE_EXHAUSTED


def test_a_deadline_that_passes_is_deadline_exceeded(client: Client) -> None:
    error = refusal(client, Request(texts=["the quick brown fox " * 16] * 1024), timeout=0.01)
    assert error.code is Code.DEADLINE_EXCEEDED


def test_the_request_id_of_the_caller_comes_back_with_the_error(client: Client) -> None:
    call: Callable[..., bytes] = client.channel.unary_unary(EMBED)
    with pytest.raises(grpc.RpcError) as caught:
        call(Request().SerializeToString(), metadata=(("x-request-id", "abc-123"),))
    assert CallError(caught.value).metadata["request_id"] == "abc-123"


@pytest.fixture
def strict(strict_to_be: Future[ServerProcess]) -> Iterator[Client]:
    with Client(strict_to_be.result().address, retry=False) as client:
        yield client


def test_a_poisoned_call_fails_alone_and_is_internal(strict: Client) -> None:
    """Its companions in the same batch are answered."""
    embed = text_pb2_grpc.TextServiceStub(strict.channel).EmbedText
    companions = [embed.future(Request(model="brittle", texts=["water"])) for _ in range(8)]
    poisoned = embed.future(Request(model="brittle", texts=["water", "the quick brown fox " * 64]))
    with pytest.raises(grpc.RpcError) as caught:
        poisoned.result()
    error = CallError(caught.value)
    assert (Code.INTERNAL, "MODEL_FAILED") == (error.code, error.reason)
    assert "texts[1]" in error.message
    assert all(len(future.result().embeddings[0].values) == 32 for future in companions)


def test_a_full_queue_is_resource_exhausted_with_a_time_to_retry(strict: Client) -> None:
    embed = text_pb2_grpc.TextServiceStub(strict.channel).EmbedText
    texts = ["the quick brown fox " * 16] * 64
    calls = [embed.future(Request(model="tiny", texts=texts)) for _ in range(32)]
    errors = [CallError(error) for call in calls if isinstance(error := call.exception(), grpc.RpcError)]
    assert errors
    assert {(Code.RESOURCE_EXHAUSTED, "QUEUE_FULL")} == {(error.code, error.reason) for error in errors}
    assert all(error.retry_after is not None and error.retry_after > 0 for error in errors)
    assert len(errors) < len(calls)
