"""Makes a demo model as its recipe says, and keeps it in the user's cache."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from standpipe_server.demo_models.recipes import Recipe
from standpipe_server.demo_models.sources import Advance, FetchError
from standpipe_server.paths import cache_folder, keep

Say = Callable[[str], None]
"""Told what is done now, in a few words: "converting all-MiniLM-L6-v2"."""


def _nothing(_: str) -> None:
    pass


def fetch(recipe: Recipe, advance: Advance, say: Say = _nothing) -> Path:
    """Folder of a demo model, from the cache where it is there.

    Args:
        recipe: Of the model; those that it builds on are fetched too.
        advance: Told how far a download is.
        say: Told at each step what it is.

    Raises:
        FetchError: The registry can't be reached, gives something else than what was pinned, or what it gave
            can't be converted.
    """
    folder = cache_folder() / "demo-models" / recipe.key
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    bases = [fetch(base, advance, say) for base in recipe.bases]
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".fetch-"))
    try:
        (scratch / "source").mkdir()
        say(f"fetching {recipe.name}")
        source = recipe.source.folder(scratch / "source", advance)
        say(f"converting {recipe.name}")
        _convert(recipe, [*bases, source], scratch / "model")
        keep(scratch / "model", folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _convert(recipe: Recipe, folders: list[Path], target: Path) -> None:
    try:
        recipe.convert(*folders, target)
    except ImportError as error:
        raise FetchError(
            f"can't convert {recipe.name}: {error}; `pip install 'standpipe[server]'` brings what it needs"
        ) from error
    except Exception as error:
        raise FetchError(
            f"can't convert {recipe.name} from {recipe.source.origin}; has a library changed since?\n"
            f"  {type(error).__name__}: {error}"
        ) from error
