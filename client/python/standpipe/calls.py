"""Every RPC, declared once for both clients: its stub's method, its request, what comes of its response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

import grpc
import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from standpipe import requests
from standpipe.fields import words
from standpipe.results import (
    Answer,
    ChatAnswer,
    ChatDelta,
    ChatPrompt,
    Entity,
    Fill,
    GeneratedText,
    Label,
    Ranked,
    StreamEnd,
    TableAnswer,
    TextDelta,
    Token,
    TokenLogprob,
    Tokens,
    ToolCall,
    Usage,
)
from standpipe.v1 import (
    audio_pb2_grpc,
    common_pb2,
    generation_pb2,
    generation_pb2_grpc,
    image_generation_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    text_pb2,
    text_pb2_grpc,
    tokenizers_pb2_grpc,
    vision_pb2,
    vision_pb2_grpc,
)

P = ParamSpec("P")
T = TypeVar("T")
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
SentT = TypeVar("SentT")
DeltaT = TypeVar("DeltaT")
ResultT = TypeVar("ResultT")


class Stubs(Protocol):
    """What both clients have: a generated stub for each service."""

    @property
    def text(self) -> text_pb2_grpc.TextServiceStub: ...

    @property
    def generation(self) -> generation_pb2_grpc.GenerationServiceStub: ...

    @property
    def tokenizers(self) -> tokenizers_pb2_grpc.TokenizerServiceStub: ...

    @property
    def vision(self) -> vision_pb2_grpc.VisionServiceStub: ...

    @property
    def audio(self) -> audio_pb2_grpc.AudioServiceStub: ...

    @property
    def image_generation(self) -> image_generation_pb2_grpc.ImageGenerationServiceStub: ...

    @property
    def models(self) -> models_pb2_grpc.ModelServiceStub: ...


@dataclass(frozen=True, slots=True)
class Rpc(Generic[P, RequestT, ResponseT, ResultT]):
    """One RPC.

    Attributes:
        method: Finds it among a client's stubs.
        request: Makes its request of a method's arguments.
        result: What the method returns, made of the response.
    """

    method: Callable[[Stubs], grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]]
    request: Callable[P, RequestT]
    result: Callable[[ResponseT], ResultT]


@dataclass(frozen=True, slots=True)
class StreamRpc(Generic[P, SentT, DeltaT, ResultT]):
    """One RPC that streams its answer: its responses hold an event each, the last one an end.

    Attributes:
        method: Finds it among a client's stubs.
        request: Makes of a method's arguments its request, or its requests where it takes a stream of them.
        deltas: What the stream gives for an event, by the event's name.
        end: The name of the event that is the last one.
        join: The whole answer, made of what the stream gave and of its end.
    """

    method: Callable[[Stubs], Callable[..., Any]]
    request: Callable[P, SentT]
    deltas: Mapping[str, Callable[[Any], DeltaT]]
    end: str
    join: Callable[[Sequence[DeltaT], Any], ResultT]


def _each(kind: type[T], messages: Iterable[Message]) -> list[T]:
    """Messages as dataclasses whose fields have the same names."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type] # all are dataclasses
    return [kind(*[getattr(message, name) for name in names]) for message in messages]


def vectors(response: text_pb2.EmbedTextResponse | vision_pb2.EmbedImageResponse) -> NDArray[np.float32]:
    """Packed vectors as float32 (n, d)."""
    packed = np.frombuffer(response.packed, dtype="<f4").astype(np.float32)
    return packed.reshape(-1, response.dimensions)


def labels(results: Iterable[common_pb2.LabelScores]) -> list[list[Label]]:
    """The labels of each input."""
    return [_each(Label, result.labels) for result in results]


def _table_answer(result: text_pb2.TableAnswer) -> TableAnswer:
    places = tuple((place.row, place.column) for place in result.coordinates)
    return TableAnswer(result.answer, places, tuple(result.cells), result.aggregator)


_FINISH = {number: word for word, number in words(generation_pb2.FinishReason.DESCRIPTOR).items()}


def _logprobs(logprobs: Iterable[generation_pb2.TokenLogprob]) -> tuple[TokenLogprob, ...]:
    return tuple(_each(TokenLogprob, logprobs))


def _generated(text: generation_pb2.GeneratedText) -> GeneratedText:
    finish = _FINISH.get(text.finish_reason, "")
    logprobs = _logprobs(text.logprobs)
    return GeneratedText(text.generated_text, finish, text.stop_string, text.generated_tokens, logprobs)


def _usage(usage: generation_pb2.Usage) -> Usage:
    cached = usage.cached_tokens if usage.HasField("cached_tokens") else None
    return Usage(usage.prompt_tokens, usage.generated_tokens, cached)


def _chat_answer(response: generation_pb2.ChatResponse) -> ChatAnswer:
    return ChatAnswer(
        response.message.content,
        tuple(_each(ToolCall, response.message.tool_calls)),
        _FINISH.get(response.finish_reason, ""),
        response.stop_string,
        _usage(response.usage),
        _logprobs(response.logprobs),
    )


def stream_end(end: generation_pb2.StreamEnd) -> StreamEnd:
    """The end of a stream, whichever RPC's it is."""
    return StreamEnd(_FINISH.get(end.finish_reason, ""), end.stop_string, _usage(end.usage))


def _text_delta(delta: generation_pb2.TextDelta) -> TextDelta:
    return TextDelta(delta.text, _logprobs(delta.logprobs))


