"""What all tasks have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from task_cases import BY_RPC, decoded, exceeded, refusal

from standpipe.v1 import audio_pb2, common_pb2, generation_pb2, text_pb2, tokenizers_pb2
from standpipe_server.errors import LimitExceededError, ModelLoadError
from standpipe_server.interfaces import Call
from standpipe_server.kinds import CAUSAL, SEQ2SEQ, Kind
from standpipe_server.rpc.media import holds_media
from standpipe_server.tasks import (
    MODEL_TASKS,
    STREAM_TASKS,
    TASKS,
    TOKENIZER_TASKS,
    InputLimits,
    StreamTask,
    Task,
    kind_for,
    program_for,
)
from standpipe_server.tasks.base import text_cost
from standpipe_server.tasks.chat import ChatHead
from standpipe_server.tasks.generate_text import GenerateHead
from standpipe_server.tasks.summarize_text import SummarizeChatHead
from standpipe_server.tasks.translate_text import TranslateChatHead

each_model_task = pytest.mark.parametrize("task", MODEL_TASKS.values(), ids=lambda task: task.name)


def questions(texts: list[str]) -> Message:
    inputs = [text_pb2.QuestionInContext(question="who?", context=text) for text in texts]
    return text_pb2.AnswerQuestionRequest(inputs=inputs)


def table_questions(texts: list[str]) -> Message:
    table = text_pb2.Table(columns=[text_pb2.TableColumn(name="a", cells=["b"])])
    return text_pb2.AnswerTableQuestionRequest(table=table, questions=texts)


def said(texts: list[str]) -> list[common_pb2.ChatMessage]:
    return [common_pb2.ChatMessage(role="user", content=text) for text in texts]


def sequences(texts: list[str]) -> Message:
    """The bytes of texts as ids."""
    ids = [tokenizers_pb2.TokenIds(ids=text.encode()) for text in texts]
    return tokenizers_pb2.DetokenizeRequest(sequences=ids)


# For each RPC: a request of these texts, the field that holds them, and where one of them stands.
OF_TEXTS: dict[str, tuple[Callable[[list[str]], Message], str, str]] = {
    "EmbedText": (lambda texts: text_pb2.EmbedTextRequest(texts=texts), "texts", "texts[{}]"),
    "RerankText": (lambda texts: text_pb2.RerankTextRequest(query="q", texts=texts), "texts", "texts[{}]"),
    "ClassifyText": (lambda texts: text_pb2.ClassifyTextRequest(texts=texts), "texts", "texts[{}]"),
    "ClassifyTextZeroShot": (
        lambda texts: text_pb2.ClassifyTextZeroShotRequest(
            texts=texts, candidate_labels=["l"], hypothesis_template="{}"
        ),
        "texts",
        "texts[{}]",
    ),
    "ClassifyTokens": (lambda texts: text_pb2.ClassifyTokensRequest(texts=texts), "texts", "texts[{}]"),
    "AnswerQuestion": (questions, "inputs", "inputs[{}].context"),
    "AnswerTableQuestion": (table_questions, "questions", "questions[{}]"),
    "FillMask": (lambda texts: text_pb2.FillMaskRequest(texts=texts), "texts", "texts[{}]"),
    "SummarizeText": (lambda texts: text_pb2.SummarizeTextRequest(texts=texts), "texts", "texts[{}]"),
    "TranslateText": (lambda texts: text_pb2.TranslateTextRequest(texts=texts), "texts", "texts[{}]"),
    "TransformText": (lambda texts: text_pb2.TransformTextRequest(texts=texts), "texts", "texts[{}]"),
    "GenerateText": (
        lambda texts: generation_pb2.GenerateTextRequest(prompts=texts),
        "prompts",
        "prompts[{}]",
    ),
    "Chat": (
        lambda texts: generation_pb2.ChatRequest(messages=said(texts)),
        "messages",
        "messages[{}].content",
    ),
    "SynthesizeSpeech": (lambda texts: audio_pb2.SynthesizeSpeechRequest(texts=texts), "texts", "texts[{}]"),
    "GenerateAudio": (
        lambda texts: audio_pb2.GenerateAudioRequest(prompts=texts),
        "prompts",
        "prompts[{}]",
    ),
    "Tokenize": (lambda texts: tokenizers_pb2.TokenizeRequest(texts=texts), "texts", "texts[{}]"),
    "Detokenize": (sequences, "sequences", "sequences[{}].ids"),
    "ApplyChatTemplate": (
        lambda texts: tokenizers_pb2.ApplyChatTemplateRequest(messages=said(texts)),
        "messages",
        "messages[{}].content",
    ),
}
CONVERSATIONS = ("Chat", "ApplyChatTemplate")
"""Whose texts are one call."""
each_rpc = pytest.mark.parametrize("rpc", OF_TEXTS)

ENUMS = [
    ("EmbedText", "format"),
    ("EmbedText", "pooling"),
    ("EmbedText", "truncation_direction"),
    ("RerankText", "truncation_direction"),
    ("ClassifyText", "function_to_apply"),
    ("ClassifyText", "truncation_direction"),
    ("ClassifyTokens", "aggregation_strategy"),
    ("Tokenize", "truncation_direction"),
    ("GenerateAudio", "format"),
]
AT_LEAST_ONE = [
    ("EmbedText", "dimensions"),
    ("RerankText", "top_k"),
    ("ClassifyText", "top_k"),
    ("AnswerQuestion", "top_k"),
    ("AnswerQuestion", "max_answer_len"),
    ("AnswerQuestion", "max_seq_len"),
    ("AnswerQuestion", "max_question_len"),
    ("FillMask", "top_k"),
    ("Tokenize", "max_length"),
]


def test_every_task_has_a_request_of_texts_here() -> None:
    media = {rpc for rpc, task in BY_RPC.items() if task.steps or holds_media(task.request.DESCRIPTOR)}
    assert set(BY_RPC) - media | set(CONVERSATIONS) == set(OF_TEXTS)


@pytest.mark.parametrize("task", [*TASKS, *STREAM_TASKS], ids=lambda task: task.rpc)
def test_a_task_answers_an_rpc_of_the_contract_with_its_messages(task: Task | StreamTask) -> None:
    rpc = descriptor_pool.Default().FindMethodByName(task.rpc)
    assert (task.request.DESCRIPTOR, task.response.DESCRIPTOR) == (rpc.input_type, rpc.output_type)
    streams = not isinstance(task, Task) or task.steps is not None
    assert (False, streams) == (rpc.client_streaming, rpc.server_streaming)


@pytest.mark.parametrize("task", STREAM_TASKS, ids=lambda task: task.rpc)
def test_a_stream_is_of_a_task_that_answers_at_once_too(task: StreamTask) -> None:
    whole = task.task
    assert whole in TASKS
    assert task.rpc == whole.rpc.replace("Service.", "Service.Stream")


@pytest.mark.parametrize("of", ["name", "rpc", "parameters"])
def test_no_two_tasks_have_the_same(of: str) -> None:
    assert len(TASKS) == len({getattr(task, of) for task in TASKS})


@each_rpc
def test_the_calls_of_a_request_share_a_batch_keep_its_order_and_know_their_fields(rpc: str) -> None:
    request, field, _ = OF_TEXTS[rpc]
    calls = decoded(request(["one", "two", "three"]))
    task = BY_RPC[rpc]
    assert {task.parameters} == {type(call.parameters) for call in calls}
    assert 1 == len({task.key(call) for call in calls})
    if rpc in CONVERSATIONS:
        assert ["messages"] == [call.field for call in calls]
    else:
        assert [f"{field}[{index}]" for index in range(3)] == [call.field for call in calls]
    assert all(task.cost(call) > 0 for call in calls)


@each_rpc
def test_a_longer_text_costs_more(rpc: str) -> None:
    request, _, _ = OF_TEXTS[rpc]
    texts = ["water " * n for n in (1, 10, 100)]
    if rpc == "AnswerTableQuestion":
        columns = [text_pb2.TableColumn(name="a", cells=[text]) for text in texts]
        tables = [text_pb2.Table(columns=[column]) for column in columns]
        requests: list[Message] = [
            text_pb2.AnswerTableQuestionRequest(table=table, questions=["a"]) for table in tables
        ]
    else:
        requests = [request([text]) for text in texts]
    costs = [BY_RPC[rpc].cost(decoded(one)[0]) for one in requests]
    assert costs == sorted(set(costs))


@each_rpc
def test_nothing_to_do_is_refused(rpc: str) -> None:
    request, field, _ = OF_TEXTS[rpc]
    error = refusal(request([]))
    assert (field, f"{field} is empty: send at least one") == (error.field, str(error))
    assert not isinstance(error, LimitExceededError)


@each_rpc
def test_more_than_a_call_may_hold_is_refused_with_the_limit(rpc: str) -> None:
    request, field, _ = OF_TEXTS[rpc]
    limits = InputLimits(max_items=2)
    assert decoded(request(["a"] * 2), limits)
    assert (field, "max_items", "2") == exceeded(request(["a"] * 3), limits)


@each_rpc
def test_a_text_of_too_many_bytes_is_refused_with_its_place(rpc: str) -> None:
    request, _, place = OF_TEXTS[rpc]
    limits = InputLimits(max_text_bytes=8)
    assert decoded(request(["a", "é" * 4]), limits)
    assert (place.format(1), "max_text_bytes", "8") == exceeded(request(["a", "é" * 5]), limits)


@pytest.mark.parametrize(("rpc", "field"), ENUMS)
def test_an_enum_value_that_the_server_does_not_know_is_refused(rpc: str, field: str) -> None:
    request = OF_TEXTS[rpc][0](["a"])
    setattr(request, field, 99)
    error = refusal(request)
    assert field == error.field
    assert "unknown value 99; known: 0, 1" in str(error)


def test_every_enum_of_every_request_is_tried_here() -> None:
    enums = [
        (rpc, field.name)
        for rpc, task in BY_RPC.items()
        if rpc in OF_TEXTS
        for field in task.request.DESCRIPTOR.fields
        if field.enum_type
    ]
    assert sorted(enums) == sorted(ENUMS)


@pytest.mark.parametrize(("rpc", "field"), ENUMS)
def test_every_enum_value_of_the_contract_is_known(rpc: str, field: str) -> None:
    described: Any = BY_RPC[rpc].request.DESCRIPTOR.fields_by_name[field].enum_type
    for value in described.values:
        request = OF_TEXTS[rpc][0](["a"])
        setattr(request, field, value.number)
        assert decoded(request)


@pytest.mark.parametrize(("rpc", "field"), AT_LEAST_ONE)
def test_a_number_that_must_be_one_at_least_is_refused_where_it_is_none(rpc: str, field: str) -> None:
    request = OF_TEXTS[rpc][0](["a"])
    setattr(request, field, 0)
    error = refusal(request)
    assert (field, f"{field} is 0: send at least 1, or leave it out") == (error.field, str(error))
    setattr(request, field, 1)
    assert decoded(request)


@each_model_task
def test_a_fresh_model_runs_batches_of_one_key_a_lone_call_among_them(task: Task) -> None:
    assert 1 in [len(batch) for batch in task.warm_up]
    for batch in task.warm_up:
        assert {task.parameters} == {type(call.parameters) for call in batch}
        assert 1 == len({task.key(call) for call in batch})
        assert all(task.cost(call) > 0 for call in batch)


def test_a_task_that_mixes_batches_all_its_calls_and_another_those_of_equal_parameters() -> None:
    embed, rerank = BY_RPC["EmbedText"], BY_RPC["RerankText"]
    one, other = Call("text", "one"), Call("text", "other")
    assert rerank.key(one) == rerank.key(other)
    assert embed.key(one) == embed.key(Call("another text", "one"))
    assert embed.key(one) != embed.key(other)


@pytest.mark.parametrize(
    ("text", "cost"), [("", 2), ("abcd" * 5, 7), ("水" * 20, 22), (("abcd", "abcd" * 2), 6), (("", ""), 3)]
)
def test_a_text_or_a_pair_costs_about_its_tokens(text: str | tuple[str, str], cost: int) -> None:
    assert cost == text_cost(Call(text, None))


def test_a_program_holds_the_heads_of_its_tasks_and_of_every_tokenizer() -> None:
    program = program_for(["zero-shot-classification", "text-classification"])
    tasks = [BY_RPC["ClassifyTextZeroShot"], BY_RPC["ClassifyText"]]
    assert {task.parameters: task.head for task in tasks} == program.heads
    assert {task.parameters: task.head for task in TOKENIZER_TASKS.values()} == program.tokenizer_heads
    assert ("zero-shot-classification", tasks[0].kind) == (program.task, program.kind)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("text-generation", CAUSAL),
        ("summarization", SEQ2SEQ),
        ("translation", SEQ2SEQ),
        ("summarization+translation", SEQ2SEQ),
        ("summarization+text2text-generation", SEQ2SEQ),
        ("text-generation+summarization", CAUSAL),
        ("summarization+text-generation", CAUSAL),
        ("translation+summarization+text-generation", CAUSAL),
        ("text-generation+text2text-generation", None),
        ("text-generation+feature-extraction", None),
        ("summarization+fill-mask", None),
    ],
)
def test_a_model_is_of_the_best_kind_that_serves_all_its_tasks(names: str, kind: Kind | None) -> None:
    assert kind == kind_for(names.split("+"))


def test_a_chat_model_may_summarize_and_translate_too() -> None:
    program = program_for(["text-generation", "summarization", "translation"])
    heads = {
        "SummarizeText": SummarizeChatHead,
        "TranslateText": TranslateChatHead,
        "GenerateText": GenerateHead,
        "Chat": ChatHead,
    }
    assert {BY_RPC[rpc].parameters: head for rpc, head in heads.items()} == program.heads
    assert ("text-generation", CAUSAL) == (program.task, program.kind)


def test_a_model_that_generates_chats_and_one_is_not_loaded_to_chat_alone() -> None:
    chat, generate = BY_RPC["Chat"], BY_RPC["GenerateText"]
    assert {chat.parameters, generate.parameters} == set(program_for(["text-generation"]).heads)
    assert "text-generation" == chat.model_task == generate.model_task
    assert chat.name not in MODEL_TASKS
    assert BY_RPC["Tokenize"].model_task is None


def test_tasks_of_different_kinds_of_models_make_no_program() -> None:
    with pytest.raises(ModelLoadError, match="fill-mask and summarization need models of different kinds"):
        program_for(["fill-mask", "summarization"])
    with pytest.raises(
        ModelLoadError, match="text-generation and feature-extraction need models of different kinds"
    ):
        program_for(["text-generation", "feature-extraction"])
