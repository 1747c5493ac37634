"""What the tasks that label share: scores out of logits, and the messages that hold labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from standpipe.v1 import common_pb2
from standpipe_server.interfaces import Call
from standpipe_server.programs import Batch, Encoding, Floats, TextModel

Scored = tuple[str, float]
FunctionName = Literal["softmax", "sigmoid", "none"]


def softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    grown = np.exp(logits - logits.max(-1, keepdims=True))
    scores: Floats = grown / grown.sum(-1, keepdims=True)
    return scores


def sigmoid(logits: Floats) -> Floats:
    """Of each value."""
    # Two forms of one curve, each where its exponential can't overflow.
    small = np.exp(-np.abs(logits))
    scores: Floats = np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    return scores


FUNCTIONS: dict[FunctionName, Callable[[Floats], Floats]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": lambda logits: logits,
}


FUNCTION_NAMES: dict[int, FunctionName | None] = {
    common_pb2.CLASSIFICATION_FUNCTION_UNSPECIFIED: None,
    common_pb2.CLASSIFICATION_FUNCTION_SOFTMAX: "softmax",
    common_pb2.CLASSIFICATION_FUNCTION_SIGMOID: "sigmoid",
    common_pb2.CLASSIFICATION_FUNCTION_NONE: "none",
}


PLAIN_FUNCTIONS: dict[int, FunctionName] = {
    value: name or "softmax" for value, name in FUNCTION_NAMES.items()
}
"""Of tasks whose pipelines don't ask what the model's own files say."""


def usual_function(config: Any) -> FunctionName:
    """What makes scores of a classifier's logits, as its own files say."""
    problem = getattr(config, "problem_type", None)
    if problem == "regression":
        return "none"
    if problem == "multi_label_classification" or config.num_labels == 1:
        return "sigmoid"
    return "softmax"


def labels_of(config: Any) -> list[str]:
    """The labels of a model, in the order of its outputs."""
    return [config.id2label[index] for index in range(config.num_labels)]


def token_rows(batch: Batch) -> list[Floats]:
    """The logits of each sequence's tokens, (length, labels)."""
    return [batch.outputs[0][row, : len(encoding)].copy() for row, encoding in enumerate(batch.encodings)]


def one_each(found: Iterable[Encoding | Exception]) -> list[list[Encoding] | Exception]:
    """Encodings as a head gives them, where each call is one sequence."""
    return [encoding if isinstance(encoding, Exception) else [encoding] for encoding in found]


class SequenceHead:
    """Reads each call as one sequence and keeps its logits, (labels,); what they mean is the task's to say.

    The parameters of its calls have a ``cut``.
    """

    def __init__(self, model: TextModel) -> None:
        self._model = model

    def read(self, calls: Sequence[Call], *, spread: bool) -> list[list[Encoding] | Exception]:
        texts, cuts = [call.input for call in calls], [call.parameters.cut for call in calls]
        return one_each(self._model.encode(texts, cuts, spread=spread))

    def rows(self, batch: Batch, parameters: Any) -> list[Floats]:
        return list(batch.outputs[0].copy())


def best_first(labels: Sequence[str], scores: Sequence[float], top_k: int | None = None) -> list[Scored]:
    """Labels with their scores, best first; equal scores keep the order of the labels."""
    ranked = sorted(zip(labels, scores, strict=True), key=lambda scored: -scored[1])
    return ranked[:top_k]


def to_message(scored: Iterable[Scored]) -> common_pb2.LabelScores:
    """Labels and scores as the contract has them."""
    return common_pb2.LabelScores(
        labels=[common_pb2.LabelScore(label=label, score=score) for label, score in scored]
    )


def warm_up(parameters: Any, *, pairs: bool = False) -> list[list[Call]]:
    """Batches for a fresh model: a lone text, and texts of several lengths."""
    texts = [f"{'a fixed pipe ' * n} that stands ready" for n in range(8)]
    calls = [Call((text, "Water stands ready.") if pairs else text, parameters) for text in texts]
    return [calls[2:3], calls, calls[2:3]]
