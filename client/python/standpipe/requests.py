"""Requests from Python arguments; shared by both clients."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Unpack

from standpipe.fields import filled, gathered, several
from standpipe.media import image_message
from standpipe.options import (
    AnswerOptions,
    ChatOptions,
    ClassifyOptions,
    ClassifyTokensOptions,
    DetokenizeOptions,
    EmbedOptions,
    FillOptions,
    GenerateTextOptions,
    RerankOptions,
    StreamTextOptions,
    TableOptions,
    TemplateOptions,
    TokenizeOptions,
    TranslateOptions,
    WriteOptions,
    ZeroShotOptions,
)
from standpipe.v1 import common_pb2, generation_pb2, text_pb2, tokenizers_pb2

Messages = Sequence[Mapping[str, Any] | common_pb2.ChatMessage]
"""A conversation."""


def embed_text_request(texts: Sequence[str], **options: Unpack[EmbedOptions]) -> text_pb2.EmbedTextRequest:
    """A request for packed vectors.

    Raises:
        TypeError: ``texts`` is one string: each of its letters would be a text.
        ValueError: An option's value is none of those there are. Both hold for every request here.
    """
    packed = common_pb2.EMBEDDING_FORMAT_PACKED
    return filled(text_pb2.EmbedTextRequest, options, texts=several("texts", texts), format=packed)


def rerank_text_request(
    query: str, texts: Sequence[str], **options: Unpack[RerankOptions]
) -> text_pb2.RerankTextRequest:
    """A request to rank texts by a query."""
    return filled(text_pb2.RerankTextRequest, options, query=query, texts=several("texts", texts))


def classify_text_request(
    texts: Sequence[str], text_pairs: Sequence[str] | None = None, **options: Unpack[ClassifyOptions]
) -> text_pb2.ClassifyTextRequest:
    """A request to label texts, or pairs of them."""
    pairs = several("text_pairs", text_pairs or ())
    return filled(text_pb2.ClassifyTextRequest, options, texts=several("texts", texts), text_pairs=pairs)


def classify_text_zero_shot_request(
    texts: Sequence[str], candidate_labels: Sequence[str], **options: Unpack[ZeroShotOptions]
) -> text_pb2.ClassifyTextZeroShotRequest:
    """A request to label texts with labels of the caller's own."""
    return filled(
        text_pb2.ClassifyTextZeroShotRequest,
        options,
        texts=several("texts", texts),
        candidate_labels=several("candidate_labels", candidate_labels),
    )


def classify_tokens_request(
    texts: Sequence[str], **options: Unpack[ClassifyTokensOptions]
) -> text_pb2.ClassifyTokensRequest:
    """A request to label tokens, or the entities that they form."""
    fields: dict[str, Any] = {**options}
    if (ignored := options.get("ignore_labels")) is not None:
        fields["ignore_labels"] = text_pb2.LabelList(labels=several("ignore_labels", ignored))
    return filled(text_pb2.ClassifyTokensRequest, fields, texts=several("texts", texts))


def answer_question_request(
    inputs: Sequence[tuple[str, str]], **options: Unpack[AnswerOptions]
) -> text_pb2.AnswerQuestionRequest:
    """A request to answer questions, each from its context."""
    if any(isinstance(pair, str) for pair in inputs):
        raise TypeError("inputs are pairs of question and context; send a list: [(question, context)]")
    pairs = [text_pb2.QuestionInContext(question=question, context=context) for question, context in inputs]
    return filled(text_pb2.AnswerQuestionRequest, options, inputs=pairs)


def answer_table_question_request(
    table: Mapping[str, Sequence[str]], questions: Sequence[str], **options: Unpack[TableOptions]
) -> text_pb2.AnswerTableQuestionRequest:
    """A request to answer questions about one table."""
    columns = [
        text_pb2.TableColumn(name=name, cells=several(f"column {name!r}", cells))
        for name, cells in table.items()
    ]
    return filled(
        text_pb2.AnswerTableQuestionRequest,
        options,
        table=text_pb2.Table(columns=columns),
        questions=several("questions", questions),
    )


def fill_mask_request(texts: Sequence[str], **options: Unpack[FillOptions]) -> text_pb2.FillMaskRequest:
    """A request to fill masks."""
    fields: dict[str, Any] = {**options, "targets": several("targets", options.get("targets") or ())}
    return filled(text_pb2.FillMaskRequest, fields, texts=several("texts", texts))


def summarize_text_request(
    texts: Sequence[str], **options: Unpack[WriteOptions]
) -> text_pb2.SummarizeTextRequest:
    """A request to shorten texts."""
    return filled(text_pb2.SummarizeTextRequest, gathered(options), texts=several("texts", texts))


def translate_text_request(
    texts: Sequence[str], **options: Unpack[TranslateOptions]
) -> text_pb2.TranslateTextRequest:
    """A request to translate texts."""
    return filled(text_pb2.TranslateTextRequest, gathered(options), texts=several("texts", texts))


def transform_text_request(
    texts: Sequence[str], **options: Unpack[WriteOptions]
) -> text_pb2.TransformTextRequest:
    """A request to turn texts into others."""
    return filled(text_pb2.TransformTextRequest, gathered(options), texts=several("texts", texts))


def generate_text_request(
    prompts: Sequence[str], **options: Unpack[GenerateTextOptions]
) -> generation_pb2.GenerateTextRequest:
    """A request to continue texts.

    Raises:
        ValueError: More than one of the options that make a constraint is given.
    """
    fields = gathered(_constrained(options))
    return filled(generation_pb2.GenerateTextRequest, fields, prompts=several("prompts", prompts))


