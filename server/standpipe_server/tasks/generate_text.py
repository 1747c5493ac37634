"""GenerateText and StreamGenerateText: texts, continued.

Source: the text-generation pipeline of transformers, for texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import generation_pb2
from standpipe_server.errors import check_limit
from standpipe_server.interfaces import Call, Chunk, Output, Written
from standpipe_server.kinds import CAUSAL, IMAGE_CHAT
from standpipe_server.programs import CausalPrompt, Writing
from standpipe_server.tasks.base import (
    InputLimits,
    StreamTask,
    Task,
    check_text,
    check_texts,
    optional,
    text_cost,
)
from standpipe_server.tasks.causal import (
    BRIEF,
    logprob_messages,
    reason,
    sequences,
    stream_end,
    usage,
    writing,
)


@dataclass(frozen=True, slots=True)
class GenerateParameters:
    """How to write."""

    writing: Writing = Writing()


class GenerateHead:
    """A model reads the text as it is."""

    def __init__(self, model: Any) -> None:
        """Nothing that the model has is needed."""

    def prompt(self, call: Call) -> CausalPrompt:
        return CausalPrompt(call.input)

    def writing(self, call: Call) -> Writing:
        parameters: GenerateParameters = call.parameters
        return parameters.writing


def _decode(request: generation_pb2.GenerateTextRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.prompts, "prompts", limits)
    wanted = sequences(request)
    check_limit(wanted * len(request.prompts), "num_return_sequences", "max_items", limits.max_items, "texts")
    parameters = GenerateParameters(writing(request, limits, sequences=wanted))
    return [Call(prompt, parameters, f"prompts[{index}]") for index, prompt in enumerate(request.prompts)]


def _encode(
    outputs: Sequence[Output], request: generation_pb2.GenerateTextRequest
) -> generation_pb2.GenerateTextResponse:
    full = optional(request, "return_full_text", False)
    response = generation_pb2.GenerateTextResponse()
    for prompt, output in zip(request.prompts, outputs, strict=True):
        response.results.add(texts=[_text(prompt if full else "", text) for text in output.value])
    response.usage.CopyFrom(usage((text.finish for output in outputs for text in output.value), outputs))
    return response


def _text(before: str, text: Written) -> generation_pb2.GeneratedText:
    message = generation_pb2.GeneratedText(
        generated_text=before + text.text,
        generated_tokens=text.tokens,
        logprobs=logprob_messages(text.logprobs),
    )
    if text.finish is not None:
        message.finish_reason = reason(text.finish)
        message.stop_string = text.finish.stop_string
    return message


def _decode_stream(request: generation_pb2.StreamGenerateTextRequest, limits: InputLimits) -> Call:
    check_text(request.prompt, "prompt", limits)
    return Call(request.prompt, GenerateParameters(writing(request, limits, stream=True)), "prompt")


class TextEncoder:
    """A text as it is written."""

    def add(self, chunk: Chunk) -> list[generation_pb2.StreamGenerateTextResponse]:
        messages = []
        if chunk.text or chunk.logprobs:
            delta = generation_pb2.TextDelta(text=chunk.text, logprobs=logprob_messages(chunk.logprobs))
            messages.append(generation_pb2.StreamGenerateTextResponse(delta=delta))
        if chunk.finish is not None:
            messages.append(generation_pb2.StreamGenerateTextResponse(end=stream_end(chunk.finish)))
        return messages


GENERATE_TEXT = Task(
    name="text-generation",
    rpc="standpipe.v1.GenerationService.GenerateText",
    request=generation_pb2.GenerateTextRequest,
    response=generation_pb2.GenerateTextResponse,
    kind=CAUSAL,
    also={IMAGE_CHAT: GenerateHead},
    parameters=GenerateParameters,
    head=GenerateHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    mixes=True,
    default=("HuggingFaceTB/SmolLM3-3B", "a07cc9a"),
    warm_up=[[Call("A fixed pipe that stands ready", GenerateParameters(BRIEF))]],
)

STREAM_GENERATE_TEXT = StreamTask(
    task=GENERATE_TEXT,
    rpc="standpipe.v1.GenerationService.StreamGenerateText",
    request=generation_pb2.StreamGenerateTextRequest,
    response=generation_pb2.StreamGenerateTextResponse,
    decode=_decode_stream,
    encoder=lambda request: TextEncoder(),
)
