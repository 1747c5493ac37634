"""The options of calls, by name: what ``**options`` of the clients' methods may hold.

None leaves a field out, as not naming it does; the comments of the protos say what then holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

PoolingName = Literal["mean", "cls", "max", "last_token"]
SideName = Literal["left", "right"]
FunctionName = Literal["softmax", "sigmoid", "none"]
AggregationName = Literal["none", "simple", "first", "average", "max"]


class EmbedOptions(TypedDict, total=False):
    """The optional fields of EmbedTextRequest."""

    model: str | None
    normalize: bool | None
    truncate: bool | None
    truncation_direction: SideName | None
    prompt_name: str | None
    pooling: PoolingName | None
    dimensions: int | None


class RerankOptions(TypedDict, total=False):
    """The optional fields of RerankTextRequest."""

    model: str | None
    top_k: int | None
    raw_scores: bool | None
    return_texts: bool | None
    truncate: bool | None
    truncation_direction: SideName | None


class ClassifyOptions(TypedDict, total=False):
    """The optional fields of ClassifyTextRequest."""

    model: str | None
    top_k: int | None
    function_to_apply: FunctionName | None
    truncate: bool | None
    truncation_direction: SideName | None


class ZeroShotOptions(TypedDict, total=False):
    """The optional fields of ClassifyTextZeroShotRequest."""

    model: str | None
    hypothesis_template: str | None
    multi_label: bool | None


class ClassifyTokensOptions(TypedDict, total=False):
    """The optional fields of ClassifyTokensRequest; an empty ``ignore_labels`` leaves no label out."""

    model: str | None
    aggregation_strategy: AggregationName | None
    ignore_labels: Sequence[str] | None
    stride: int | None


class AnswerOptions(TypedDict, total=False):
    """The optional fields of AnswerQuestionRequest."""

    model: str | None
    top_k: int | None
    doc_stride: int | None
    max_answer_len: int | None
    max_seq_len: int | None
    max_question_len: int | None
    handle_impossible_answer: bool | None
    align_to_words: bool | None


class TableOptions(TypedDict, total=False):
    """The optional fields of AnswerTableQuestionRequest."""

    model: str | None
    sequential: bool | None


class FillOptions(TypedDict, total=False):
    """The optional fields of FillMaskRequest."""

    model: str | None
    top_k: int | None
    targets: Sequence[str] | None
    truncate: bool | None


class GenerationOptions(TypedDict, total=False):
    """The fields of GenerationParameters: how a model writes."""

    max_new_tokens: int | None
    min_new_tokens: int | None
    do_sample: bool | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    typical_p: float | None
    min_p: float | None
    num_beams: int | None
    early_stopping: bool | None
    length_penalty: float | None
    repetition_penalty: float | None
    no_repeat_ngram_size: int | None
    seed: int | None


class WriteOptions(GenerationOptions, total=False):
    """The optional fields of SummarizeTextRequest and TransformTextRequest, and how the model writes."""

    model: str | None
    truncate: bool | None
    clean_up_tokenization_spaces: bool | None


class TranslateOptions(WriteOptions, total=False):
    """The optional fields of TranslateTextRequest, and how the model writes."""

    source_language: str | None
    target_language: str | None


class StreamTextOptions(GenerationOptions, total=False):
    """The optional fields of StreamGenerateTextRequest, and how the model writes.

    Of the three that make its constraint no more than one may be given; a JSON Schema may be text.
    """

    model: str | None
    stop_strings: Sequence[str] | None
    json_schema: Mapping[str, Any] | str | None
    regex: str | None
    choices: Sequence[str] | None
    logprobs: bool | None


class GenerateTextOptions(StreamTextOptions, total=False):
    """The optional fields of GenerateTextRequest, and how the model writes."""

    num_return_sequences: int | None
    return_full_text: bool | None


class ChatOptions(StreamTextOptions, total=False):
    """The optional fields of ChatRequest, and how the model writes; a tool is as in TemplateOptions."""

    tools: Sequence[Mapping[str, Any] | str] | None
    template_variables: Mapping[str, Any] | None


class TokenizeOptions(TypedDict, total=False):
    """The optional fields of TokenizeRequest."""

    model: str | None
    add_special_tokens: bool | None
    truncate: bool | None
    truncation_direction: SideName | None
    max_length: int | None


class DetokenizeOptions(TypedDict, total=False):
    """The optional fields of DetokenizeRequest."""

    model: str | None
    skip_special_tokens: bool | None
    clean_up_tokenization_spaces: bool | None


class TemplateOptions(TypedDict, total=False):
    """The optional fields of ApplyChatTemplateRequest; a tool is a function's JSON schema, maybe as text."""

    model: str | None
    tools: Sequence[Mapping[str, Any] | str] | None
    add_generation_prompt: bool | None
    continue_final_message: bool | None
    tokenize: bool | None
    template_variables: Mapping[str, Any] | None
