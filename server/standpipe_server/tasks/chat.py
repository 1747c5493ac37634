"""Chat and StreamChat: conversations, answered.

Source: the text-generation pipeline of transformers, for conversations; until 4.42 the conversational
pipeline.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import common_pb2, generation_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Chunk, Output
from standpipe_server.kinds import CAUSAL, IMAGE_CHAT
from standpipe_server.programs import CausalPrompt, Writing
from standpipe_server.tasks.base import InputLimits, StreamTask, Task
from standpipe_server.tasks.causal import (
    logprob_messages,
    reason,
    stream_end,
    usage,
    writing,
    written,
)
from standpipe_server.tasks.conversation import (
    Conversation,
    conversation,
    conversation_cost,
    in_parts,
    render,
)
from standpipe_server.tasks.generate_text import GENERATE_TEXT
from standpipe_server.tasks.tool_calls import Called, ToolCallFinder

ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class ChatParameters:
    """How to write."""

    writing: Writing = Writing()


class ChatHead:
    """The model's template writes what it reads."""

    def __init__(self, model: Any) -> None:
        self._template = model.template

    def prompt(self, call: Call) -> CausalPrompt:
        talk = self._talk(call)
        # As the library has it: an answer that is begun is gone on with.
        begun = talk.messages[-1]["role"] == "assistant"
        text = render(self._template, talk, add_generation_prompt=not begun, continue_final_message=begun)
        return CausalPrompt(text, special_tokens=False, images=talk.images)

    def _talk(self, call: Call) -> Conversation:
        talk: Conversation = call.input
        if talk.images:
            raise InvalidInputError("the model reads no images", talk.images[0].field)
        return talk

    def writing(self, call: Call) -> Writing:
        parameters: ChatParameters = call.parameters
        return parameters.writing


class ImageChatHead(ChatHead):
    """The same, for a model that reads images too."""

    def _talk(self, call: Call) -> Conversation:
        return in_parts(call.input)


def _call(request: Any, limits: InputLimits, *, stream: bool) -> Call:
    talk = conversation(request, limits)
    for index, message in enumerate(talk.messages):
        if message["role"] not in ROLES:
            raise InvalidInputError(
                f"unknown role {message['role']!r}; known: {', '.join(ROLES)}", f"messages[{index}].role"
            )
    for index, tool in enumerate(talk.tools):
        if not _tool_name(tool):
            raise InvalidInputError("the function has no name", f"tools[{index}]")
    return Call(talk, ChatParameters(writing(request, limits, stream=stream)), "messages")


def _tool_name(tool: dict[str, Any]) -> str:
    """A function's schema is given as it is, or under "function" as chat templates have it."""
    function = tool.get("function", tool)
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else ""


def _decode(request: generation_pb2.ChatRequest, limits: InputLimits) -> list[Call]:
    return [_call(request, limits, stream=False)]


def _encode(outputs: Sequence[Output], request: generation_pb2.ChatRequest) -> generation_pb2.ChatResponse:
    text = written(outputs[0])
    finder = _finder(request)
    said, calls = finder.add(text.text)
    rest, more = finder.rest()
    calls += more
    response = generation_pb2.ChatResponse(
        message=common_pb2.ChatMessage(role="assistant", content=said + rest, tool_calls=_messages(calls)),
        logprobs=logprob_messages(text.logprobs),
        usage=usage([text.finish], outputs),
    )
    if text.finish is not None:
        response.finish_reason = reason(text.finish, tool_calls=bool(calls))
        response.stop_string = text.finish.stop_string
    return response


def _decode_stream(request: generation_pb2.StreamChatRequest, limits: InputLimits) -> Call:
    return _call(request, limits, stream=True)


class ChatEncoder:
    """An answer as it is written.

    Args:
        finder: Tells its text from the tools that it calls.
    """

    def __init__(self, finder: ToolCallFinder) -> None:
        self._finder = finder
        self._called = False

    def add(self, chunk: Chunk) -> list[generation_pb2.StreamChatResponse]:
        text, calls = self._finder.add(chunk.text)
        if chunk.finish is not None:
            rest, more = self._finder.rest()
            text, calls = text + rest, calls + more
        self._called |= bool(calls)
        messages = []
        if text or calls or chunk.logprobs:
            delta = generation_pb2.ChatDelta(
                content=text, tool_calls=_messages(calls), logprobs=logprob_messages(chunk.logprobs)
            )
            messages.append(generation_pb2.StreamChatResponse(delta=delta))
        if chunk.finish is not None:
            end = stream_end(chunk.finish, tool_calls=self._called)
            messages.append(generation_pb2.StreamChatResponse(end=end))
        return messages


def _finder(request: Any) -> ToolCallFinder:
    # They were parsed before: each is a JSON object with a name.
    return ToolCallFinder([_tool_name(tool) for tool in map(json.loads, request.tools)])


def _messages(calls: Iterable[Called]) -> list[common_pb2.ToolCall]:
    """With an id each, by which the tools' answers are told apart: models write none."""
    return [
        common_pb2.ToolCall(id=f"call-{secrets.token_hex(4)}", name=call.name, arguments=call.arguments)
        for call in calls
    ]


CHAT = Task(
    name="conversational",
    rpc="standpipe.v1.GenerationService.Chat",
    request=generation_pb2.ChatRequest,
    response=generation_pb2.ChatResponse,
    kind=CAUSAL,
    parameters=ChatParameters,
    head=ChatHead,
    decode=_decode,
    encode=_encode,
    cost=lambda call: conversation_cost(call.input),
    default=("microsoft/DialoGPT-medium", "8bada3b"),
    of=GENERATE_TEXT.name,
    also={IMAGE_CHAT: ImageChatHead},
)

STREAM_CHAT = StreamTask(
    task=CHAT,
    rpc="standpipe.v1.GenerationService.StreamChat",
    request=generation_pb2.StreamChatRequest,
    response=generation_pb2.StreamChatResponse,
    decode=_decode_stream,
    encoder=lambda request: ChatEncoder(_finder(request)),
)
