"""From a package's files to a folder that loads: exact weights, and nothing that only half fits."""

from __future__ import annotations

import pkgutil
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoTokenizer,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from standpipe_server.demo_models import RECIPES
from standpipe_server.demo_models.converters import plain
from standpipe_server.demo_models.converters.folders import (
    check,
    check_image_model,
    write,
    write_image_model,
)
from standpipe_server.demo_models.converters.onnx_weights import read_onnx
from standpipe_server.demo_models.recipes import Converter

Tensors = dict[str, np.ndarray[Any, Any]]


def read(tmp_path: Path, tensors: Tensors, *nodes: onnx.NodeProto) -> dict[str, ArrayLike]:
    """What the converter reads from a file with these tensors and nodes, as lists."""
    stored = [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()]
    model = helper.make_model(helper.make_graph(list(nodes), "model", [], [], stored))
    onnx.save(model, tmp_path / "model.onnx")
    weights = read_onnx(tmp_path / "model.onnx")
    assert {np.dtype(np.float32)} == {weight.dtype for weight in weights.values()}
    return {name: weight.tolist() for name, weight in weights.items()}


def quantized(
    name: str, values: ArrayLike, scale: ArrayLike, zero: ArrayLike, dtype: type = np.int8
) -> Tensors:
    return {
        f"{name}_quantized": np.array(values, dtype),
        f"{name}_scale": np.array(scale, np.float32),
        f"{name}_zero_point": np.array(zero, dtype),
    }


def test_what_kept_its_name_and_type_is_taken_as_it_is_and_constants_are_not(tmp_path: Path) -> None:
    tensors: Tensors = {
        "body.norm.weight": np.array([[1.5, -2.0]], np.float32),
        "body.norm.bias": np.array([0.25], np.float16),
        "body.Constant_output": np.array([7.0], np.float32),
    }
    assert {"body.norm.weight": [[1.5, -2.0]], "body.norm.bias": [0.25]} == read(tmp_path, tensors)


def test_a_table_with_one_scale_is_dequantized_and_not_transposed(tmp_path: Path) -> None:
    tensors = quantized("words.weight", [[0, 128], [130, 255]], 0.5, 128, np.uint8)
    node = helper.make_node("Gather", ["words.weight_quantized", "ids"], ["y"], name="/words/Gather")
    assert {"words.weight": [[-64.0, 0.0], [1.0, 63.5]]} == read(tmp_path, tensors, node)


def test_a_matrix_without_a_name_gets_that_of_the_module_that_multiplies_with_it(tmp_path: Path) -> None:
    tensors = quantized("onnx::MatMul_7", [[1, 2], [3, 4]], 2.0, 1)
    inputs = ["x_quantized", "onnx::MatMul_7_quantized", "x_zero_point", "onnx::MatMul_7_zero_point"]
    node = helper.make_node("MatMulInteger", inputs, ["y"], name="/body/layer.0/dense/MatMul_quant")
    assert {"body.layer.0.dense.weight": [[0.0, 4.0], [2.0, 6.0]]} == read(tmp_path, tensors, node)


def test_columns_with_scales_of_their_own_are_dequantized_before_the_matrix_is_transposed(
    tmp_path: Path,
) -> None:
    tensors = quantized("head.weight", [[1, 2], [3, 4]], [0.5, 10.0], [0, 1])
    node = helper.make_node(
        "MatMulInteger", ["x", "head.weight_quantized"], ["y"], name="/head/Gemm_MatMul_quant"
    )
    assert {"head.weight": [[0.5, 1.5], [10.0, 30.0]]} == read(tmp_path, tensors, node)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"axis": 0}, [[0.5, 30.0], [1.0, 40.0]]),
        ({"axis": 1}, [[0.5, 1.5], [20.0, 40.0]]),
        ({}, [[0.5, 1.5], [20.0, 40.0]]),
    ],
)
def test_a_matrix_that_is_dequantized_in_the_graph_has_its_scales_along_the_axis_said_there(
    tmp_path: Path, said: dict[str, Any], expected: list[list[float]]
) -> None:
    tensors = quantized("onnx::MatMul_7", [[1, 2], [3, 4]], [0.5, 10.0], [0, 0])
    named = [
        f"onnx::MatMul_7_{part}" for part in ("quantized", "scale", "zero_point", "DequantizeLinear_Output")
    ]
    dequantize = helper.make_node("DequantizeLinear", named[:3], named[3:], **said)
    multiply = helper.make_node("MatMul", ["x", named[3]], ["y"], name="/head/MatMul")
    assert {"head.weight": expected} == read(tmp_path, tensors, dequantize, multiply)


