from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from standpipe_server.errors import ModelLoadError
from standpipe_server.programs import Floats
from standpipe_server.tasks.sentence import PoolingMode, Recipe, pool, read_recipe
from standpipe_server.tasks.vectors import normalize

LENGTHS = [1, 2, 5, 7]
DIMENSIONS = 3
TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}


def batch() -> tuple[Floats, Floats]:
    """Token vectors of texts of several lengths, with nonsense where they are padded, and their mask."""
    random = np.random.default_rng(7)
    hidden = random.normal(size=(len(LENGTHS), max(LENGTHS), DIMENSIONS)).astype(np.float32)
    mask = np.zeros(hidden.shape[:2], np.float32)
    for row, length in enumerate(LENGTHS):
        mask[row, :length] = 1
        hidden[row, length:] = 1e6
    return hidden, mask


def pooled_by_hand(tokens: list[list[float]], mode: PoolingMode) -> list[float]:
    columns = list(zip(*tokens, strict=True))
    places = range(1, len(tokens) + 1)
    match mode:
        case "cls":
            return tokens[0]
        case "lasttoken":
            return tokens[-1]
        case "max":
            return [max(column) for column in columns]
        case "mean":
            return [sum(column) / len(tokens) for column in columns]
        case "mean_sqrt_len_tokens":
            return [sum(column) / math.sqrt(len(tokens)) for column in columns]
        case "weightedmean":
            weighted = [
                [place * value for place, value in zip(places, column, strict=True)] for column in columns
            ]
            return [sum(column) / sum(places) for column in weighted]


def expected_of(hidden: Floats, mode: PoolingMode) -> Floats:
    rows = [
        pooled_by_hand(text[:length].tolist(), mode) for text, length in zip(hidden, LENGTHS, strict=True)
    ]
    return np.array(rows, np.float32)


MODES: list[PoolingMode] = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


@pytest.mark.parametrize("mode", MODES)
def test_pooling_sees_a_texts_own_tokens_and_no_padding(mode: PoolingMode) -> None:
    hidden, mask = batch()
    np.testing.assert_allclose(pool(hidden, mask, (mode,)), expected_of(hidden, mode), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_pooling_a_text_gives_the_same_alone_and_beside_longer_ones(mode: PoolingMode) -> None:
    hidden, mask = batch()
    for row, length in enumerate(LENGTHS):
        lone = pool(hidden[row : row + 1, :length], mask[row : row + 1, :length], (mode,))
        np.testing.assert_allclose(pool(hidden, mask, (mode,))[row], lone[0], rtol=1e-5, atol=1e-6)


def test_several_modes_are_joined_end_to_end_in_their_order() -> None:
    hidden, mask = batch()
    joined = np.concatenate([expected_of(hidden, "max"), expected_of(hidden, "cls")], axis=1)
    np.testing.assert_array_equal(pool(hidden, mask, ("max", "cls")), joined)


@pytest.mark.parametrize("mode", MODES)
def test_pooling_keeps_single_precision(mode: PoolingMode) -> None:
    assert np.float32 == pool(*batch(), (mode,)).dtype


def test_normalized_vectors_have_length_one_and_keep_their_direction() -> None:
    vectors = np.array([[3, 4], [-5, 12], [0.001, 0]], np.float32)
    unit = np.array([[0.6, 0.8], [-5 / 13, 12 / 13], [1, 0]], np.float32)
    np.testing.assert_allclose(normalize(vectors), unit, rtol=1e-6)


def test_normalizing_a_vector_of_nothing_leaves_nothing() -> None:
    np.testing.assert_array_equal(normalize(np.zeros((1, 3), np.float32)), [[0, 0, 0]])


def folder_of(path: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content), encoding="utf-8")
    return path


def pooling_of(tmp_path: Path, config: dict[str, Any]) -> tuple[PoolingMode, ...]:
    files = {"modules.json": [TRANSFORMER, POOLING], "1_Pooling/config.json": config}
    return read_recipe(folder_of(tmp_path, files)).pooling


def test_a_folder_without_modules_is_a_plain_mean(tmp_path: Path) -> None:
    assert Recipe(pooling=("mean",), normalize=False) == read_recipe(tmp_path)


@pytest.mark.parametrize(
    ("flag", "mode"),
    [
        ("pooling_mode_cls_token", "cls"),
        ("pooling_mode_max_tokens", "max"),
        ("pooling_mode_mean_tokens", "mean"),
        ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
        ("pooling_mode_weightedmean_tokens", "weightedmean"),
        ("pooling_mode_lasttoken", "lasttoken"),
    ],
)
def test_the_older_files_flag_a_pooling_mode(tmp_path: Path, flag: str, mode: str) -> None:
    flags = {"word_embedding_dimension": 3, "pooling_mode_mean_tokens": False, flag: True}
    assert (mode,) == pooling_of(tmp_path, flags)


def test_the_older_files_may_flag_several_modes(tmp_path: Path) -> None:
    flags = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}
    assert ("cls", "mean") == pooling_of(tmp_path, flags)


@pytest.mark.parametrize("mode", MODES)
def test_the_newer_files_name_a_pooling_mode(tmp_path: Path, mode: PoolingMode) -> None:
    assert (mode,) == pooling_of(tmp_path, {"embedding_dimension": 3, "pooling_mode": mode})


def test_the_newer_files_may_name_several_modes_in_any_order(tmp_path: Path) -> None:
    assert ("mean", "cls") == pooling_of(tmp_path, {"pooling_mode": ["mean", "cls"]})


def test_pooling_that_names_no_mode_is_a_mean(tmp_path: Path) -> None:
    assert ("mean",) == pooling_of(tmp_path, {"word_embedding_dimension": 3})


def test_the_files_of_a_model_make_its_recipe(tmp_path: Path) -> None:
    files = {
        "modules.json": [TRANSFORMER, POOLING, NORMALIZE],
        "1_Pooling/config.json": {"pooling_mode_cls_token": True},
        "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": True},
        "config_sentence_transformers.json": {"prompts": {"query": "q: "}, "default_prompt_name": "query"},
    }
    expected = Recipe(
        pooling=("cls",),
        normalize=True,
        lower_case=True,
        max_tokens=256,
        prompts={"query": "q: "},
        default_prompt="query",
    )
    assert expected == read_recipe(folder_of(tmp_path, files))


def test_modules_are_known_by_the_last_part_of_their_type(tmp_path: Path) -> None:
    newer = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"
    files = {
        "modules.json": [TRANSFORMER, {**POOLING, "type": newer}],
        "1_Pooling/config.json": {"pooling_mode": "lasttoken"},
    }
    assert Recipe(pooling=("lasttoken",)) == read_recipe(folder_of(tmp_path, files))


def test_a_model_with_a_dense_layer_is_refused_by_name(tmp_path: Path) -> None:
    dense = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    files = {"modules.json": [TRANSFORMER, POOLING, dense], "1_Pooling/config.json": {}}
    with pytest.raises(ModelLoadError, match=r"its .* module Dense isn't served"):
        read_recipe(folder_of(tmp_path, files))


def test_a_model_that_pools_without_its_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="without the prompt"):
        pooling_of(tmp_path, {"pooling_mode": "mean", "include_prompt": False})
