"""Requests from Python arguments; shared by both clients."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, Unpack

from google.protobuf.message import Message

from standpipe.options import (
    AnswerOptions,
    ChatOptions,
    ClassifyOptions,
    ClassifyTokensOptions,
    DetokenizeOptions,
    EmbedOptions,
    FillOptions,
    RerankOptions,
    TableOptions,
    TokenizeOptions,
    TranslateOptions,
    WriteOptions,
    ZeroShotOptions,
)
from standpipe.v1 import common_pb2, text_pb2, tokenizers_pb2

M = TypeVar("M", bound=Message)


def embed_text_request(texts: Sequence[str], **options: Unpack[EmbedOptions]) -> text_pb2.EmbedTextRequest:
    """A request for packed vectors.

    Raises:
        TypeError: ``texts`` is one string: each of its letters would be a text.
        ValueError: An option's value is none of those there are. Both hold for every request here.
    """
    packed = text_pb2.EMBEDDING_FORMAT_PACKED
    return _request(text_pb2.EmbedTextRequest, options, texts=_several("texts", texts), format=packed)


def rerank_text_request(
    query: str, texts: Sequence[str], **options: Unpack[RerankOptions]
) -> text_pb2.RerankTextRequest:
    """A request to rank texts by a query."""
    return _request(text_pb2.RerankTextRequest, options, query=query, texts=_several("texts", texts))


def classify_text_request(
    texts: Sequence[str], text_pairs: Sequence[str] | None = None, **options: Unpack[ClassifyOptions]
) -> text_pb2.ClassifyTextRequest:
    """A request to label texts, or pairs of them."""
    pairs = _several("text_pairs", text_pairs or ())
    return _request(text_pb2.ClassifyTextRequest, options, texts=_several("texts", texts), text_pairs=pairs)


def classify_text_zero_shot_request(
    texts: Sequence[str], candidate_labels: Sequence[str], **options: Unpack[ZeroShotOptions]
) -> text_pb2.ClassifyTextZeroShotRequest:
    """A request to label texts with labels of the caller's own."""
    return _request(
        text_pb2.ClassifyTextZeroShotRequest,
        options,
        texts=_several("texts", texts),
        candidate_labels=_several("candidate_labels", candidate_labels),
    )


def classify_tokens_request(
    texts: Sequence[str], **options: Unpack[ClassifyTokensOptions]
) -> text_pb2.ClassifyTokensRequest:
    """A request to label tokens, or the entities that they form."""
    fields: dict[str, Any] = {**options}
    if (ignored := options.get("ignore_labels")) is not None:
        fields["ignore_labels"] = text_pb2.LabelList(labels=_several("ignore_labels", ignored))
    return _request(text_pb2.ClassifyTokensRequest, fields, texts=_several("texts", texts))


def answer_question_request(
    inputs: Sequence[tuple[str, str]], **options: Unpack[AnswerOptions]
) -> text_pb2.AnswerQuestionRequest:
    """A request to answer questions, each from its context."""
    if any(isinstance(pair, str) for pair in inputs):
        raise TypeError("inputs are pairs of question and context; send a list: [(question, context)]")
    pairs = [text_pb2.QuestionInContext(question=question, context=context) for question, context in inputs]
    return _request(text_pb2.AnswerQuestionRequest, options, inputs=pairs)


def answer_table_question_request(
    table: Mapping[str, Sequence[str]], questions: Sequence[str], **options: Unpack[TableOptions]
) -> text_pb2.AnswerTableQuestionRequest:
    """A request to answer questions about one table."""
    columns = [
        text_pb2.TableColumn(name=name, cells=_several(f"column {name!r}", cells))
        for name, cells in table.items()
    ]
    return _request(
        text_pb2.AnswerTableQuestionRequest,
        options,
        table=text_pb2.Table(columns=columns),
        questions=_several("questions", questions),
    )


def fill_mask_request(texts: Sequence[str], **options: Unpack[FillOptions]) -> text_pb2.FillMaskRequest:
    """A request to fill masks."""
    fields: dict[str, Any] = {**options, "targets": _several("targets", options.get("targets") or ())}
    return _request(text_pb2.FillMaskRequest, fields, texts=_several("texts", texts))


def summarize_text_request(
    texts: Sequence[str], **options: Unpack[WriteOptions]
) -> text_pb2.SummarizeTextRequest:
    """A request to shorten texts."""
    return _request(text_pb2.SummarizeTextRequest, _gathered(options), texts=_several("texts", texts))