@pytest.mark.parametrize(
    ("transposes", "expected"), [(1, [[1.0, 2.0], [3.0, 4.0]]), (0, [[1.0, 3.0], [2.0, 4.0]])]
)
def test_a_gemm_that_transposes_its_matrix_itself_has_it_as_torch_does(
    tmp_path: Path, transposes: int, expected: list[list[float]]
) -> None:
    tensors: Tensors = {
        "head.weight": np.array([[1, 2], [3, 4]], np.float32),
        "head.bias": np.array([5, 6], np.float32),
    }
    node = helper.make_node(
        "Gemm", ["x", "head.weight", "head.bias"], ["y"], name="Gemm_12", transB=transposes
    )
    assert {"head.weight": expected, "head.bias": [5.0, 6.0]} == read(tmp_path, tensors, node)


def test_products_of_what_was_computed_are_no_weights(tmp_path: Path) -> None:
    tensors: Tensors = {"norm.bias": np.array([0.0], np.float32)}
    node = helper.make_node("MatMul", ["queries", "keys"], ["y"], name="/attention/MatMul")
    assert {"norm.bias": [0.0]} == read(tmp_path, tensors, node)


def test_what_was_written_is_the_weights_given_and_a_tokenizer_that_neither_pads_nor_cuts(
    tiny_bert: Path, tmp_path: Path
) -> None:
    model, tokenizer = AutoModel.from_pretrained(tiny_bert), AutoTokenizer.from_pretrained(tiny_bert)
    tokenizer.backend_tokenizer.enable_padding(length=60)
    tokenizer.backend_tokenizer.enable_truncation(3)
    weights = {name: np.full(tensor.shape, 0.125, np.float32) for name, tensor in model.state_dict().items()}
    write(model, weights, tokenizer, tmp_path / "made")
    check(tmp_path / "made", AutoModel)
    assert {0.125} == {
        value
        for w in load_file(tmp_path / "made" / "model.safetensors").values()
        for value in w.flatten().tolist()
    }
    raw = AutoTokenizer.from_pretrained(tmp_path / "made").backend_tokenizer
    assert 6 == len(raw.encode("the quick brown fox").ids)


@pytest.mark.parametrize("change", ["missing", "too many"])
def test_weights_that_fit_only_in_part_are_refused_and_nothing_is_written(
    tiny_bert: Path, tmp_path: Path, change: str
) -> None:
    model, tokenizer = AutoModel.from_pretrained(tiny_bert), AutoTokenizer.from_pretrained(tiny_bert)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    if change == "missing":
        del weights["pooler.dense.bias"]
    else:
        weights["pooler.dense.scale"] = np.zeros(1, np.float32)
    with pytest.raises(RuntimeError, match=r"pooler\.dense"):
        write(model, weights, tokenizer, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def changed(source: Path, target: Path, **tensors: torch.Tensor | None) -> Path:
    """A model's folder with some of its weights replaced, added, or where None is given left out."""
    shutil.copytree(source, target)
    weights = {**load_file(source / "model.safetensors"), **tensors}
    kept = {name: tensor for name, tensor in weights.items() if tensor is not None}
    save_file(kept, target / "model.safetensors", {"format": "pt"})
    return target


def test_positions_that_an_older_library_saved_do_no_harm(tiny_bert: Path, tmp_path: Path) -> None:
    check(
        changed(tiny_bert, tmp_path / "m", **{"embeddings.position_ids": torch.arange(64)[None]}), AutoModel
    )


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("pooler.dense.bias", None, "missing_keys.*pooler.dense.bias"),
        ("pooler.dense.scale", torch.zeros(1), "unexpected_keys.*pooler.dense.scale"),
        ("encoder.layer.1.output.dense.bias", torch.full((32,), torch.nan), "something else than numbers"),
    ],
)
def test_a_folder_that_does_not_load_whole_or_does_not_answer_is_refused(
    tiny_bert: Path, tmp_path: Path, name: str, tensor: torch.Tensor | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        check(changed(tiny_bert, tmp_path / "m", **{name: tensor}), AutoModel)


@pytest.fixture(scope="module")
def tiny_vit() -> Any:
    """A model with random weights that reads images of 16 pixels."""
    config = ViTConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16
    )
    return ViTForImageClassification(config)


