"""From a spec to a model: where its files come from, and which backend takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from huggingface_hub import constants

from standpipe_server.backends.load import load
from standpipe_server.backends.openvino import export
from standpipe_server.errors import ExportError, ModelLoadError
from standpipe_server.interfaces import BackendName, Call, LoadedModel, ModelSpec, Output
from standpipe_server.tasks import MODEL_TASKS, program_for
from standpipe_server.tasks.answer_table_question import TableParameters, TableQuestions
from standpipe_server.tasks.embed_text import EmbedParameters
from standpipe_server.tasks.tokenize import TokenizeParameters
from tiny_models import BIO, NLI, save_hub_cache, save_tiny_encoder, save_tiny_marian, save_tiny_tapas

EMBED = ("feature-extraction",)
HUB_ID = "org/name"
REVISION = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
WEIGHTS = "model.safetensors"


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Hub's cache, empty, with no Hub behind it; and a cache of exported models."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "hub"


def loaded(
    source: Path | str, tasks: tuple[str, ...] = EMBED, backend: BackendName = "torch", revision: str = ""
) -> LoadedModel:
    spec = ModelSpec("m", str(source), tasks, revision, backend, device="cpu", dtype="fp32", threads=1)
    return load(spec, program_for(tasks), lambda _: None)


def refusal(source: Path | str, *args: Any, **options: Any) -> str:
    with pytest.raises(ModelLoadError) as caught:
        loaded(source, *args, **options)
    return str(caught.value)


def vector(model: LoadedModel) -> Any:
    (outcome,) = model.runners[0].run([Call("water", EmbedParameters())], alone=True)
    assert isinstance(outcome, Output)
    return outcome.value


@pytest.mark.parametrize("revision", ["", "main", REVISION])
def test_a_model_comes_from_the_hubs_cache_by_its_id_and_revision(
    hub: Path, tiny_bert: Path, revision: str
) -> None:
    save_hub_cache(hub, tiny_bert, HUB_ID, REVISION)
    model = loaded(HUB_ID, revision=revision)
    assert REVISION == model.info.revision
    np.testing.assert_array_equal(vector(loaded(tiny_bert)), vector(model))


def test_a_folder_has_the_revision_that_the_configuration_says(tiny_bert: Path) -> None:
    assert ("", "r1") == (loaded(tiny_bert).info.revision, loaded(tiny_bert, revision="r1").info.revision)


def test_weights_may_lie_in_several_files(hub: Path, tiny_bert: Path, tmp_path: Path) -> None:
    whole = save_hub_cache(hub, sharded(tiny_bert, tmp_path), HUB_ID, REVISION)
    assert not (whole / WEIGHTS).exists()
    np.testing.assert_array_equal(vector(loaded(tiny_bert)), vector(loaded(HUB_ID)))


def sharded(tiny_bert: Path, folder: Path) -> Path:
    """The same model in several files."""
    target = folder / "sharded"
    transformers.AutoModel.from_pretrained(tiny_bert).save_pretrained(target, max_shard_size="30KB")
    for path in tiny_bert.glob("tokenizer*"):
        (target / path.name).write_bytes(path.read_bytes())
    return target


def missing(file: str, revision: str = REVISION) -> str:
    return f"model 'm': {file} of revision {revision} of {HUB_ID} is missing: the Hub's cache "


def test_a_model_that_the_cache_does_not_have_is_refused_with_the_file_and_the_revision(hub: Path) -> None:
    problem = refusal(HUB_ID)
    assert f"{missing('config.json', 'main')}{hub} doesn't have it, and HF_HUB_OFFLINE forbids" in problem


def test_a_revision_that_the_cache_does_not_have_is_refused_by_name(hub: Path, tiny_bert: Path) -> None:
    save_hub_cache(hub, tiny_bert, HUB_ID, REVISION)
    assert missing("config.json", OTHER) in refusal(HUB_ID, revision=OTHER)


@pytest.mark.parametrize("file", ["config.json", WEIGHTS])
def test_a_file_that_the_cache_does_not_have_is_refused_with_its_revision(
    hub: Path, tiny_bert: Path, file: str
) -> None:
    (save_hub_cache(hub, tiny_bert, HUB_ID, REVISION) / file).unlink()
    assert missing(file) in refusal(HUB_ID)


def test_all_files_that_the_cache_does_not_have_are_told_together(hub: Path, tiny_bert: Path) -> None:
    snapshot = save_hub_cache(hub, tiny_bert, HUB_ID, REVISION)
    for file in ("config.json", WEIGHTS):
        (snapshot / file).unlink()
    assert missing(f"config.json, {WEIGHTS}") in refusal(HUB_ID)


def test_shards_that_the_cache_does_not_have_are_told_and_no_others(
    hub: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    snapshot = save_hub_cache(hub, sharded(tiny_bert, tmp_path), HUB_ID, REVISION)
    shards = sorted(snapshot.glob("*.safetensors"))
    assert len(shards) > 2
    for shard in shards[1:3]:
        shard.unlink()
    assert missing(f"{shards[1].name}, {shards[2].name}") in refusal(HUB_ID)


def test_without_a_word_of_being_offline_the_hub_is_to_blame_too(
    tiny_bert: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = save_hub_cache(hub, tiny_bert, HUB_ID, REVISION)
    (snapshot / WEIGHTS).unlink()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(snapshot))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    problem = refusal(HUB_ID)
    assert (
        f"{missing(WEIGHTS)}{hub} doesn't have it, and the Hub doesn't answer or doesn't have it either"
        in problem
    )


@pytest.mark.parametrize("source", ["/nowhere/at/all", "./nowhere", "../nowhere", "~/nowhere-at-all"])
def test_a_path_without_a_folder_is_no_hub_id(source: str) -> None:
    assert f"model 'm': there is no folder {source}" == refusal(source)


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    assert f"model 'm': the folder {tmp_path} has no config.json, nor a model_index.json" == refusal(tmp_path)


@pytest.mark.parametrize("source", ["a/b/c", "org/na me", "-"])
def test_what_is_neither_folder_nor_hub_id_is_refused_in_words(source: str) -> None:
    assert f"model 'm': {source!r} is no folder here, and the Hub doesn't give it" in refusal(source)


@pytest.mark.parametrize("backend", ["torch", "openvino", "auto"])
@pytest.mark.parametrize(
    ("task", "head"),
    [
        ("text-classification", "classifier.bias, classifier.weight"),
        ("token-classification", "classifier.bias, classifier.weight"),
        ("question-answering", "qa_outputs.bias, qa_outputs.weight"),
        ("fill-mask", "cls.predictions."),
    ],
)
def test_a_plain_encoder_is_refused_for_what_it_was_not_trained_for(
    tiny_bert: Path, backend: BackendName, task: str, head: str
) -> None:
    problem = refusal(tiny_bert, (task,), backend)
    assert f"hold no weights for {head}" in problem
    assert "it wasn't trained for this task" in problem


def test_a_plain_encoder_may_lack_what_features_do_not_need(tmp_path: Path) -> None:
    """A classifier's files have no pooler in some families; the features come before it."""
    folder = save_tiny_encoder(tmp_path / "tagger", head="AutoModelForTokenClassification", labels=BIO)
    assert (32,) == vector(loaded(folder)).shape


