"""AnswerTableQuestion: questions about a table, through the library's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import text_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import TABLE_READER
from standpipe_server.tasks.base import (
    InputLimits,
    Task,
    check_text,
    check_texts,
    optional,
    tokens_of,
)

Columns = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class TableParameters:
    """How to answer."""

    sequential: bool = False


@dataclass(frozen=True, slots=True)
class TableQuestions:
    """What one call asks.

    Attributes:
        table: Cells by column.
        questions: One; or a whole conversation.
    """

    table: Columns
    questions: tuple[str, ...]


class TableHead:
    """Asks the pipeline."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def answer(self, call: Call) -> tuple[list[dict[str, Any]], int]:
        asked: TableQuestions = call.input
        sequential = call.parameters.sequential
        try:
            answers = self._pipeline(table=asked.table, query=list(asked.questions), sequential=sequential)
        # What the library's reader of tables stumbles over: too many columns, nothing but blanks.
        except (ValueError, LookupError, NameError) as error:
            raise InvalidInputError(f"the model can't read the table: {error}", "table") from error
        cells = sum(tokens_of(cell) for column in asked.table.values() for cell in column)
        return answers if isinstance(answers, list) else [answers], cells + sum(
            map(tokens_of, asked.questions)
        )


def _decode(request: text_pb2.AnswerTableQuestionRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.questions, "questions", limits)
    for index, question in enumerate(request.questions):
        if not question.strip():
            raise InvalidInputError("the question is empty", f"questions[{index}]")
    table = _table(request.table, limits)
    parameters = TableParameters(optional(request, "sequential", False))
    if parameters.sequential:
        return [Call(TableQuestions(table, tuple(request.questions)), parameters, "questions")]
    return [
        Call(TableQuestions(table, (question,)), parameters, f"questions[{index}]")
        for index, question in enumerate(request.questions)
    ]


def _table(table: text_pb2.Table, limits: InputLimits) -> Columns:
    if not table.columns or not table.columns[0].cells:
        raise InvalidInputError("the table is empty: send at least one column with one cell", "table.columns")
    rows = len(table.columns[0].cells)
    columns: Columns = {}
    for index, column in enumerate(table.columns):
        field = f"table.columns[{index}]"
        if len(column.cells) != rows:
            raise InvalidInputError(
                f"the column has {len(column.cells)} cells, the first one has {rows}", f"{field}.cells"
            )
        if column.name in columns:
            raise InvalidInputError(f"two columns are called {column.name!r}", f"{field}.name")
        check_text("".join([column.name, *column.cells]), field, limits)
        columns[column.name] = list(column.cells)
    check_limit(rows * len(columns), "table.columns", "max_items", limits.max_items, "cells")
    return columns


def _encode(
    outputs: Sequence[Output], _: text_pb2.AnswerTableQuestionRequest
) -> text_pb2.AnswerTableQuestionResponse:
    response = text_pb2.AnswerTableQuestionResponse()
    for answer in (answer for output in outputs for answer in output.value):
        result = response.results.add(
            answer=answer["answer"], cells=answer.get("cells", ()), aggregator=answer.get("aggregator", "")
        )
        for row, column in answer.get("coordinates", ()):
            result.coordinates.add(row=row, column=column)
    return response


def _cost(call: Call) -> int:
    return sum(tokens_of(cell) + 1 for column in call.input.table.values() for cell in column)


ANSWER_TABLE_QUESTION = Task(
    name="table-question-answering",
    rpc="standpipe.v1.TextService.AnswerTableQuestion",
    request=text_pb2.AnswerTableQuestionRequest,
    response=text_pb2.AnswerTableQuestionResponse,
    kind=TABLE_READER,
    parameters=TableParameters,
    head=TableHead,
    decode=_decode,
    encode=_encode,
    cost=_cost,
    default=("google/tapas-base-finetuned-wtq", "e3dde19"),
    warm_up=[
        [Call(TableQuestions({"pipe": ["fixed"], "hose": ["any"]}, ("which hose?",)), TableParameters())]
    ],
)
