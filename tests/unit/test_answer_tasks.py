"""The tasks that answer: AnswerQuestion, AnswerTableQuestion, FillMask."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message
from task_cases import decoded, encoded, exceeded, parameters_of, refusal

from standpipe.v1 import text_pb2
from standpipe_server.interfaces import Call
from standpipe_server.programs import Cut
from standpipe_server.tasks import InputLimits
from standpipe_server.tasks.answer_question import Answer, QuestionParameters
from standpipe_server.tasks.answer_table_question import TableParameters, TableQuestions
from standpipe_server.tasks.fill_mask import Fill, FillParameters

Question = text_pb2.AnswerQuestionRequest
InContext = text_pb2.QuestionInContext
TableQuestion = text_pb2.AnswerTableQuestionRequest
Column = text_pb2.TableColumn
FillMask = text_pb2.FillMaskRequest

ONE = [InContext(question="who?", context="Ada.")]


@pytest.mark.parametrize(
    ("request_", "parameters"),
    [
        (Question(), QuestionParameters()),
        (Question(top_k=3), QuestionParameters(top_k=3)),
        (Question(doc_stride=0), QuestionParameters(doc_stride=0)),
        (Question(doc_stride=9), QuestionParameters(doc_stride=9)),
        (Question(max_answer_len=4), QuestionParameters(max_answer_len=4)),
        (Question(max_seq_len=50), QuestionParameters(max_seq_len=50)),
        (Question(max_question_len=6), QuestionParameters(max_question_len=6)),
        (Question(handle_impossible_answer=True), QuestionParameters(handle_impossible_answer=True)),
        (Question(handle_impossible_answer=False), QuestionParameters()),
        (Question(align_to_words=False), QuestionParameters(align_to_words=False)),
        (Question(align_to_words=True), QuestionParameters()),
    ],
)
def test_each_field_of_a_question_reaches_the_parameters(
    request_: text_pb2.AnswerQuestionRequest, parameters: QuestionParameters
) -> None:
    request_.inputs.extend(ONE)
    assert parameters == parameters_of(request_)


def test_what_is_left_out_of_a_question_is_as_the_library_has_it() -> None:
    assert parameters_of(Question(inputs=ONE)) == QuestionParameters(
        top_k=1,
        doc_stride=None,
        max_answer_len=15,
        max_seq_len=None,
        max_question_len=64,
        handle_impossible_answer=False,
        align_to_words=True,
    )


def test_a_question_goes_before_its_own_context() -> None:
    inputs = [InContext(question="q", context="c"), InContext(question="r", context="d")]
    plain = QuestionParameters()
    assert [Call(("q", "c"), plain, "inputs[0]"), Call(("r", "d"), plain, "inputs[1]")] == decoded(
        Question(inputs=inputs)
    )


@pytest.mark.parametrize(
    ("second", "field", "problem"),
    [
        (InContext(context="c"), "inputs[1].question", "the question is empty"),
        (InContext(question="q"), "inputs[1].context", "the context is empty"),
    ],
)
def test_an_empty_question_or_context_is_refused_with_its_place(
    second: text_pb2.QuestionInContext, field: str, problem: str
) -> None:
    error = refusal(Question(inputs=[*ONE, second]))
    assert (field, problem) == (error.field, str(error))


def test_a_question_of_too_many_bytes_is_refused_with_its_place() -> None:
    request = Question(inputs=[InContext(question="q" * 9, context="c")])
    assert ("inputs[0].question", "max_text_bytes", "8") == exceeded(request, InputLimits(max_text_bytes=8))


@pytest.mark.parametrize("request_", [Question(inputs=ONE, top_k=4), FillMask(texts=["a"], top_k=4)])
def test_more_proposals_than_a_call_may_name_are_refused(request_: Message) -> None:
    assert ("top_k", "max_labels", "3") == exceeded(request_, InputLimits(max_labels=3))
    assert decoded(request_, InputLimits(max_labels=4))


def test_answers_travel_in_their_order_question_by_question() -> None:
    first = [Answer("Ada", 0.75, 4, 7), Answer("", 0.25, 0, 0)]
    results = encoded(Question(inputs=ONE * 3), first, [], [Answer("é", 1.0, 1, 2)]).results
    found = [[(one.answer, one.score, one.start, one.end) for one in result.answers] for result in results]
    assert [[("Ada", 0.75, 4, 7), ("", 0.25, 0, 0)], [], [("é", 1.0, 1, 2)]] == found


def table(*columns: tuple[str, list[str]]) -> text_pb2.Table:
    return text_pb2.Table(columns=[Column(name=name, cells=cells) for name, cells in columns])


PIPES = table(("pipe", ["fixed", "loose"]), ("hose", ["any", ""]))
CELLS = {"pipe": ["fixed", "loose"], "hose": ["any", ""]}


def test_each_question_about_a_table_is_asked_by_itself_unless_they_are_a_conversation() -> None:
    alone = TableParameters(sequential=False)
    by_itself = [
        Call(TableQuestions(CELLS, ("a?",)), alone, "questions[0]"),
        Call(TableQuestions(CELLS, ("b?",)), alone, "questions[1]"),
    ]
    assert by_itself == decoded(TableQuestion(table=PIPES, questions=["a?", "b?"]))
    assert by_itself == decoded(TableQuestion(table=PIPES, questions=["a?", "b?"], sequential=False))
    together = Call(TableQuestions(CELLS, ("a?", "b?")), TableParameters(sequential=True), "questions")
    assert [together] == decoded(TableQuestion(table=PIPES, questions=["a?", "b?"], sequential=True))


def test_the_columns_of_a_table_keep_their_order() -> None:
    (call,) = decoded(TableQuestion(table=table(("z", ["1"]), ("a", ["2"])), questions=["q"]))
    assert ["z", "a"] == list(call.input.table)


@pytest.mark.parametrize(
    ("columns", "field", "problem"),
    [
        ([], "table.columns", "the table is empty"),
        ([("a", [])], "table.columns", "the table is empty"),
        ([("a", ["1", "2"]), ("b", ["1"])], "table.columns[1].cells", "has 1 cells, the first one has 2"),
        ([("a", ["1"]), ("b", ["1", "2"])], "table.columns[1].cells", "has 2 cells, the first one has 1"),
        ([("a", ["1"]), ("b", ["2"]), ("a", ["3"])], "table.columns[2].name", "two columns are called 'a'"),
    ],
)
def test_a_table_that_is_none_is_refused_with_the_place(
    columns: list[tuple[str, list[str]]], field: str, problem: str
) -> None:
    error = refusal(TableQuestion(table=table(*columns), questions=["q"]))
    assert field == error.field
    assert problem in str(error)


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_a_blank_question_about_a_table_is_refused_with_its_place(blank: str) -> None:
    error = refusal(TableQuestion(table=PIPES, questions=["q", blank]))
    assert ("questions[1]", "the question is empty") == (error.field, str(error))


def test_a_table_larger_than_a_call_may_hold_is_refused() -> None:
    request = TableQuestion(table=PIPES, questions=["q"])
    assert ("table.columns", "max_items", "3") == exceeded(request, InputLimits(max_items=3))
    assert decoded(request, InputLimits(max_items=4))
    long = TableQuestion(table=table(("a", ["b"]), ("c", ["d" * 4, "e" * 4])), questions=["q"])
    assert "table.columns[1].cells" == refusal(long, InputLimits(max_text_bytes=8)).field
    long.table.columns[0].cells.append("")
    assert ("table.columns[1]", "max_text_bytes", "8") == exceeded(long, InputLimits(max_text_bytes=8))


def test_the_answers_of_a_table_travel_in_order_whoever_asked_them_together() -> None:
    first: dict[str, Any] = {
        "answer": "SUM > 1, 2",
        "coordinates": [(0, 1), (2, 3)],
        "cells": ["1", "2"],
        "aggregator": "SUM",
    }
    second = {"answer": "fixed", "coordinates": [(0, 0)], "cells": ["fixed"]}
    nothing = {"answer": ""}
    results = encoded(TableQuestion(questions=["a", "b", "c"]), [first, second], [nothing]).results
    found = [
        (
            one.answer,
            [(place.row, place.column) for place in one.coordinates],
            list(one.cells),
            one.aggregator,
        )
        for one in results
    ]
    assert [
        ("SUM > 1, 2", [(0, 1), (2, 3)], ["1", "2"], "SUM"),
        ("fixed", [(0, 0)], ["fixed"], ""),
        ("", [], [], ""),
    ] == found


@pytest.mark.parametrize(
    ("request_", "parameters"),
    [
        (FillMask(), FillParameters(top_k=5, targets=(), cut=Cut())),
        (FillMask(top_k=2), FillParameters(top_k=2)),
        (FillMask(targets=["b", "a", "b"]), FillParameters(targets=("b", "a", "b"))),
        (FillMask(truncate=False), FillParameters(cut=Cut(truncate=False))),
        (FillMask(truncate=True), FillParameters()),
    ],
)
def test_each_field_of_a_mask_reaches_the_parameters(
    request_: text_pb2.FillMaskRequest, parameters: FillParameters
) -> None:
    request_.texts.append("[MASK]")
    assert [Call("[MASK]", parameters, "texts[0]")] == decoded(request_)


def test_an_empty_text_has_no_mask_to_fill() -> None:
    error = refusal(FillMask(texts=["[MASK]", ""]))
    assert "texts[1]" == error.field
    assert "no mask to fill" in str(error)


def test_more_or_longer_targets_than_a_call_may_name_are_refused() -> None:
    request = FillMask(texts=["a"], targets=["b"] * 1001)
    assert ("targets", "max_labels", "1000") == exceeded(request)
    assert decoded(request, InputLimits(max_labels=1001))
    long = FillMask(texts=["a"], targets=["b", "c" * 9])
    assert ("targets[1]", "max_text_bytes", "8") == exceeded(long, InputLimits(max_text_bytes=8))


def test_fills_travel_mask_by_mask_and_text_by_text() -> None:
    water, fire = Fill(0.75, 7, "water", "hot water"), Fill(0.25, 9, "fire", "hot fire")
    results = encoded(FillMask(texts=["a", "b"]), [[water, fire], [fire]], [[water]]).results
    found = [
        [
            [(fill.score, fill.token, fill.token_str, fill.sequence) for fill in mask.fills]
            for mask in result.masks
        ]
        for result in results
    ]
    hot_water, hot_fire = (0.75, 7, "water", "hot water"), (0.25, 9, "fire", "hot fire")
    assert [[[hot_water, hot_fire], [hot_fire]], [[hot_water]]] == found