SMALL = ViTImageProcessorPil(size={"height": 16, "width": 16})


def test_a_folder_of_an_image_model_has_the_weights_given_and_what_reads_its_images(
    tiny_vit: Any, tmp_path: Path
) -> None:
    weights = {name: torch.full_like(tensor, 0.125) for name, tensor in tiny_vit.state_dict().items()}
    write_image_model(tiny_vit, weights, SMALL, tmp_path / "made")
    check_image_model(tmp_path / "made", AutoModelForImageClassification)
    made = load_file(tmp_path / "made" / "model.safetensors")
    assert weights.keys() == made.keys()
    assert {0.125} == {value for tensor in made.values() for value in tensor.flatten().tolist()}
    del weights["classifier.bias"]
    with pytest.raises(RuntimeError, match=r"classifier\.bias"):
        write_image_model(tiny_vit, weights, SMALL, tmp_path / "not made")
    assert not (tmp_path / "not made").exists()


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("classifier.bias", None, "missing_keys.*classifier.bias"),
        ("classifier.scale", torch.zeros(1), "unexpected_keys.*classifier.scale"),
        ("vit.layernorm.bias", torch.full((16,), torch.nan), "something else than numbers"),
    ],
)
def test_a_folder_of_an_image_model_that_does_not_load_whole_or_does_not_answer_is_refused(
    tiny_vit: Any, tmp_path: Path, name: str, tensor: torch.Tensor | None, words: str
) -> None:
    tiny_vit.save_pretrained(tmp_path / "whole")
    SMALL.save_pretrained(tmp_path / "whole")
    with pytest.raises(ValueError, match=words):
        check_image_model(
            changed(tmp_path / "whole", tmp_path / "m", **{name: tensor}), AutoModelForImageClassification
        )


def test_a_plain_folder_is_taken_over_whole_but_for_pickles(tiny_bert: Path, tmp_path: Path) -> None:
    source = changed(tiny_bert, tmp_path / "source")
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling" / "config.json").write_text("{}")
    (source / "heads.pt").write_bytes(b"")
    plain.encoder(source, tmp_path / "taken")
    files = {path.relative_to(source) for path in source.rglob("*")} - {Path("heads.pt")}
    assert files == {path.relative_to(tmp_path / "taken") for path in (tmp_path / "taken").rglob("*")}


def test_an_encoder_without_a_head_is_not_taken_for_one_that_fills_in_words(
    tiny_bert: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"BertForMaskedLM.*missing_keys.*cls\.predictions"):
        plain.masked_lm(tiny_bert, tmp_path / "taken")
    model = AutoModelForMaskedLM.from_pretrained(tiny_bert)
    model.save_pretrained(tmp_path / "whole")
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path / "whole")
    plain.masked_lm(tmp_path / "whole", tmp_path / "taken whole")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_recipe_names_a_converter_that_is_there(recipe: Any) -> None:
    assert isinstance(recipe.convert, Converter)
    assert callable(pkgutil.resolve_name(f"standpipe_server.demo_models.converters.{recipe.convert.name}"))
