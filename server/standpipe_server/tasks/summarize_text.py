"""SummarizeText: texts into shorter ones.

Source: the summarization pipeline of transformers 4, which transformers 5 no longer has. A chat model is
asked in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from standpipe.v1 import text_pb2
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import CAUSAL, SEQ2SEQ
from standpipe_server.programs import Prompt
from standpipe_server.tasks.base import InputLimits, Task, check_texts, text_cost, texts_to_calls
from standpipe_server.tasks.causal import written
from standpipe_server.tasks.instructed import InstructedHead
from standpipe_server.tasks.writing import BRIEF, PlainHead, WriteParameters, generation, warm_up


class SummarizeParameters(WriteParameters):
    """How to write."""


class SummarizeHead(PlainHead):
    """Puts before the text what the model's files ask for, such as T5's "summarize: "."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        specific = getattr(model.config, "task_specific_params", None) or {}
        self._prefix: str = specific.get("summarization", {}).get("prefix") or ""

    def prompt(self, call: Call) -> Prompt:
        return Prompt(self._prefix + call.input)


class SummarizeChatHead(InstructedHead):
    """Asks a chat model for the summary alone."""

    def instruction(self, parameters: SummarizeParameters) -> str:
        return "Summarize the following text in one or two sentences. Answer with the summary only."


def _decode(request: text_pb2.SummarizeTextRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.texts, "texts", limits)
    return texts_to_calls(request.texts, SummarizeParameters(generation(request, limits)))


def _encode(outputs: Sequence[Output], _: text_pb2.SummarizeTextRequest) -> text_pb2.SummarizeTextResponse:
    response = text_pb2.SummarizeTextResponse()
    for output in outputs:
        text = written(output)
        response.results.add(summary_text=text.text, generated_tokens=text.tokens)
    return response


SUMMARIZE_TEXT = Task(
    name="summarization",
    rpc="standpipe.v1.TextService.SummarizeText",
    request=text_pb2.SummarizeTextRequest,
    response=text_pb2.SummarizeTextResponse,
    kind=SEQ2SEQ,
    parameters=SummarizeParameters,
    head=SummarizeHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    mixes=False,
    default=("sshleifer/distilbart-cnn-12-6", "a4f8f3e"),
    warm_up=warm_up(SummarizeParameters(BRIEF)),
    also={CAUSAL: SummarizeChatHead},
)
