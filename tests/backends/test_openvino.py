"""OpenVINO on a tiny model: exported once, compiled as asked, equal to torch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from standpipe_server.backends.load import load
from standpipe_server.backends.openvino.export import exported
from standpipe_server.backends.sources import Source
from standpipe_server.errors import ExportError, ModelLoadError
from standpipe_server.interfaces import Call, HintName, LoadedModel, ModelSpec, Output
from standpipe_server.tasks import program_for
from standpipe_server.tasks.embed_text import EmbedParameters
from tiny_models import save_tiny_encoder, save_tiny_llama, save_tiny_marian

TASK = "feature-extraction"
CALLS = [Call(text, EmbedParameters()) for text in ("water", "the quick brown fox", "")]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One cache for this module's tests: the second to ask finds what the first exported."""
    folder = tmp_path_factory.getbasetemp() / "openvino-cache"
    monkeypatch.setenv("STANDPIPE_CACHE", str(folder))
    return folder


def loaded(source: Path, steps: list[str], hint: HintName = "auto", backend: str = "openvino") -> LoadedModel:
    chosen = {
        "openvino": ModelSpec(
            "tiny", str(source), (TASK,), backend="openvino", hint=hint, threads=2, dtype="fp32"
        ),
        "torch": ModelSpec("tiny", str(source), (TASK,), backend="torch", dtype="fp32"),
    }
    return load(chosen[backend], program_for((TASK,)), steps.append)


def vectors(model: LoadedModel, runner: int, *, alone: bool) -> list[np.ndarray]:
    outcomes = model.runners[runner].run(CALLS, alone=alone)
    return [outcome.value for outcome in outcomes if isinstance(outcome, Output)]


def test_every_runner_in_both_forms_equals_torch(tiny_bert: Path) -> None:
    oracle = vectors(loaded(tiny_bert, [], backend="torch"), 0, alone=True)
    model = loaded(tiny_bert, [])
    assert 2 == len(model.runners)
    for runner in range(2):
        for alone in (True, False):
            np.testing.assert_allclose(vectors(model, runner, alone=alone), oracle, atol=1e-4)


def test_a_source_is_exported_once_and_again_when_its_files_change(tiny_bert: Path, cache: Path) -> None:
    def exports() -> int:
        return len(list((cache / "openvino").iterdir()))

    loaded(tiny_bert, [])
    before = exports()
    steps: list[str] = []
    loaded(tiny_bert, steps)
    assert (["compiling"], before) == (steps, exports())
    (tiny_bert / "note.txt").write_text("changed")
    try:
        loaded(tiny_bert, steps)
    finally:
        (tiny_bert / "note.txt").unlink()
    assert before + 1 == exports()


@pytest.mark.parametrize(
    ("save", "task", "ending"),
    [
        (save_tiny_encoder, TASK, nullcontext()),
        (save_tiny_llama, "text-generation", nullcontext()),
        (save_tiny_marian, "translation", pytest.raises(ExportError)),
    ],
)
def test_an_export_leaves_nothing_behind_however_it_ends(
    save: Callable[[Path], Path],
    task: str,
    ending: AbstractContextManager[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Optimum makes a folder of its own for it, as large as the model."""
    source, temporary, cache = (tmp_path / name for name in ("source", "temporary", "cache"))
    save(source)
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("STANDPIPE_CACHE", str(cache))
    with ending:
        spec = ModelSpec("tiny", str(source), (task,))
        exported(spec, Source(source, ""), program_for((task,)).kind, lambda step: None)
    assert [] == list(temporary.iterdir())
    assert [] == list((cache / "openvino").glob(".export-*"))


@pytest.mark.parametrize(("hint", "runners"), [("latency", 1), ("throughput", 2), ("auto", 2)])
def test_the_hint_says_how_many_batches_run_side_by_side(
    tiny_bert: Path, hint: HintName, runners: int
) -> None:
    assert runners == len(loaded(tiny_bert, [], hint).runners)


def test_a_folder_that_is_no_model_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelLoadError, match="model 'tiny'"):
        loaded(tmp_path, [])