def _chat_delta(delta: generation_pb2.ChatDelta) -> ChatDelta:
    return ChatDelta(delta.content, tuple(_each(ToolCall, delta.tool_calls)), _logprobs(delta.logprobs))


def _joined_text(deltas: Sequence[TextDelta], last: generation_pb2.StreamEnd) -> GeneratedText:
    end = stream_end(last)
    text = "".join(delta.text for delta in deltas)
    logprobs = tuple(one for delta in deltas for one in delta.logprobs)
    return GeneratedText(text, end.finish_reason, end.stop_string, end.usage.generated_tokens, logprobs)


def _joined_answer(deltas: Sequence[ChatDelta], last: generation_pb2.StreamEnd) -> ChatAnswer:
    end = stream_end(last)
    return ChatAnswer(
        "".join(delta.content for delta in deltas),
        tuple(call for delta in deltas for call in delta.tool_calls),
        end.finish_reason,
        end.stop_string,
        end.usage,
        tuple(one for delta in deltas for one in delta.logprobs),
    )


EMBED_TEXT = Rpc(lambda stubs: stubs.text.EmbedText, requests.embed_text_request, vectors)

RERANK_TEXT = Rpc(
    lambda stubs: stubs.text.RerankText,
    requests.rerank_text_request,
    lambda response: _each(Ranked, response.results),
)

CLASSIFY_TEXT = Rpc(
    lambda stubs: stubs.text.ClassifyText,
    requests.classify_text_request,
    lambda response: labels(response.results),
)

CLASSIFY_TEXT_ZERO_SHOT = Rpc(
    lambda stubs: stubs.text.ClassifyTextZeroShot,
    requests.classify_text_zero_shot_request,
    lambda response: labels(response.results),
)

CLASSIFY_TOKENS = Rpc(
    lambda stubs: stubs.text.ClassifyTokens,
    requests.classify_tokens_request,
    lambda response: [_each(Entity, result.entities) for result in response.results],
)

ANSWER_QUESTION = Rpc(
    lambda stubs: stubs.text.AnswerQuestion,
    requests.answer_question_request,
    lambda response: [_each(Answer, result.answers) for result in response.results],
)

ANSWER_TABLE_QUESTION = Rpc(
    lambda stubs: stubs.text.AnswerTableQuestion,
    requests.answer_table_question_request,
    lambda response: [_table_answer(result) for result in response.results],
)

FILL_MASK = Rpc(
    lambda stubs: stubs.text.FillMask,
    requests.fill_mask_request,
    lambda response: [[_each(Fill, mask.fills) for mask in result.masks] for result in response.results],
)

SUMMARIZE_TEXT = Rpc(
    lambda stubs: stubs.text.SummarizeText,
    requests.summarize_text_request,
    lambda response: [result.summary_text for result in response.results],
)

TRANSLATE_TEXT = Rpc(
    lambda stubs: stubs.text.TranslateText,
    requests.translate_text_request,
    lambda response: [result.translation_text for result in response.results],
)

TRANSFORM_TEXT = Rpc(
    lambda stubs: stubs.text.TransformText,
    requests.transform_text_request,
    lambda response: [result.generated_text for result in response.results],
)

GENERATE_TEXT = Rpc(
    lambda stubs: stubs.generation.GenerateText,
    requests.generate_text_request,
    lambda response: [[_generated(text) for text in result.texts] for result in response.results],
)

STREAM_GENERATE_TEXT = StreamRpc(
    lambda stubs: stubs.generation.StreamGenerateText,
    requests.stream_generate_text_request,
    {"delta": _text_delta},
    "end",
    _joined_text,
)

CHAT = Rpc(lambda stubs: stubs.generation.Chat, requests.chat_request, _chat_answer)

STREAM_CHAT = StreamRpc(
    lambda stubs: stubs.generation.StreamChat,
    requests.stream_chat_request,
    {"delta": _chat_delta},
    "end",
    _joined_answer,
)

TOKENIZE = Rpc(
    lambda stubs: stubs.tokenizers.Tokenize,
    requests.tokenize_request,
    lambda response: [
        Tokens(tuple(_each(Token, result.tokens)), result.overflowing) for result in response.results
    ],
)

DETOKENIZE = Rpc(
    lambda stubs: stubs.tokenizers.Detokenize,
    requests.detokenize_request,
    lambda response: list(response.texts),
)

APPLY_CHAT_TEMPLATE = Rpc(
    lambda stubs: stubs.tokenizers.ApplyChatTemplate,
    requests.apply_chat_template_request,
    lambda response: ChatPrompt(response.text, tuple(response.ids)),
)


def _list_tasks() -> models_pb2.ListTasksRequest:
    return models_pb2.ListTasksRequest()


def _list_models(task: str) -> models_pb2.ListModelsRequest:
    return models_pb2.ListModelsRequest(task=task)


def _get_model(model: str) -> models_pb2.GetModelRequest:
    return models_pb2.GetModelRequest(model=model)


def _model(response: models_pb2.GetModelResponse) -> models_pb2.Model:
    return response.model


LIST_TASKS = Rpc(lambda stubs: stubs.models.ListTasks, _list_tasks, lambda response: list(response.tasks))

LIST_MODELS = Rpc(lambda stubs: stubs.models.ListModels, _list_models, lambda response: list(response.models))

GET_MODEL = Rpc(lambda stubs: stubs.models.GetModel, _get_model, _model)
