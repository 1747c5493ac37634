"""ApplyChatTemplate: a conversation into what a model reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from standpipe.v1 import tokenizers_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Output
from standpipe_server.tasks.base import InputLimits, Task, check_count, check_text, optional, tokens_of


@dataclass(frozen=True, slots=True)
class ChatParameters:
    """How to write the conversation."""

    add_generation_prompt: bool = False
    continue_final_message: bool = False
    tokenize: bool = False


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one call brings, as the library takes it."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    variables: dict[str, Any]


class ChatHead:
    """Asks the tokenizer, which has the model's template."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def answer(self, call: Call) -> tuple[tuple[str, list[int]], int]:
        parameters: ChatParameters = call.parameters
        talk: Conversation = call.input
        if not self._tokenizer.chat_template:
            raise InvalidInputError("the model's tokenizer has no chat template", "model")
        try:
            text = self._tokenizer.apply_chat_template(
                talk.messages,
                tools=talk.tools or None,
                tokenize=False,
                add_generation_prompt=parameters.add_generation_prompt,
                continue_final_message=parameters.continue_final_message,
                **talk.variables,
            )
        # Templates are programs of their own, and refuse in whatever way they like.
        except Exception as error:
            raise InvalidInputError(
                f"the model's template refuses the conversation: {error}", "messages"
            ) from error
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"] if parameters.tokenize else []
        return (text, ids), len(ids)


def _decode(request: tokenizers_pb2.ApplyChatTemplateRequest, limits: InputLimits) -> list[Call]:
    check_count(request.messages, "messages", limits)
    parameters = ChatParameters(
        add_generation_prompt=optional(request, "add_generation_prompt", False),
        continue_final_message=optional(request, "continue_final_message", False),
        tokenize=optional(request, "tokenize", False),
    )
    if parameters.add_generation_prompt and parameters.continue_final_message:
        raise InvalidInputError(
            "an answer can't both begin and go on: send one of the two", "continue_final_message"
        )
    talk = Conversation(
        messages=[_message(message, f"messages[{i}]", limits) for i, message in enumerate(request.messages)],
        tools=[_object(tool, f"tools[{i}]", limits) for i, tool in enumerate(request.tools)],
        variables=_variables(request),
    )
    taken = sorted(_TAKEN & talk.variables.keys())
    if taken:
        raise InvalidInputError(f"{taken[0]} isn't a variable of the template", "template_variables")
    return [Call(talk, parameters, "messages")]


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


def _variables(request: tokenizers_pb2.ApplyChatTemplateRequest) -> dict[str, Any]:
    try:
        text = json_format.MessageToJson(request.template_variables)
    except ValueError as error:
        raise InvalidInputError(f"they aren't JSON: {error}", "template_variables") from error
    # A Struct has no whole numbers; a template that prints one means 3, not 3.0.
    return dict(json.loads(text, parse_float=_number))


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


def _message(message: tokenizers_pb2.ChatMessage, field: str, limits: InputLimits) -> dict[str, Any]:
    """As the library has it: what isn't there is left out, because templates ask whether it is."""
    if not message.role:
        raise InvalidInputError('the role is empty: send "user", "assistant", …', f"{field}.role")
    check_text(message.content, f"{field}.content", limits)
    said: dict[str, Any] = {"role": message.role, "content": message.content}
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


def _tool_call(call: tokenizers_pb2.ToolCall, field: str, limits: InputLimits) -> dict[str, Any]:
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


def _encode(
    outputs: Sequence[Output], _: tokenizers_pb2.ApplyChatTemplateRequest
) -> tokenizers_pb2.ApplyChatTemplateResponse:
    text, ids = outputs[0].value
    return tokenizers_pb2.ApplyChatTemplateResponse(text=text, ids=ids)


def _cost(call: Call) -> int:
    return sum(tokens_of(message["content"]) for message in call.input.messages)


APPLY_CHAT_TEMPLATE = Task(
    name="apply-chat-template",
    rpc="standpipe.v1.TokenizerService.ApplyChatTemplate",
    request=tokenizers_pb2.ApplyChatTemplateRequest,
    response=tokenizers_pb2.ApplyChatTemplateResponse,
    kind=None,
    parameters=ChatParameters,
    head=ChatHead,
    decode=_decode,
    encode=_encode,
    cost=_cost,
)
