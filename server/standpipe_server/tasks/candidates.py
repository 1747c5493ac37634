"""Labels that a call brings: checked, and completed to the sentences that a model compares with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.tasks.base import InputLimits
from standpipe_server.tasks.labels import Scored

_FIELD = "candidate_labels"


@dataclass(frozen=True, slots=True)
class Candidates:
    """The labels to choose from, and the sentences that they complete."""

    labels: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()

    def options(self) -> dict[str, Any]:
        """Keyword arguments of the library's pipelines, which would format with whatever a template holds."""
        return {"candidate_labels": list(self.sentences), "hypothesis_template": "{}"}

    def scored(self, found: Iterable[Mapping[str, Any]]) -> list[Scored]:
        """What the library's pipelines find, with labels in place of sentences."""
        labels = dict(zip(self.sentences, self.labels, strict=True))
        return [(labels[one["label"]], one["score"]) for one in found]


def check_candidates(labels: Sequence[str], limits: InputLimits) -> None:
    """Refuse no labels, too many, or one that is too long.

    Raises:
        InvalidInputError: Naming the field, and the limit where one is exceeded.
    """
    hypotheses("{}", labels, limits)


def hypotheses(template: str, labels: Sequence[str], limits: InputLimits) -> list[str]:
    """A sentence for each label.

    Args:
        template: With ``{}`` in the label's place; several are all filled.
        labels: At least one.
        limits: Of labels, and of sentences.

    Raises:
        InvalidInputError: Naming the field, and the limit where one is exceeded.
    """
    if not labels:
        raise InvalidInputError(f"{_FIELD} is empty: send at least one", _FIELD)
    check_limit(len(labels), _FIELD, "max_labels", limits.max_labels, _FIELD)
    if "{}" not in template:
        raise InvalidInputError(
            f'{template!r} has no "{{}}" for the label to stand in', "hypothesis_template"
        )
    fixed, places = len(template.encode()), template.count("{}")
    for index, label in enumerate(labels):
        # Before the sentence is made: a short template may hold a label a thousand times.
        size, field = fixed + places * len(label.encode()), f"{_FIELD}[{index}]"
        check_limit(size, field, "max_text_bytes", limits.max_text_bytes, "bytes with the template")
    return [template.replace("{}", label) for label in labels]


def tokens_within(pipeline: Any, sentences: Sequence[str]) -> int:
    """The tokens of sentences, each as long as the pipeline's model reads at most.

    Raises:
        InvalidInputError: One is longer, which the library leaves to the model to fail on.
    """
    config = getattr(pipeline.model.config, "text_config", pipeline.model.config)
    most = getattr(config, "max_position_embeddings", None)
    total = 0
    for index, sentence in enumerate(sentences):
        tokens = len(pipeline.tokenizer(sentence)["input_ids"])
        if most is not None and tokens > most:
            raise InvalidInputError(
                f"the label has {tokens} tokens with the template, more than the model's {most}",
                f"{_FIELD}[{index}]",
            )
        total += tokens
    return total
