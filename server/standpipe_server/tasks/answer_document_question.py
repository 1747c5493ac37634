"""AnswerDocumentQuestion: questions about pictures of documents, through the library's own pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import vision_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import DOCUMENT_READER
from standpipe_server.media.images import EncodedImage
from standpipe_server.tasks.base import (
    InputLimits,
    Task,
    check_count,
    check_text,
    optional,
    positive,
    tokens_of,
)
from standpipe_server.tasks.images import image_cost, image_of, sample_image

_NUMBERS = ("top_k", "doc_stride", "max_answer_len", "max_seq_len")
_MOST = 1000
"""Thousandths of a picture's side."""

# Tokens that neighbouring windows share at most where the call doesn't say, as in the library; and how often
# windows may read a document over.
_MAX_SHARED = 256
_MOST_READ = 8
_MARKS = 4
"""Tokens round the question of a model that writes."""

Word = tuple[str, tuple[int, int, int, int]]


@dataclass(frozen=True, slots=True)
class DocumentParameters:
    """How to read and answer: keyword arguments of the pipeline, by name."""

    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """What one call asks.

    Attributes:
        image: The picture.
        question: Not empty.
        words: Of the document, each with its box in thousandths; none where the server is to find them.
    """

    image: EncodedImage
    question: str
    words: tuple[Word, ...] = ()


class DocumentHead:
    """Asks the pipeline."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def answer(self, call: Call) -> tuple[Sequence[Mapping[str, Any]], int]:
        asked: Document = call.input
        inputs: dict[str, Any] = {"image": asked.image.open(), "question": asked.question}
        if asked.words:
            inputs["word_boxes"] = [(word, list(box)) for word, box in asked.words]
        options = self._checked(dict(call.parameters.options), asked, call.field)
        try:
            found = self._pipeline(inputs, **options)
        # No reader of text for a document without words, windows that leave no room: the library's own words.
        except (ValueError, TypeError) as error:
            field = f"{call.field}.words" if "pytesseract" in str(error) else call.field
            raise InvalidInputError(f"the model can't read the document: {error}", field) from error
        read = tokens_of(asked.question) + sum(tokens_of(word) for word, _ in asked.words)
        return (found if isinstance(found, list) else [found]), read

    def _checked(self, options: dict[str, Any], asked: Document, field: str) -> dict[str, Any]:
        """The pipeline's options, with windows that hold something of the document.

        The library leaves what is too long to the tokenizer and the model to fail on, whose failures aren't
        even ``Exception``s.
        """
        question = len(self._pipeline.tokenizer.tokenize(asked.question))
        config = self._pipeline.model.config.get_text_config(decoder=True)
        if config is not self._pipeline.model.config:
            if question + _MARKS >= config.max_position_embeddings:
                raise InvalidInputError(
                    f"the question has {question} tokens, too many for the model's "
                    f"{config.max_position_embeddings}",
                    f"{field}.question",
                )
            return options
        most = min(config.max_position_embeddings, self._pipeline.tokenizer.model_max_length)
        if options.get("max_seq_len", most) > most:
            raise InvalidInputError(
                f"max_seq_len is {options['max_seq_len']}, more than the model's {most}", "max_seq_len"
            )
        special = self._pipeline.tokenizer.num_special_tokens_to_add(pair=True)
        return options | _windows(options, question + special, most, f"{field}.question")


def _windows(options: Mapping[str, Any], taken: int, most: int, question: str) -> dict[str, int]:
    """How long windows are, and how much neighbouring ones share.

    Args:
        options: What the call says.
        taken: Tokens of each window that aren't the document's.
        most: Tokens that the model reads at once.
        question: The field that the question stands in.

    Raises:
        InvalidInputError: There is no room for the document, or windows share too much of it.
    """
    size = options.get("max_seq_len", most)
    room = size - taken
    if room < 1:
        raise InvalidInputError(
            f"windows of {size} tokens have no room for the document: the question takes {taken}",
            "max_seq_len" if "max_seq_len" in options else question,
        )
    shared = options.get("doc_stride", min(size // 2, _MAX_SHARED, room - 1))
    held = f"windows of {size} tokens hold {room} of the document"
    if shared >= room:
        raise InvalidInputError(f"{held}: they can't share {shared}", "doc_stride")
    if "doc_stride" in options and room > _MOST_READ * (room - shared):
        raise InvalidInputError(
            f"{held}: sharing {shared}, they would read it more than {_MOST_READ} times", "doc_stride"
        )
    return {"max_seq_len": size, "doc_stride": shared}


def _decode(request: vision_pb2.AnswerDocumentQuestionRequest, limits: InputLimits) -> list[Call]:
    check_count(request.inputs, "inputs", limits)
    given = {name: positive(request, name, None) for name in _NUMBERS}
    given["handle_impossible_answer"] = optional(request, "handle_impossible_answer", None)
    given["lang"] = optional(request, "lang", None)
    options = tuple((name, value) for name, value in given.items() if value is not None)
    parameters = DocumentParameters(options)
    return [
        Call(_document(item, f"inputs[{index}]", limits), parameters, f"inputs[{index}]")
        for index, item in enumerate(request.inputs)
    ]


def _document(item: vision_pb2.DocumentQuestion, field: str, limits: InputLimits) -> Document:
    if not item.question.strip():
        raise InvalidInputError("the question is empty", f"{field}.question")
    check_text(item.question, f"{field}.question", limits)
    check_limit(len(item.words), f"{field}.words", "max_items", 16 * limits.max_items, "words")
    words = tuple(_word(word, f"{field}.words[{index}]", limits) for index, word in enumerate(item.words))
    return Document(image_of(item.image, f"{field}.image", limits), item.question, words)


def _word(word: vision_pb2.DocumentWord, field: str, limits: InputLimits) -> Word:
    check_text(word.text, f"{field}.text", limits)
    box = (word.box.xmin, word.box.ymin, word.box.xmax, word.box.ymax)
    if not all(0 <= edge <= _MOST for edge in box):
        raise InvalidInputError(f"{box} isn't in thousandths, from 0 to {_MOST}", f"{field}.box")
    return word.text, box


def _encode(
    outputs: Sequence[Output], _: vision_pb2.AnswerDocumentQuestionRequest
) -> vision_pb2.AnswerDocumentQuestionResponse:
    return vision_pb2.AnswerDocumentQuestionResponse(
        results=[
            vision_pb2.DocumentAnswers(answers=[_answer(found) for found in output.value])
            for output in outputs
        ]
    )


def _answer(found: Mapping[str, Any]) -> vision_pb2.DocumentAnswer:
    # A model that writes tells nothing but the words, and those not always.
    return vision_pb2.DocumentAnswer(
        answer=found["answer"] or "",
        score=found.get("score"),
        start=found.get("start"),
        end=found.get("end"),
    )


ANSWER_DOCUMENT_QUESTION = Task(
    name="document-question-answering",
    rpc="standpipe.v1.VisionService.AnswerDocumentQuestion",
    request=vision_pb2.AnswerDocumentQuestionRequest,
    response=vision_pb2.AnswerDocumentQuestionResponse,
    kind=DOCUMENT_READER,
    parameters=DocumentParameters,
    head=DocumentHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    default=("impira/layoutlm-document-qa", "beed3c4"),
    warm_up=[
        [
            Call(
                Document(sample_image(), "what stands ready?", (("water", (0, 0, 500, 500)),)),
                DocumentParameters(),
                "inputs[0]",
            )
        ]
    ],
)