def test_auto_goes_to_torch_where_optimum_can_not_export_and_the_reason_tells(tmp_path: Path) -> None:
    folder = save_tiny_marian(tmp_path / "marian")
    model = loaded(folder, ("translation",), "auto")
    assert "torch" == model.info.backend
    assert "works on every processor (Optimum can't convert it: " in model.info.reason
    with pytest.raises(ExportError, match="model 'm': Optimum can't convert it: "):
        loaded(folder, ("translation",), "openvino")


@pytest.mark.parametrize(
    "error", [ValueError, OSError, KeyError, NotImplementedError, AttributeError, AssertionError]
)
def test_whatever_the_exporter_raises_is_the_reason_and_leaves_nothing_behind(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(_: Path, target: Path, __: object) -> None:
        (target / "half.xml").write_text("half")
        raise error("no such form")

    monkeypatch.setattr(export, "_export", fail)
    model = loaded(tiny_bert, backend="auto")
    assert ("torch", True) == (model.info.backend, "no such form" in model.info.reason)
    assert "no such form" in refusal(tiny_bert, backend="openvino")
    assert [] == list((tmp_path / "cache" / "openvino").iterdir())


# What the library's tokenizer of tables does with pandas.
@pytest.mark.filterwarnings("ignore:Series.__getitem__ treating keys as positions:FutureWarning")
def test_a_reader_of_tables_runs_on_torch_only_and_has_no_tokenizer_of_texts(tmp_path: Path) -> None:
    folder = save_tiny_tapas(tmp_path / "tapas")
    task = "table-question-answering"
    why = f"Optimum exports no model for {task}"
    assert f"model 'm': openvino fp32 cpu can't be honoured: {why}" == refusal(folder, (task,), "openvino")
    model = loaded(folder, (task,), "auto")
    assert ("torch", None) == (model.info.backend, model.tokenizer)
    assert why in model.info.reason
    question = Call(TableQuestions({"pipe": ["one", "two"]}, ("the pipe?",)), TableParameters())
    (outcome,) = model.runners[0].run([question], alone=True)
    assert isinstance(outcome, Output)
    assert {"answer", "coordinates", "cells", "aggregator"} == set(outcome.value[0])


def test_one_model_serves_all_tasks_of_its_kind(tmp_path: Path) -> None:
    tasks = ("text-classification", "zero-shot-classification")
    folder = save_tiny_encoder(tmp_path / "nli", head="AutoModelForSequenceClassification", labels=NLI)
    model = loaded(folder, tasks)
    for task in (MODEL_TASKS[name] for name in tasks):
        for calls in task.warm_up:
            outcomes = model.runners[0].run(calls, alone=True)
            assert [Output] * len(calls) == [type(outcome) for outcome in outcomes]


def test_a_ranker_has_one_label(tmp_path: Path) -> None:
    folder = save_tiny_encoder(tmp_path / "nli", head="AutoModelForSequenceClassification", labels=NLI)
    assert "its 3 labels don't rank; a ranker has one" in refusal(folder, ("text-ranking",))


def test_a_model_brings_a_tokenizer_of_its_own_beside_it(tiny_bert: Path) -> None:
    model = loaded(tiny_bert)
    assert model.tokenizer is not None
    (outcome,) = model.tokenizer.run([Call("the dog", TokenizeParameters())], alone=True)
    assert isinstance(outcome, Output)
    assert (["[CLS]", "the", "dog", "[SEP]"], 4) == (outcome.value.tokens, outcome.tokens)


def test_a_model_says_what_it_is_and_why(tiny_bert: Path) -> None:
    info = loaded(tiny_bert).info
    assert ("torch", "cpu", "fp32", 64, 32) == (
        info.backend,
        info.device,
        info.dtype,
        info.max_tokens,
        info.dimensions,
    )
    assert "asked for torch fp32 cpu; works on every processor" == info.reason


@pytest.mark.parametrize("config", ["{", "{}", '{"model_type": "unheard-of"}'])
def test_files_that_a_library_does_not_understand_are_refused_in_words(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    assert "model 'm': torch can't load it: " in refusal(tmp_path)


def test_a_backend_whose_library_is_not_installed_says_what_to_install(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "standpipe_server.backends.torch.absent"
    monkeypatch.setitem(
        __import__("standpipe_server.backends").backends.BACKENDS, "torch", f"{module}:Absent"
    )
    assert f"the backend torch needs the package {module}: pip install" in refusal(tiny_bert)
