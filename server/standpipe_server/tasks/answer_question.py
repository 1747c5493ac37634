"""AnswerQuestion: where a context answers a question.

Source: the question-answering pipeline of transformers 4, which transformers 5 no longer has. A context that
is longer than the model reads is read in windows; spans of all windows compete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from standpipe.v1 import text_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import SPAN_CLASSIFIER
from standpipe_server.programs import Batch, Encoding, Floats, TextModel
from standpipe_server.tasks.base import (
    InputLimits,
    Task,
    check_count,
    check_text,
    optional,
    positive,
    text_cost,
)
from standpipe_server.tasks.labels import warm_up

_MAX_SEQ_LEN = 384
# What can't be part of an answer gets this logit.
_NEVER = np.float32(-10000.0)


@dataclass(frozen=True, slots=True)
class QuestionParameters:
    """How to look for answers; see AnswerQuestionRequest."""

    top_k: int = 1
    doc_stride: int | None = None
    max_answer_len: int = 15
    max_seq_len: int | None = None
    max_question_len: int = 64
    handle_impossible_answer: bool = False
    align_to_words: bool = True


@dataclass(slots=True)
class Answer:
    """One answer; the scores of equal ones add up."""

    answer: str
    score: float
    start: int
    end: int


class QuestionHead:
    """Turns logits of where an answer starts and ends into answers."""

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self._cls = model.tokenizer.cls_token_id

    def read(self, calls: Sequence[Call], *, spread: bool) -> list[Sequence[Encoding] | Exception]:
        return [self._windows(call) for call in calls]

    def rows(self, batch: Batch, parameters: QuestionParameters) -> list[tuple[Floats, Floats]]:
        starts, ends = batch.outputs
        return [
            (starts[row, : len(encoding)].copy(), ends[row, : len(encoding)].copy())
            for row, encoding in enumerate(batch.encodings)
        ]

    def answer(
        self, call: Call, encodings: Sequence[Encoding], rows: Sequence[tuple[Floats, Floats]]
    ) -> list[Answer]:
        parameters: QuestionParameters = call.parameters
        _, context = call.input
        answers: dict[str, Answer] = {}
        impossible = 1.0
        for encoding, (start_logits, end_logits) in zip(encodings, rows, strict=True):
            allowed = self._allowed(encoding)
            starts, ends = _probabilities(start_logits, allowed), _probabilities(end_logits, allowed)
            impossible = min(impossible, float(starts[0] * ends[0]))
            starts[0] = ends[0] = 0.0
            for start, end, score in _spans(starts, ends, allowed, parameters):
                first, last = _characters(encoding, start, end, align=parameters.align_to_words)
                answer = Answer(context[first:last], score, first, last)
                # An answer that is found again counts for the first of its kind.
                known = answers.setdefault(answer.answer.lower(), answer)
                if known is not answer:
                    known.score += score
        found = list(answers.values())
        if parameters.handle_impossible_answer:
            found.append(Answer("", impossible, 0, 0))
        return sorted(found, key=lambda answer: -answer.score)[: parameters.top_k]

    def _windows(self, call: Call) -> Sequence[Encoding] | Exception:
        parameters: QuestionParameters = call.parameters
        question, context = call.input
        limit = self._model.max_tokens
        if parameters.max_seq_len is not None and parameters.max_seq_len > limit:
            return InvalidInputError(
                f"{parameters.max_seq_len} tokens are more than the model's {limit}", "max_seq_len"
            )
        size = parameters.max_seq_len or min(_MAX_SEQ_LEN, limit)
        try:
            return self._model.windows(
                context,
                before=question,
                stride=parameters.doc_stride,
                max_tokens=size,
                max_before=parameters.max_question_len,
            )
        except InvalidInputError as error:
            return InvalidInputError(str(error), "doc_stride" if error.field == "stride" else "max_seq_len")

    def _allowed(self, encoding: Encoding) -> NDArray[np.bool_]:
        """The context's tokens, and the one that stands for "no answer"."""
        return np.array(
            [
                sequence == 1 or id_ == self._cls
                for id_, sequence in zip(encoding.ids, encoding.sequence_ids, strict=True)
            ]
        )


