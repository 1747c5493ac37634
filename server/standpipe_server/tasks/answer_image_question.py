"""AnswerImageQuestion: questions about images, by models that choose an answer or write one.

Source: the visual-question-answering pipeline of transformers 4, which transformers 5 has dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.v1 import vision_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Outcome, Output, Written
from standpipe_server.kinds import IMAGE_ANSWERER, IMAGE_CHAT
from standpipe_server.media_programs import ImageTextModel
from standpipe_server.programs import Generation
from standpipe_server.tasks.base import InputLimits, Task, check_count, check_text, positive
from standpipe_server.tasks.image_text import ImageInstructedHead, ImageText, each, generation
from standpipe_server.tasks.images import image_cost, image_of, sample_image
from standpipe_server.tasks.labels import Scored, best_first, labels_of
from standpipe_server.tasks.writing import BRIEF

_TOP_K = 5


@dataclass(frozen=True, slots=True)
class ImageQuestionParameters:
    """How to answer: so many answers of a model that chooses, or as written by one that writes."""

    top_k: int = _TOP_K
    generation: Generation = Generation()


class ImageQuestionHead:
    """Asks the model in the way that it has; an output's value is what it wrote, or what it chose from."""

    def __init__(self, model: ImageTextModel) -> None:
        self._model = model
        self._labels = [] if model.writes else labels_of(model.config)

    def answers(self, calls: Sequence[Call], images: Sequence[object]) -> Sequence[Outcome]:
        asked: ImageQuestionParameters = calls[0].parameters

        def written(image: Any, question: str) -> Output:
            if self._model.chats:
                text, tokens = self._model.chat(image, question, asked.generation)
            else:
                ((text, tokens),) = self._model.write([image], [question], asked.generation)
            return Output((text,), tokens)

        def chosen(image: Any, question: str) -> Output:
            scores = self._model.scores(image, question).tolist()
            return Output(best_first(self._labels, scores, asked.top_k))

        return each(written if self._model.writes else chosen, calls, images)


class ImageQuestionChatHead(ImageInstructedHead):
    """Asks a model that chats."""

    def instruction(self, call: Call) -> str:
        question: str = call.input.text
        return question


def _decode(request: vision_pb2.AnswerImageQuestionRequest, limits: InputLimits) -> list[Call]:
    check_count(request.inputs, "inputs", limits)
    parameters = ImageQuestionParameters(positive(request, "top_k", _TOP_K), generation(request, limits))
    calls = []
    for index, item in enumerate(request.inputs):
        field = f"inputs[{index}]"
        if not item.question.strip():
            raise InvalidInputError("the question is empty", f"{field}.question")
        check_text(item.question, f"{field}.question", limits)
        image = image_of(item.image, f"{field}.image", limits)
        calls.append(Call(ImageText(image, item.question), parameters, field))
    return calls


def _encode(
    outputs: Sequence[Output], _: vision_pb2.AnswerImageQuestionRequest
) -> vision_pb2.AnswerImageQuestionResponse:
    return vision_pb2.AnswerImageQuestionResponse(
        results=[
            vision_pb2.ImageAnswers(answers=[_answer(one) for one in output.value]) for output in outputs
        ]
    )


def _answer(found: Written | Scored) -> vision_pb2.ImageAnswer:
    if isinstance(found, Written):
        return vision_pb2.ImageAnswer(answer=found.text)
    return vision_pb2.ImageAnswer(answer=found[0], score=found[1])


ANSWER_IMAGE_QUESTION = Task(
    name="visual-question-answering",
    rpc="standpipe.v1.VisionService.AnswerImageQuestion",
    request=vision_pb2.AnswerImageQuestionRequest,
    response=vision_pb2.AnswerImageQuestionResponse,
    kind=IMAGE_ANSWERER,
    parameters=ImageQuestionParameters,
    head=ImageQuestionHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    mixes=False,
    also={IMAGE_CHAT: ImageQuestionChatHead},
    default=("dandelin/vilt-b32-finetuned-vqa", "d0a1f6a"),
    warm_up=[
        [
            Call(
                ImageText(sample_image(), "what is it?"),
                ImageQuestionParameters(generation=BRIEF),
                "inputs[0]",
            )
        ]
    ],
)
