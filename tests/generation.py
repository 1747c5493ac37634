"""GenerationService's messages in short, and what its streams send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from standpipe import Client
from standpipe.streams import MessageStream
from standpipe.v1 import common_pb2, generation_pb2

Parameters = common_pb2.GenerationParameters
Turn = common_pb2.ChatMessage
GenerateText = generation_pb2.GenerateTextRequest
StreamGenerateText = generation_pb2.StreamGenerateTextRequest
Chat = generation_pb2.ChatRequest
StreamChat = generation_pb2.StreamChatRequest
Constraint = generation_pb2.Constraint

BACKENDS = ["openvino", "torch"]
HELLO = [Turn(role="user", content="hello")]


def exactly(tokens: int, **options: Any) -> common_pb2.GenerationParameters:
    return Parameters(max_new_tokens=tokens, min_new_tokens=tokens, **options)


def long(tokens: int = 30_000, **fields: Any) -> generation_pb2.StreamGenerateTextRequest:
    """What takes a model seconds."""
    return StreamGenerateText(prompt="hello", parameters=exactly(tokens), **fields)


@dataclass
class Read:
    """What a stream sent."""

    text: str
    logprobs: list[generation_pb2.TokenLogprob]
    end: generation_pb2.StreamEnd
    metadata: common_pb2.Metadata
    bytes: int


def read(messages: Iterator[Any]) -> Read:
    """All that is left of a stream."""
    *deltas, last = messages
    assert {"delta"} >= {message.WhichOneof("event") for message in deltas}
    assert not any(message.HasField("metadata") for message in deltas)
    assert "end" == last.WhichOneof("event")
    parts = [message.delta for message in deltas]
    text = "".join(
        part.text if isinstance(part, generation_pb2.TextDelta) else part.content for part in parts
    )
    logprobs = [one for part in parts for one in part.logprobs]
    return Read(text, logprobs, last.end, last.metadata, sum(message.ByteSize() for message in deltas))


def stream(client: Client, request: Message, timeout: float = 60) -> MessageStream[Any]:
    method: Any = {
        StreamGenerateText: client.generation.StreamGenerateText,
        StreamChat: client.generation.StreamChat,
    }[type(request)]
    return client.stream(method, request, timeout=timeout)