def _probabilities(logits: Floats, allowed: NDArray[np.bool_]) -> Floats:
    masked = np.where(allowed, logits, _NEVER)
    grown = np.exp(masked - masked.max())
    probabilities: Floats = grown / grown.sum()
    return probabilities


def _spans(
    starts: Floats, ends: Floats, allowed: NDArray[np.bool_], parameters: QuestionParameters
) -> Iterator[tuple[int, int, float]]:
    """The likeliest spans of tokens, best first: first token, last token, score."""
    wanted = parameters.top_k * 2 + 10 if parameters.align_to_words else parameters.top_k
    scores = np.tril(np.triu(np.outer(starts, ends)), parameters.max_answer_len - 1)
    flat = scores.ravel()
    if wanted == 1:
        best = np.array([flat.argmax()])
    elif wanted < len(flat):
        chosen = np.argpartition(-flat, wanted)[:wanted]
        best = chosen[np.argsort(-flat[chosen])]
    else:
        best = np.argsort(-flat)
    for start, end in zip(*np.unravel_index(best, scores.shape), strict=True):
        if allowed[start] and allowed[end]:
            yield int(start), int(end), float(scores[start, end])


def _characters(encoding: Encoding, start: int, end: int, *, align: bool) -> tuple[int, int]:
    """Where a span of tokens stands in the context, stretched to whole words where asked and known."""
    if align:
        words = encoding.token_to_word(start), encoding.token_to_word(end)
        if words[0] is not None and words[1] is not None:
            places = encoding.word_to_chars(words[0], 1), encoding.word_to_chars(words[1], 1)
            if places[0] is not None and places[1] is not None:
                return places[0][0], places[1][1]
    return encoding.offsets[start][0], encoding.offsets[end][1]


def _decode(request: text_pb2.AnswerQuestionRequest, limits: InputLimits) -> list[Call]:
    check_count(request.inputs, "inputs", limits)
    top_k = positive(request, "top_k", 1)
    check_limit(top_k, "top_k", "max_labels", limits.max_labels, "answers")
    parameters = QuestionParameters(
        top_k=top_k,
        doc_stride=optional(request, "doc_stride", None),
        max_answer_len=positive(request, "max_answer_len", 15),
        max_seq_len=positive(request, "max_seq_len", None),
        max_question_len=positive(request, "max_question_len", 64),
        handle_impossible_answer=optional(request, "handle_impossible_answer", False),
        align_to_words=optional(request, "align_to_words", True),
    )
    calls = []
    for index, item in enumerate(request.inputs):
        for name in ("question", "context"):
            field, text = f"inputs[{index}].{name}", getattr(item, name)
            if not text:
                raise InvalidInputError(f"the {name} is empty", field)
            check_text(text, field, limits)
        calls.append(Call((item.question, item.context), parameters, f"inputs[{index}]"))
    return calls


def _encode(outputs: Sequence[Output], _: text_pb2.AnswerQuestionRequest) -> text_pb2.AnswerQuestionResponse:
    response = text_pb2.AnswerQuestionResponse()
    for output in outputs:
        result = response.results.add()
        for found in output.value:
            result.answers.add(answer=found.answer, score=found.score, start=found.start, end=found.end)
    return response


ANSWER_QUESTION = Task(
    name="question-answering",
    rpc="standpipe.v1.TextService.AnswerQuestion",
    request=text_pb2.AnswerQuestionRequest,
    response=text_pb2.AnswerQuestionResponse,
    kind=SPAN_CLASSIFIER,
    parameters=QuestionParameters,
    head=QuestionHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    default=("distilbert/distilbert-base-cased-distilled-squad", "564e9b5"),
    warm_up=warm_up(QuestionParameters(), pairs=True),
)
