"""ClassifyTextZeroShot: texts into scored labels that the call brings.

Each text and label is one call to the model: does the text entail the sentence that the label completes?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from standpipe.v1 import text_pb2
from standpipe_server.errors import check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import SEQUENCE_CLASSIFIER
from standpipe_server.programs import Cut, Encoding, Floats, TextModel
from standpipe_server.tasks.base import (
    InputLimits,
    Task,
    check_texts,
    optional,
    text_cost,
)
from standpipe_server.tasks.candidates import hypotheses
from standpipe_server.tasks.labels import SequenceHead, softmax, to_message, warm_up

_TEMPLATE = "This example is {}."


@dataclass(frozen=True, slots=True)
class ZeroShotParameters:
    """What a call wants is in its texts: labels and template. The hypothesis is never cut."""

    cut: Cut = Cut(first_only=True)


class ZeroShotHead(SequenceHead):
    """Gives the logits of "it doesn't follow" and "it follows", (2,)."""

    def __init__(self, model: TextModel) -> None:
        super().__init__(model)
        entails = [
            index for label, index in model.config.label2id.items() if str(label).lower().startswith("entail")
        ]
        # As the library decides: the last label where none is called entailment, and what contradicts is the
        # first label, or the last where the first entails.
        entailment = entails[0] if entails else -1
        self._columns = [-1 if entailment == 0 else 0, entailment]

    def answer(self, call: Call, encodings: Sequence[Encoding], rows: Sequence[Floats]) -> Floats:
        return rows[0][self._columns]


def _decode(request: text_pb2.ClassifyTextZeroShotRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.texts, "texts", limits)
    template = optional(request, "hypothesis_template", _TEMPLATE)
    sentences = hypotheses(template, request.candidate_labels, limits)
    pairs = len(request.texts) * len(sentences)
    what = f"pairs ({len(request.texts)} texts × {len(sentences)} labels)"
    check_limit(pairs, "candidate_labels", "max_queue", limits.max_queue, what)
    return [
        Call((text, hypothesis), ZeroShotParameters(), f"texts[{index}]")
        for index, text in enumerate(request.texts)
        for hypothesis in sentences
    ]


def _encode(
    outputs: Sequence[Output], request: text_pb2.ClassifyTextZeroShotRequest
) -> text_pb2.ClassifyTextZeroShotResponse:
    labels = list(request.candidate_labels)
    alone = optional(request, "multi_label", False) or len(labels) == 1
    response = text_pb2.ClassifyTextZeroShotResponse()
    for logits in _by_text(outputs, len(labels)):
        scores = softmax(logits)[:, 1] if alone else softmax(logits[:, 1])
        # Reversed, so that equal scores stand as the library has them.
        order = scores.argsort()[::-1]
        response.results.append(to_message((labels[index], scores[index].item()) for index in order))
    return response


def _by_text(outputs: Sequence[Output], labels: int) -> Iterator[Floats]:
    """The logits of each text, (labels, 2)."""
    for start in range(0, len(outputs), labels):
        yield np.stack([output.value for output in outputs[start : start + labels]])


CLASSIFY_TEXT_ZERO_SHOT = Task(
    name="zero-shot-classification",
    rpc="standpipe.v1.TextService.ClassifyTextZeroShot",
    request=text_pb2.ClassifyTextZeroShotRequest,
    response=text_pb2.ClassifyTextZeroShotResponse,
    kind=SEQUENCE_CLASSIFIER,
    parameters=ZeroShotParameters,
    head=ZeroShotHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    default=("facebook/bart-large-mnli", "d7645e1"),
    warm_up=warm_up(ZeroShotParameters(), pairs=True),
)
