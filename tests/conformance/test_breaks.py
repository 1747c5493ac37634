"""Whether the table would notice: servers with one thing broken on purpose, asked by every language."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import pytest

from conformance.broken_server import BREAKS
from conformance.cases import cases
from conformance.conftest import Proxied
from conformance.judging import faults
from conformance.languages import SECONDS, WANTED, Language, each_language, runnable
from standpipe_bench.server_process import server_process
from standpipe_server import demo_models

DETAILS = "BadRequest names the field, ErrorInfo the reason and the caller's request id"
CHARACTERS = "Unicode of every plane is streamed in whole characters"
ORDER = "a stream's text comes in order"
NOTICED: Mapping[str, Set[str]] = {
    "drop-a-detail": {DETAILS},
    "split-a-character": {CHARACTERS},
    "reorder-a-stream": {CHARACTERS, ORDER},
}
ASKED = [case for case in cases() if case.name in (DETAILS, CHARACTERS, ORDER)]

pytestmark = [
    pytest.mark.skipif(WANTED not in os.environ, reason=f"{WANTED} isn't set: make conformance"),
    pytest.mark.timeout(SECONDS),
]


@pytest.fixture(scope="module", params=BREAKS)
def broken(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """What is broken, and the server's address."""
    folders = [
        f"--model={recipe.name}={demo_models.fetch(recipe, lambda done, total: None)}:{recipe.tasks[0]}"
        for recipe in demo_models.RECIPES
        if recipe.tasks[0] in ("feature-extraction", "text-generation")
    ]
    program = [str(Path(__file__).with_name("broken_server.py")), request.param]
    with server_process([*folders, "--log-level", "warning"], program=program) as server:
        yield request.param, server.address


@each_language
def test_what_is_broken_is_noticed_and_nothing_else(
    language: Language, broken: tuple[str, str], proxied: Proxied, tmp_path: Path
) -> None:
    runnable(language)
    what, address = broken
    reported = language.run(proxied(address) if language.proxied else address, ASKED, tmp_path)
    assert NOTICED[what] == {case.name for case in ASKED if faults(case, reported[case.name])}
