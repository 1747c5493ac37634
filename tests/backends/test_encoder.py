"""The short way through an embedding model, round a forward pass that notes what it was given."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoConfig

from standpipe_server.backends import encoder
from standpipe_server.backends.encoder import EncoderRunner, Forward, Inputs, check_inputs
from standpipe_server.backends.reading import TextReader
from standpipe_server.errors import InvalidInputError, ModelLoadError
from standpipe_server.interfaces import Call, Output
from standpipe_server.programs import Cut, Floats
from standpipe_server.tasks.embed_text import EmbedHead, EmbedParameters

NAMES = frozenset({"input_ids", "attention_mask"})


class Recorder:
    """A forward pass whose every token vector is the token's id."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, inputs: Inputs) -> list[Floats]:
        assert NAMES == set(inputs)
        ids = inputs["input_ids"]
        self.shapes.append(ids.shape)
        return [np.repeat(ids[:, :, None].astype(np.float32), 32, axis=2)]


def runner_of(folder: Path, forward: Forward | None = None, wide: Forward | None = None) -> EncoderRunner:
    reader = TextReader(folder, AutoConfig.from_pretrained(folder))
    heads: dict[type, Any] = {EmbedParameters: EmbedHead(reader)}
    return EncoderRunner(heads, reader, NAMES, forward or Recorder(), wide)


def calls(texts: list[str], **parameters: Any) -> list[Call]:
    return [Call(text, EmbedParameters(**parameters)) for text in texts]


def vectors(runner: EncoderRunner, texts: list[str], **parameters: Any) -> list[Floats]:
    outcomes = runner.run(calls(texts, **parameters), alone=True)
    assert [] == [outcome for outcome in outcomes if not isinstance(outcome, Output)]
    return [outcome.value for outcome in outcomes if isinstance(outcome, Output)]


def test_a_batch_longer_than_was_estimated_runs_in_parts_within_the_bound(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["the dog " * n for n in (1, 20, 2, 40, 3, 1, 30, 2)]
    alone = [vectors(runner_of(tiny_bert), [text])[0] for text in texts]
    monkeypatch.setattr(encoder, "_MAX_PADDED", 100)
    forward = Recorder()
    together = vectors(runner_of(tiny_bert, forward), texts)
    assert 8 == sum(rows for rows, _ in forward.shapes)
    assert all(rows * length <= 100 for rows, length in forward.shapes)
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_a_lone_batch_takes_the_wide_form_and_others_the_narrow_one(tiny_bert: Path) -> None:
    narrow, wide = Recorder(), Recorder()
    runner = runner_of(tiny_bert, narrow, wide)
    runner.run(calls(["a"]), alone=True)
    assert (0, 1) == (len(narrow.shapes), len(wide.shapes))
    runner.run(calls(["a"]), alone=False)
    assert (1, 1) == (len(narrow.shapes), len(wide.shapes))


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "lasttoken"])
def test_an_answer_outlives_the_memory_that_the_next_batch_is_written_into(
    tiny_bert: Path, pooling: str
) -> None:
    """OpenVINO's requests give out their own memory."""
    memory = np.zeros((4, 64, 32), np.float32)

    def forward(inputs: Inputs) -> list[Floats]:
        rows, length = inputs["input_ids"].shape
        memory[:rows, :length] = inputs["input_ids"][:, :, None]
        return [memory[:rows, :length]]

    (first,) = vectors(runner_of(tiny_bert, forward), ["water"], pooling=pooling, normalize=False)
    before = first.copy()
    memory[:] = -1
    np.testing.assert_array_equal(before, first)


def test_only_the_text_that_is_too_long_fails_where_truncating_is_off(tiny_bert: Path) -> None:
    fine, long, also_fine = runner_of(tiny_bert).run(
        calls(["water", "the dog " * 64, "pipe"], cut=Cut(truncate=False)), alone=False
    )
    assert isinstance(long, InvalidInputError)
    assert "the text has 130 tokens, more than the model's 64" == str(long)
    assert isinstance(fine, Output)
    assert isinstance(also_fine, Output)


def test_tokens_count_what_was_read_and_not_the_padding(tiny_bert: Path) -> None:
    outcomes = runner_of(tiny_bert).run(calls(["the dog", "the lazy dog", "the " * 500]), alone=False)
    assert [4, 5, 64] == [outcome.tokens for outcome in outcomes if isinstance(outcome, Output)]


def files_of(tiny_bert: Path, folder: Path, files: dict[str, Any]) -> Path:
    """The model, with files of sentence-transformers."""
    shutil.copytree(tiny_bert, folder, dirs_exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


MODULES = [{"path": "", "type": "sentence_transformers.models.Transformer"}]


def test_a_prompt_of_the_model_goes_before_each_text(tiny_bert: Path, tmp_path: Path) -> None:
    prompts = {"prompts": {"query": "the ", "none": ""}, "default_prompt_name": "none"}
    files = {"modules.json": MODULES, "config_sentence_transformers.json": prompts}
    prompted = runner_of(files_of(tiny_bert, tmp_path, files))
    plain = runner_of(tiny_bert)
    np.testing.assert_array_equal(
        vectors(prompted, ["dog"], prompt_name="query"), vectors(plain, ["the dog"])
    )
    np.testing.assert_array_equal(vectors(prompted, ["dog"]), vectors(plain, ["dog"]))
    (error,) = prompted.run(calls(["dog"], prompt_name="passage"), alone=False)
    assert isinstance(error, InvalidInputError)
    assert ("prompt_name", "the model has no prompt 'passage'; it has: query, none") == (
        error.field,
        str(error),
    )


def test_the_models_own_files_may_lower_its_limit_of_tokens(tiny_bert: Path, tmp_path: Path) -> None:
    files = {"modules.json": MODULES, "sentence_bert_config.json": {"max_seq_length": 9}}
    folder = files_of(tiny_bert, tmp_path, files)
    (lowered,) = runner_of(folder).run(calls(["the " * 500]), alone=False)
    assert isinstance(lowered, Output)
    assert 9 == lowered.tokens


@pytest.mark.parametrize("asked", [1, 31, 32])
def test_dimensions_are_cut_before_the_vector_gets_its_length(tiny_bert: Path, asked: int) -> None:
    runner = runner_of(tiny_bert)
    (vector,) = vectors(runner, ["dog"], dimensions=asked, normalize=True)
    (whole,) = vectors(runner, ["dog"], normalize=False)
    np.testing.assert_allclose(vector, whole[:asked] / np.linalg.norm(whole[:asked]), rtol=1e-6)


def test_more_dimensions_than_the_model_has_are_refused(tiny_bert: Path) -> None:
    (error,) = runner_of(tiny_bert).run(calls(["dog"], dimensions=33), alone=False)
    assert isinstance(error, InvalidInputError)
    assert ("dimensions", "33 dimensions were asked for; the model has 32") == (error.field, str(error))


def test_a_model_that_reads_more_than_text_is_refused() -> None:
    check_inputs(NAMES)
    with pytest.raises(ModelLoadError, match=r"^it takes pixel_values, not served"):
        check_inputs(NAMES | {"pixel_values"})
