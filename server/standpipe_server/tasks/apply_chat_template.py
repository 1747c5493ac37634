"""ApplyChatTemplate: a conversation into what a model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import tokenizers_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Output
from standpipe_server.tasks.base import InputLimits, Task, optional
from standpipe_server.tasks.conversation import Conversation, conversation, conversation_cost, render


@dataclass(frozen=True, slots=True)
class TemplateParameters:
    """How to write the conversation."""

    add_generation_prompt: bool = False
    continue_final_message: bool = False
    tokenize: bool = False


class TemplateHead:
    """Asks the tokenizer, which has the model's template."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def answer(self, call: Call) -> tuple[tuple[str, list[int]], int]:
        parameters: TemplateParameters = call.parameters
        talk: Conversation = call.input
        text = render(
            self._tokenizer,
            talk,
            add_generation_prompt=parameters.add_generation_prompt,
            continue_final_message=parameters.continue_final_message,
        )
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"] if parameters.tokenize else []
        return (text, ids), len(ids)


def _decode(request: tokenizers_pb2.ApplyChatTemplateRequest, limits: InputLimits) -> list[Call]:
    parameters = TemplateParameters(
        add_generation_prompt=optional(request, "add_generation_prompt", False),
        continue_final_message=optional(request, "continue_final_message", False),
        tokenize=optional(request, "tokenize", False),
    )
    if parameters.add_generation_prompt and parameters.continue_final_message:
        raise InvalidInputError(
            "an answer can't both begin and go on: send one of the two", "continue_final_message"
        )
    talk = conversation(request, limits)
    if talk.images:
        raise InvalidInputError("a tokenizer by itself reads no images", talk.images[0].field)
    return [Call(talk, parameters, "messages")]


def _encode(
    outputs: Sequence[Output], _: tokenizers_pb2.ApplyChatTemplateRequest
) -> tokenizers_pb2.ApplyChatTemplateResponse:
    text, ids = outputs[0].value
    return tokenizers_pb2.ApplyChatTemplateResponse(text=text, ids=ids)


APPLY_CHAT_TEMPLATE = Task(
    name="apply-chat-template",
    rpc="standpipe.v1.TokenizerService.ApplyChatTemplate",
    request=tokenizers_pb2.ApplyChatTemplateRequest,
    response=tokenizers_pb2.ApplyChatTemplateResponse,
    kind=None,
    parameters=TemplateParameters,
    head=TemplateHead,
    decode=_decode,
    encode=_encode,
    cost=lambda call: conversation_cost(call.input),
    # Others seldom have a template.
    rather="text-generation",
)
