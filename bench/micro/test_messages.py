"""Times messages: bytes into calls, and outputs or chunks into bytes, as a server does on its event loop.

Not aware of gRPC, of models, or of the Metadata that a server adds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message
from pytest_benchmark.fixture import BenchmarkFixture

from standpipe import contract
from standpipe.v1 import common_pb2, generation_pb2, text_pb2
from standpipe_bench.requests.texts import texts
from standpipe_server.interfaces import Call, Chunk, Finish, Output, TokenLogprob, Written
from standpipe_server.rpc.handling import parse
from standpipe_server.tasks import STREAM_TASKS, TASKS, InputLimits, StreamTask, Task
from standpipe_server.tasks.chat import STREAM_CHAT
from standpipe_server.tasks.classify_text import CLASSIFY_TEXT
from standpipe_server.tasks.embed_text import EMBED_TEXT
from standpipe_server.tasks.generate_text import GENERATE_TEXT, STREAM_GENERATE_TEXT

pytestmark = pytest.mark.benchmark(max_time=0.25, min_rounds=20)

LIMITS = InputLimits()
SIZES = (1, 8, 32)
TOKENS = 64
END = Finish("length", prompt_tokens=20, generated_tokens=TOKENS)
LOGPROBS = tuple(TokenLogprob(number, " water", -0.5) for number in range(TOKENS))
PARAMETERS = common_pb2.GenerationParameters(max_new_tokens=TOKENS, do_sample=True, temperature=0.7, seed=1)
ALL: tuple[Task | StreamTask, ...] = (*TASKS, *STREAM_TASKS)
BY_RPC = {one.rpc.rpartition(".")[2]: one for one in ALL}


@dataclass(frozen=True, slots=True)
class Case:
    """A task, its request with some texts, and what a model answers to each."""

    task: Task
    request: Callable[[list[str]], Message]
    value: Any


VECTOR = np.random.default_rng(1).standard_normal(384, np.float32)
WRITTEN = (Written(" water" * TOKENS, TOKENS, finish=END),)
CASES = {
    "EmbedText-repeated": Case(EMBED_TEXT, lambda found: text_pb2.EmbedTextRequest(texts=found), VECTOR),
    "EmbedText-packed": Case(
        EMBED_TEXT,
        lambda found: text_pb2.EmbedTextRequest(texts=found, format=common_pb2.EMBEDDING_FORMAT_PACKED),
        VECTOR,
    ),
    "ClassifyText": Case(
        CLASSIFY_TEXT,
        lambda found: text_pb2.ClassifyTextRequest(texts=found),
        [("POSITIVE", 0.9), ("NEGATIVE", 0.1)],
    ),
    "GenerateText": Case(
        GENERATE_TEXT,
        lambda found: generation_pb2.GenerateTextRequest(prompts=found, parameters=PARAMETERS),
        WRITTEN,
    ),
}

PLAIN = [*(Chunk(" water") for _ in LOGPROBS[1:]), Chunk(" water", finish=END)]
WITH_LOGPROBS = [Chunk(" water", (one,)) for one in LOGPROBS]
CALL_OF_A_TOOL = '<tool_call>\n{"name": "find", "arguments": {"where": "upper floors"}}\n</tool_call>'
CALLING = [*(Chunk(letter) for letter in CALL_OF_A_TOOL), Chunk(finish=END)]
TALK = generation_pb2.StreamChatRequest(messages=[common_pb2.ChatMessage(role="user", content="Where?")])
WITH_TOOLS = generation_pb2.StreamChatRequest(messages=TALK.messages, tools=['{"name": "find"}'])
STREAMS: dict[str, tuple[StreamTask, Message, Sequence[Chunk]]] = {
    "StreamGenerateText": (STREAM_GENERATE_TEXT, generation_pb2.StreamGenerateTextRequest(), PLAIN),
    "StreamGenerateText-logprobs": (
        STREAM_GENERATE_TEXT,
        generation_pb2.StreamGenerateTextRequest(logprobs=True),
        WITH_LOGPROBS,
    ),
    "StreamChat": (STREAM_CHAT, TALK, PLAIN),
    "StreamChat-tool": (STREAM_CHAT, WITH_TOOLS, CALLING),
}


@pytest.mark.parametrize("rpc", BY_RPC)
def test_an_example_becomes_calls(benchmark: BenchmarkFixture, rpc: str) -> None:
    task = BY_RPC[rpc]
    data = contract.example(contract.find(task.rpc)).SerializeToString()

    def run() -> list[Call] | Call:
        return task.decode(parse(task.request, data), LIMITS)

    assert benchmark(run)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES)
def test_a_request_becomes_calls(benchmark: BenchmarkFixture, case: str, size: int) -> None:
    benchmark.extra_info.update(items=size, unit="text")
    task = CASES[case].task
    found = texts(size, words=17, seed=3)
    data = CASES[case].request(found).SerializeToString()

    def run() -> list[Call]:
        return task.decode(parse(task.request, data), LIMITS)

    calls = benchmark(run)
    assert found == [call.input for call in calls]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES)
def test_outputs_become_a_response(benchmark: BenchmarkFixture, case: str, size: int) -> None:
    benchmark.extra_info.update(items=size, unit="text")
    task = CASES[case].task
    request = CASES[case].request(texts(size, words=17, seed=3))
    outputs = [Output(CASES[case].value, tokens=20) for _ in range(size)]

    def run() -> bytes:
        return task.encode(outputs, request).SerializeToString()

    data = benchmark(run)
    assert task.encode(outputs, request) == task.response.FromString(data)


@pytest.mark.parametrize("case", STREAMS)
def test_chunks_become_messages(benchmark: BenchmarkFixture, case: str) -> None:
    task, request, chunks = STREAMS[case]
    benchmark.extra_info.update(items=len(chunks), unit="chunk")

    def run() -> list[bytes]:
        encoder = task.encoder(request)
        return [message.SerializeToString() for chunk in chunks for message in encoder.add(chunk)]

    assert benchmark(run)
