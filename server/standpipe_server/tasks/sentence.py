"""What a sentence-transformers folder says about embedding, and the arithmetic of it.

Source: the files modules.json, sentence_bert_config.json, config_sentence_transformers.json and the Pooling
module's config.json, as sentence-transformers 2 to 6 write them. Not aware of tokenizers or models.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from standpipe_server.errors import ModelLoadError
from standpipe_server.programs import Floats

PoolingMode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]

_MODULES = ("Transformer", "Pooling", "Normalize")
# The flags of older files, in the order in which their vectors are joined.
_FLAGS: dict[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class Recipe:
    """How a model embeds.

    Attributes:
        pooling: Modes whose vectors are joined end to end.
        max_tokens: As the files say; None where they say nothing.
        prompts: What to put before a text, by name.
    """

    pooling: tuple[PoolingMode, ...] = ("mean",)
    normalize: bool = False
    lower_case: bool = False
    max_tokens: int | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt: str | None = None


def read_recipe(folder: Path) -> Recipe:
    """What the folder's files say; a plain mean where it has none (a plain encoder).

    Raises:
        ModelLoadError: The model has a part that isn't served, such as a Dense layer.
    """
    modules = _json(folder / "modules.json")
    if not modules:
        return Recipe()
    kinds = {module["type"].rsplit(".", 1)[-1]: folder / module["path"] for module in modules}
    unknown = [kind for kind in kinds if kind not in _MODULES]
    if unknown:
        raise ModelLoadError(
            f"its sentence-transformers module {unknown[0]} isn't served; served are {', '.join(_MODULES)}"
        )
    pooling = _json(kinds["Pooling"] / "config.json") if "Pooling" in kinds else {}
    if not pooling.get("include_prompt", True):
        raise ModelLoadError("pooling without the prompt's tokens isn't served")
    transformer = _json(folder / "sentence_bert_config.json")
    config = _json(folder / "config_sentence_transformers.json")
    return Recipe(
        pooling=_modes(pooling),
        normalize="Normalize" in kinds,
        lower_case=transformer.get("do_lower_case", False),
        max_tokens=transformer.get("max_seq_length"),
        prompts=config.get("prompts") or {},
        default_prompt=config.get("default_prompt_name"),
    )


def _modes(config: dict[str, Any]) -> tuple[PoolingMode, ...]:
    stated: PoolingMode | list[PoolingMode] | None = config.get("pooling_mode")
    if isinstance(stated, str):
        return (stated,)
    if stated:
        return tuple(stated)
    return tuple(mode for flag, mode in _FLAGS.items() if config.get(flag)) or ("mean",)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _mean(hidden: Floats, mask: Floats) -> Floats:
    mean: Floats = _sum(hidden, mask) / np.maximum(mask.sum(1, keepdims=True), 1e-9)
    return mean


def _mean_sqrt(hidden: Floats, mask: Floats) -> Floats:
    scaled: Floats = _sum(hidden, mask) / np.sqrt(np.maximum(mask.sum(1, keepdims=True), 1e-9))
    return scaled


def _weighted_mean(hidden: Floats, mask: Floats) -> Floats:
    return _mean(hidden, mask * np.arange(1, mask.shape[1] + 1, dtype=np.float32))


def _max(hidden: Floats, mask: Floats) -> Floats:
    peak: Floats = np.where(mask[:, :, None] > 0, hidden, np.float32(-1e9)).max(1)
    return peak


def _cls(hidden: Floats, _: Floats) -> Floats:
    # A copy: the hidden state may be memory that the next forward pass writes into.
    first: Floats = hidden[:, 0].copy()
    return first


def _last(hidden: Floats, mask: Floats) -> Floats:
    last: Floats = hidden[np.arange(len(hidden)), mask.sum(1).astype(np.intp) - 1]
    return last


def _sum(hidden: Floats, mask: Floats) -> Floats:
    total: Floats = np.matmul(mask[:, None, :], hidden)[:, 0]
    return total


_POOL: dict[PoolingMode, Callable[[Floats, Floats], Floats]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}


def pool(hidden: Floats, mask: Floats, modes: tuple[PoolingMode, ...]) -> Floats:
    """Token vectors (n, length, d), padded on the right, to text vectors (n, d × modes)."""
    vectors = [_POOL[mode](hidden, mask) for mode in modes]
    return vectors[0] if len(vectors) == 1 else np.concatenate(vectors, axis=1)
