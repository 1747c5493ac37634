"""FillMask: proposals for the masks of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from standpipe.v1 import text_pb2
from standpipe_server.errors import InvalidInputError, ModelLoadError, check_limit
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import MASKED_LANGUAGE_MODEL
from standpipe_server.programs import Batch, Cut, Encoding, Floats, TextModel
from standpipe_server.tasks.base import (
    InputLimits,
    Task,
    check_text,
    check_texts,
    optional,
    positive,
    text_cost,
    texts_to_calls,
)
from standpipe_server.tasks.labels import softmax

_TOP_K = 5
# Each proposal comes with its whole text: their number is bounded by what is asked for times the masks.
_MAX_FILLS = 4096


@dataclass(frozen=True, slots=True)
class FillParameters:
    """How many proposals, and from what."""

    top_k: int = _TOP_K
    targets: tuple[str, ...] = ()
    cut: Cut = Cut()


@dataclass(frozen=True, slots=True)
class Fill:
    """One proposal for a mask."""

    score: float
    token: int
    token_str: str
    sequence: str


class FillHead:
    """Turns the logits at the masks into proposals."""

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self._tokenizer = model.tokenizer
        self._mask = model.tokenizer.mask_token_id
        if self._mask is None:
            raise ModelLoadError("its tokenizer has no mask token")
        self._vocabulary: dict[str, int] = model.tokenizer.get_vocab()

    def read(self, calls: Sequence[Call], *, spread: bool) -> list[list[Encoding] | Exception]:
        # The warm-up's texts don't know the model's mask.
        texts = [call.input or self._tokenizer.mask_token for call in calls]
        found = self._model.encode(texts, [call.parameters.cut for call in calls], spread=spread)
        return [self._with_mask(encoding) for encoding in found]

    def rows(self, batch: Batch, parameters: FillParameters) -> list[Floats]:
        return [
            softmax(batch.outputs[0][row, self._masks(encoding)])
            for row, encoding in enumerate(batch.encodings)
        ]

    def answer(self, call: Call, encodings: Sequence[Encoding], rows: Sequence[Floats]) -> list[list[Fill]]:
        parameters: FillParameters = call.parameters
        ids, masks = encodings[0].ids, self._masks(encodings[0])
        if len(masks) * parameters.top_k > _MAX_FILLS:
            raise InvalidInputError(
                f"{len(masks)} masks × {parameters.top_k} proposals are more than {_MAX_FILLS} sequences",
                "top_k",
            )
        candidates = self._targets(parameters.targets)
        filled = []
        for place, scores in zip(masks, rows[0], strict=True):
            shown = scores if candidates is None else scores[candidates]
            best = _largest(shown, parameters.top_k)
            tokens = best if candidates is None else candidates[best]
            filled.append(
                [
                    self._fill(
                        float(scores[token]), token, [*ids[:place], token, *ids[place + 1 :]], len(masks)
                    )
                    for token in tokens.tolist()
                ]
            )
        return filled

    def _with_mask(self, encoding: Encoding | Exception) -> list[Encoding] | Exception:
        if isinstance(encoding, Exception):
            return encoding
        if not self._masks(encoding):
            return InvalidInputError(
                f"the text has no mask for the model to fill: it is written {self._tokenizer.mask_token}"
            )
        return [encoding]

    def _masks(self, encoding: Encoding) -> list[int]:
        return [place for place, token in enumerate(encoding.ids) if token == self._mask]

    def _targets(self, targets: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.intp]] | None:
        """Ids of the words that are asked for; None for the whole vocabulary."""
        if not targets:
            return None
        ids = set()
        for target in targets:
            id_ = self._vocabulary.get(target)
            if id_ is None:
                # What isn't one token stands for its first, if it is anything to the model.
                pieces = self._tokenizer.backend_tokenizer.encode(target, add_special_tokens=False).ids
                ids.update(pieces[:1])
            else:
                ids.add(id_)
        if not ids:
            raise InvalidInputError("none of the targets is a token of the model", "targets")
        return np.array(sorted(ids), np.intp)

    def _fill(self, score: float, token: int, ids: list[int], masks: int) -> Fill:
        # With several masks the others stay, and with them the special tokens: as the library shows them.
        kept = [id_ for id_ in ids if id_ != self._tokenizer.pad_token_id]
        sequence = self._tokenizer.decode(kept, skip_special_tokens=masks == 1)
        return Fill(score, token, self._tokenizer.decode([token]), sequence)


def _largest(scores: Floats, count: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Where the largest scores stand, the largest first."""
    if count < len(scores):
        chosen = np.argpartition(-scores, count)[:count]
        return chosen[np.argsort(-scores[chosen], kind="stable")]
    return np.argsort(-scores, kind="stable")


def _decode(request: text_pb2.FillMaskRequest, limits: InputLimits) -> list[Call]:
    check_texts(request.texts, "texts", limits)
    check_limit(len(request.targets), "targets", "max_labels", limits.max_labels, "targets")
    for index, target in enumerate(request.targets):
        check_text(target, f"targets[{index}]", limits)
    top_k = positive(request, "top_k", _TOP_K)
    check_limit(top_k, "top_k", "max_labels", limits.max_labels, "proposals")
    cut = Cut(optional(request, "truncate", True))
    for index, text in enumerate(request.texts):
        if not text:
            raise InvalidInputError("the text is empty: it has no mask to fill", f"texts[{index}]")
    return texts_to_calls(request.texts, FillParameters(top_k, tuple(request.targets), cut))


def _encode(outputs: Sequence[Output], _: text_pb2.FillMaskRequest) -> text_pb2.FillMaskResponse:
    response = text_pb2.FillMaskResponse()
    for output in outputs:
        result = response.results.add()
        for fills in output.value:
            mask = result.masks.add()
            for fill in fills:
                mask.fills.add(
                    score=fill.score, token=fill.token, token_str=fill.token_str, sequence=fill.sequence
                )
    return response


FILL_MASK = Task(
    name="fill-mask",
    rpc="standpipe.v1.TextService.FillMask",
    request=text_pb2.FillMaskRequest,
    response=text_pb2.FillMaskResponse,
    kind=MASKED_LANGUAGE_MODEL,
    parameters=FillParameters,
    head=FillHead,
    decode=_decode,
    encode=_encode,
    cost=text_cost,
    default=("distilbert/distilroberta-base", "fb53ab8"),
    # Empty texts stand for the model's own mask, which isn't known here.
    warm_up=[[Call("", FillParameters())], [Call("", FillParameters())] * 8],
)