def translate_text_request(
    texts: Sequence[str], **options: Unpack[TranslateOptions]
) -> text_pb2.TranslateTextRequest:
    """A request to translate texts."""
    return _request(text_pb2.TranslateTextRequest, _gathered(options), texts=_several("texts", texts))


def transform_text_request(
    texts: Sequence[str], **options: Unpack[WriteOptions]
) -> text_pb2.TransformTextRequest:
    """A request to turn texts into others."""
    return _request(text_pb2.TransformTextRequest, _gathered(options), texts=_several("texts", texts))


def tokenize_request(
    texts: Sequence[str], text_pairs: Sequence[str] | None = None, **options: Unpack[TokenizeOptions]
) -> tokenizers_pb2.TokenizeRequest:
    """A request to turn texts, or pairs of them, into tokens."""
    pairs = _several("text_pairs", text_pairs or ())
    return _request(tokenizers_pb2.TokenizeRequest, options, texts=_several("texts", texts), text_pairs=pairs)


def detokenize_request(
    sequences: Sequence[Sequence[int]], **options: Unpack[DetokenizeOptions]
) -> tokenizers_pb2.DetokenizeRequest:
    """A request to turn token ids back into texts."""
    if any(isinstance(ids, int) for ids in sequences):
        raise TypeError("sequences is one sequence of ids; send a list of them: [ids]")
    rows = [tokenizers_pb2.TokenIds(ids=ids) for ids in sequences]
    return _request(tokenizers_pb2.DetokenizeRequest, options, sequences=rows)


def apply_chat_template_request(
    messages: Sequence[Mapping[str, Any] | tokenizers_pb2.ChatMessage], **options: Unpack[ChatOptions]
) -> tokenizers_pb2.ApplyChatTemplateRequest:
    """A request to write a conversation as a model reads it."""
    if isinstance(messages, Mapping):
        raise TypeError("messages is one message; send a list: [message]")
    fields = {**options, "tools": [_json(tool) for tool in options.get("tools") or ()]}
    conversation = [_chat_message(one) for one in messages]
    return _request(tokenizers_pb2.ApplyChatTemplateRequest, fields, messages=conversation)


def batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of ``size`` texts, the last one shorter."""
    iterator = iter(texts)
    while batch := list(islice(iterator, size)):
        yield batch


def words(enum: Any) -> dict[str, int]:
    """What the values of an enum are called here: POOLING_LAST_TOKEN is "last_token"."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower(): value.number for value in enum.values if value.number}


def _request(kind: type[M], options: Mapping[str, Any], **inputs: Any) -> M:
    """A message of inputs and of those options that are given; words become values of enums."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in given.keys() & kind.DESCRIPTOR.fields_by_name.keys():
        enum = kind.DESCRIPTOR.fields_by_name[name].enum_type
        if enum is not None:
            given[name] = _known(words(enum), given[name], name)
    return kind(**inputs, **given)


def _known(table: Mapping[str, int], word: str, name: str) -> int:
    if word not in table:
        raise ValueError(f"{name} is {word!r}; it may be: {', '.join(table)}")
    return table[word]


def _several(name: str, values: Sequence[str]) -> Sequence[str]:
    """Refuse one string where a list is meant: each of its letters would be sent."""
    if isinstance(values, str):
        raise TypeError(f"{name} is one string; send a list: [text]")
    return values


def _gathered(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, those that say how a model writes gathered in one message."""
    known = common_pb2.GenerationParameters.DESCRIPTOR.fields_by_name
    given = {name: value for name, value in options.items() if value is not None}
    writing = {name: given.pop(name) for name in list(given) if name in known}
    return {**given, "parameters": common_pb2.GenerationParameters(**writing) if writing else None}


def _chat_message(message: Mapping[str, Any] | tokenizers_pb2.ChatMessage) -> tokenizers_pb2.ChatMessage:
    if isinstance(message, tokenizers_pb2.ChatMessage):
        return message
    fields = dict(message)
    calls = [_tool_call(call) for call in fields.pop("tool_calls", None) or ()]
    return tokenizers_pb2.ChatMessage(**fields, tool_calls=calls)


def _tool_call(call: Mapping[str, Any]) -> tokenizers_pb2.ToolCall:
    """A call as the contract has it, or as chat templates have it: under "function"."""
    function = call.get("function", call)
    arguments = _json(function.get("arguments") or {})
    return tokenizers_pb2.ToolCall(id=call.get("id", ""), name=function["name"], arguments=arguments)


def _json(value: Mapping[str, Any] | str) -> str:
    """An object as JSON, its keys in their order; what is JSON already stays as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