def stream_generate_text_request(
    prompt: str, **options: Unpack[StreamTextOptions]
) -> generation_pb2.StreamGenerateTextRequest:
    """A request to continue a text as it is written; errors as for ``generate_text_request``."""
    fields = gathered(_constrained(options))
    return filled(generation_pb2.StreamGenerateTextRequest, fields, prompt=prompt)


def chat_request(messages: Messages, **options: Unpack[ChatOptions]) -> generation_pb2.ChatRequest:
    """A request to answer a conversation.

    Raises:
        ValueError: As for ``generate_text_request`` and ``apply_chat_template_request``.
    """
    fields = _with_tools(gathered(_constrained(options)))
    return filled(generation_pb2.ChatRequest, fields, messages=_conversation(messages))


def stream_chat_request(
    messages: Messages, **options: Unpack[ChatOptions]
) -> generation_pb2.StreamChatRequest:
    """A request to answer a conversation as it is written; errors as for ``chat_request``."""
    fields = _with_tools(gathered(_constrained(options)))
    return filled(generation_pb2.StreamChatRequest, fields, messages=_conversation(messages))


def tokenize_request(
    texts: Sequence[str], text_pairs: Sequence[str] | None = None, **options: Unpack[TokenizeOptions]
) -> tokenizers_pb2.TokenizeRequest:
    """A request to turn texts, or pairs of them, into tokens."""
    pairs = several("text_pairs", text_pairs or ())
    return filled(tokenizers_pb2.TokenizeRequest, options, texts=several("texts", texts), text_pairs=pairs)


def detokenize_request(
    sequences: Sequence[Sequence[int]], **options: Unpack[DetokenizeOptions]
) -> tokenizers_pb2.DetokenizeRequest:
    """A request to turn token ids back into texts."""
    if any(isinstance(ids, int) for ids in sequences):
        raise TypeError("sequences is one sequence of ids; send a list of them: [ids]")
    rows = [tokenizers_pb2.TokenIds(ids=ids) for ids in sequences]
    return filled(tokenizers_pb2.DetokenizeRequest, options, sequences=rows)


def apply_chat_template_request(
    messages: Messages, **options: Unpack[TemplateOptions]
) -> tokenizers_pb2.ApplyChatTemplateRequest:
    """A request to write a conversation as a model reads it.

    Raises:
        ValueError: A part of a message isn't one that the contract has.
    """
    return filled(
        tokenizers_pb2.ApplyChatTemplateRequest, _with_tools(options), messages=_conversation(messages)
    )


def batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of ``size`` texts, the last one shorter."""
    iterator = iter(texts)
    while batch := list(islice(iterator, size)):
        yield batch


def _constrained(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, the one that says which form a text must have put in a message."""
    given = {name: value for name, value in options.items() if value is not None}
    forms = {name: given.pop(name) for name in ("json_schema", "regex", "choices") if name in given}
    if len(forms) > 1:
        raise ValueError(f"a text can't have two forms: {' and '.join(forms)} exclude each other")
    if "json_schema" in forms:
        forms["json_schema"] = _json(forms["json_schema"])
    if "choices" in forms:
        forms["choices"] = generation_pb2.Choices(texts=several("choices", forms["choices"]))
    given["stop_strings"] = several("stop_strings", given.get("stop_strings", ()))
    return {**given, "constraint": generation_pb2.Constraint(**forms) if forms else None}


def _with_tools(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, each tool as JSON."""
    tools = options.get("tools") or ()
    if isinstance(tools, Mapping | str):
        raise TypeError("tools is one tool; send a list: [tool]")
    return {**options, "tools": [_json(tool) for tool in tools]}


def _conversation(messages: Messages) -> list[common_pb2.ChatMessage]:
    if isinstance(messages, Mapping | str):
        raise TypeError("messages is one message; send a list: [message]")
    return [_chat_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _chat_message(message: Mapping[str, Any] | common_pb2.ChatMessage, field: str) -> common_pb2.ChatMessage:
    if isinstance(message, common_pb2.ChatMessage):
        return message
    fields = dict(message)
    calls = [_tool_call(call) for call in fields.pop("tool_calls", None) or ()]
    content = fields.get("content")
    if content is not None and not isinstance(content, str):
        del fields["content"]
        fields["parts"] = [_part(part, f"{field}.content[{index}]") for index, part in enumerate(content)]
    return common_pb2.ChatMessage(**fields, tool_calls=calls)


def _part(part: Any, field: str) -> common_pb2.ContentPart:
    """A part as chat templates have it: a mapping of its "type", and of what it holds under that name."""
    kind = str(part.get("type")) if isinstance(part, Mapping) else type(part).__name__
    if kind not in common_pb2.ContentPart.DESCRIPTOR.fields_by_name:
        known = ", ".join(common_pb2.ContentPart.DESCRIPTOR.fields_by_name)
        raise ValueError(f"{field} is of type {kind!r}; it may be: {known}")
    if kind not in part:
        raise ValueError(f"{field} is of type {kind!r} and has no {kind!r}")
    if kind == "image":
        return common_pb2.ContentPart(image=image_message(part["image"], f"{field}.image"))
    return common_pb2.ContentPart(**{kind: part[kind]})


def _tool_call(call: Mapping[str, Any]) -> common_pb2.ToolCall:
    """A call as the contract has it, or as chat templates have it: under "function"."""
    function = call.get("function", call)
    arguments = _json(function.get("arguments") or {})
    return common_pb2.ToolCall(id=call.get("id", ""), name=function["name"], arguments=arguments)


def _json(value: Mapping[str, Any] | str) -> str:
    """An object as JSON, its keys in their order; what is JSON already stays as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
