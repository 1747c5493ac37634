"""Where Standpipe keeps what it fetched or made."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """The user's cache folder for Standpipe; the environment variable STANDPIPE_CACHE names another."""
    return Path(os.environ.get("STANDPIPE_CACHE") or user_cache_path("standpipe", appauthor=False))


def keep(made: Path, folder: Path) -> None:
    """Move a finished folder to its place in the cache, all at once.

    Another process may have been quicker: what it made is as good, and stays.
    """
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
