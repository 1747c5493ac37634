"""Conversations: from the contract's messages to a template's, and by a template to what a model reads.

Shared by the tasks that have one. Not aware of what becomes of the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf import json_format

from standpipe.v1 import common_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.media.images import EncodedImage
from standpipe_server.tasks.base import InputLimits, check_count, check_text, tokens_of
from standpipe_server.tasks.images import image_of

# Tokens that an image becomes, about.
_IMAGE_COST = 500


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one call brings, as the library takes it.

    Attributes:
        messages: The content of each is a text, or, where it has images, a list of parts.
        tools: Schemas of functions.
        variables: Of the template.
        images: Files of the parts that are images, in order.
    """

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    variables: dict[str, Any]
    images: tuple[EncodedImage, ...] = ()


def conversation(request: Any, limits: InputLimits) -> Conversation:
    """The conversation of a request that has ``messages``, ``tools`` and ``template_variables``.

    Raises:
        InvalidInputError: Naming the field.
    """
    check_count(request.messages, "messages", limits)
    talk = Conversation(
        messages=[_message(message, f"messages[{i}]", limits) for i, message in enumerate(request.messages)],
        tools=[_object(tool, f"tools[{i}]", limits) for i, tool in enumerate(request.tools)],
        variables=_variables(request),
        images=tuple(_images(request.messages, limits)),
    )
    taken = sorted(_TAKEN & talk.variables.keys())
    if taken:
        raise InvalidInputError(f"{taken[0]} isn't a variable of the template", "template_variables")
    return talk


def render(
    tokenizer: Any, talk: Conversation, *, add_generation_prompt: bool, continue_final_message: bool
) -> str:
    """A conversation as the model of a tokenizer reads it.

    Raises:
        InvalidInputError: The model has no template, or its template refuses the conversation.
    """
    if not tokenizer.chat_template:
        raise InvalidInputError("the model's tokenizer has no chat template", "model")
    try:
        text: str = tokenizer.apply_chat_template(
            talk.messages,
            tools=talk.tools or None,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=continue_final_message,
            **talk.variables,
        )
    # Templates are programs of their own, and refuse in whatever way they like.
    except Exception as error:
        raise InvalidInputError(
            f"the model's template refuses the conversation: {error}", "messages"
        ) from error
    return text


def in_parts(talk: Conversation) -> Conversation:
    """The conversation with every content as a list of parts, as the templates of models that see want it."""
    messages = [
        message | {"content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message["content"], str)
        else message
        for message in talk.messages
    ]
    return replace(talk, messages=messages)


def conversation_cost(talk: Conversation) -> int:
    """About how many tokens a conversation has."""
    return sum(map(_content_cost, talk.messages))


def _content_cost(message: dict[str, Any]) -> int:
    content = message["content"]
    if isinstance(content, str):
        return tokens_of(content)
    return sum(tokens_of(part["text"]) if part["type"] == "text" else _IMAGE_COST for part in content)


# What apply_chat_template itself takes: a variable of such a name would be taken for its option.
_TAKEN = frozenset(
    {
        *("conversation", "conversations", "messages", "self", "tools", "documents", "chat_template"),
        *(
            "add_generation_prompt",
            "continue_final_message",
            "tokenize",
            "padding",
            "truncation",
            "max_length",
        ),
        *("return_tensors", "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs"),
    }
)


def _variables(request: Any) -> dict[str, Any]:
    try:
        text = json_format.MessageToJson(request.template_variables)
    except ValueError as error:
        raise InvalidInputError(f"they aren't JSON: {error}", "template_variables") from error
    # A Struct has no whole numbers; a template that prints one means 3, not 3.0.
    return dict(json.loads(text, parse_float=_number))


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


def _message(message: common_pb2.ChatMessage, field: str, limits: InputLimits) -> dict[str, Any]:
    """As the library has it: what isn't there is left out, because templates ask whether it is."""
    if not message.role:
        raise InvalidInputError('the role is empty: send "user", "assistant", …', f"{field}.role")
    said: dict[str, Any] = {"role": message.role, "content": _content(message, field, limits)}
    if message.name:
        said["name"] = message.name
    if message.tool_call_id:
        said["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        said["tool_calls"] = [
            _tool_call(call, f"{field}.tool_calls[{index}]", limits)
            for index, call in enumerate(message.tool_calls)
        ]
    return said


def _images(messages: Iterable[common_pb2.ChatMessage], limits: InputLimits) -> Iterator[EncodedImage]:
    for index, message in enumerate(messages):
        for place, part in enumerate(message.parts):
            if part.HasField("image"):
                yield image_of(part.image, f"messages[{index}].parts[{place}].image", limits)


def _content(message: common_pb2.ChatMessage, field: str, limits: InputLimits) -> str | list[dict[str, str]]:
    if not message.parts:
        check_text(message.content, f"{field}.content", limits)
        return message.content
    if message.content:
        raise InvalidInputError(
            "the message has both content and parts: send one of the two", f"{field}.parts"
        )
    for index, part in enumerate(message.parts):
        if part.WhichOneof("content") is None:
            raise InvalidInputError(
                "the part is empty, or of a kind that this server doesn't know", f"{field}.parts[{index}]"
            )
    check_text("".join(part.text for part in message.parts), f"{field}.parts", limits)
    # Texts that follow each other are read as one.
    parts: list[dict[str, str]] = []
    for part in message.parts:
        if part.HasField("image"):
            parts.append({"type": "image"})
        elif parts and parts[-1]["type"] == "text":
            parts[-1]["text"] += part.text
        else:
            parts.append({"type": "text", "text": part.text})
    return parts if any(part["type"] == "image" for part in parts) else parts[0]["text"]


def _tool_call(call: common_pb2.ToolCall, field: str, limits: InputLimits) -> dict[str, Any]:
    arguments = _object(call.arguments, f"{field}.arguments", limits) if call.arguments else {}
    named = {"type": "function", "function": {"name": call.name, "arguments": arguments}}
    return {"id": call.id} | named if call.id else named


def _object(text: str, field: str, limits: InputLimits) -> dict[str, Any]:
    check_text(text, field, limits)
    try:
        parsed = json.loads(text)
        # Half a surrogate pair, written with an escape, is no text that could be sent back.
        json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"it isn't JSON: {error}", field) from error
    if not isinstance(parsed, dict):
        raise InvalidInputError("it isn't a JSON object", field)
    return parsed
