"""Conversations: from the contract's messages to a template's, and by a template to what a model reads.

Shared by the tasks that have one. Not aware of what becomes of the text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from standpipe.v1 import common_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.tasks.base import InputLimits, check_count, check_text, tokens_of


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one call brings, as the library takes it."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    variables: dict[str, Any]


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


def conversation_cost(talk: Conversation) -> int:
    """About how many tokens a conversation has."""
    return sum(tokens_of(message["content"]) for message in talk.messages)


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


def _content(message: common_pb2.ChatMessage, field: str, limits: InputLimits) -> str:
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
    text = "".join(part.text for part in message.parts)
    check_text(text, f"{field}.parts", limits)
    return text


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
