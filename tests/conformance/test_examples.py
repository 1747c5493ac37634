"""The example of each language, as a newcomer runs it, and with one of two servers killed in between."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from conformance.cases import EXAMPLES
from conformance.languages import CLIENTS, LANGUAGES, runnable, wanted
from conformance.relay import relay
from standpipe_bench.server_process import ServerProcess

SECONDS = 60.0
SAID = (
    r"embed: \d+ vectors? of 384 numbers",
    r"classify: POSITIVE 1\.00",
    r"chat: \S.+",
    r"transcribe: Water stands ready in the pipe\.",
    r"overload: .*\d.*",
)
SOURCES = {
    "python": "example.py",
    "typescript": "example.ts",
    "web": "example.ts",
    "go": "example/main.go",
    "java": "Example.java",
    "cpp": "example.cc",
    "ruby": "example.rb",
}
# Its two clients make the same calls, and the browser's is a page.
WITH_EXAMPLES = [one for one in LANGUAGES if one.name in SOURCES and not one.proxied]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("speech") / "speech.ogg"
    example = json.loads((EXAMPLES / "TranscribeAudio.json").read_text(encoding="utf-8"))
    file.write_bytes(base64.b64decode(example["audios"][0]["content"]))
    return file


@pytest.fixture(params=[one for one in WITH_EXAMPLES if wanted(one)], ids=lambda language: language.name)
def example(request: pytest.FixtureRequest) -> list[str]:
    """What starts a language's example."""
    language = runnable(request.param)
    if not language.built:
        return [sys.executable, str(CLIENTS / "python" / SOURCES["python"])]
    return [str(CLIENTS / language.name / "build" / "example")]


def lines(printed: str) -> Iterator[tuple[str, str]]:
    """Each pattern with what should fit it: a chat's answer may have lines of its own."""
    parts = re.split(r"^(?=(?:classify|chat|transcribe|overload): )", printed, flags=re.MULTILINE)
    assert len(parts) == len(SAID), printed
    return zip(SAID, (part.strip() for part in parts), strict=True)


def test_an_example_makes_its_calls(example: list[str], default_server: ServerProcess, speech: Path) -> None:
    ended = subprocess.run(
        [*example, default_server.address, str(speech)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert 0 == ended.returncode, ended.stderr
    assert all(re.fullmatch(pattern, said, re.DOTALL) for pattern, said in lines(ended.stdout)), ended.stdout


@pytest.mark.parametrize("doomed", [0, 1])
def test_an_example_survives_one_of_two_servers(
    example: list[str], doomed: int, default_server: ServerProcess, speech: Path
) -> None:
    """One is cut with its second request, of which the first may be for its health."""
    with ExitStack() as stack:
        counts = [2 if number == doomed else None for number in range(2)]
        ways = [stack.enter_context(relay(default_server.address, requests=count)) for count in counts]
        ended = subprocess.run(
            [*example, ",".join(way.address for way in ways), str(speech)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert [number == doomed for number in range(2)] == [way.was_cut for way in ways]
    assert 0 == ended.returncode, ended.stderr
    assert all(re.fullmatch(pattern, said, re.DOTALL) for pattern, said in lines(ended.stdout))


def test_examples_are_short() -> None:
    for name, source in SOURCES.items():
        (found,) = (
            path for path in (CLIENTS / name).rglob(source) if not {"build", "node_modules"} & set(path.parts)
        )
        assert len(found.read_text(encoding="utf-8").splitlines()) <= 60, name


def test_an_example_that_is_refused_says_why(example: list[str], tmp_path: Path) -> None:
    """Here by nobody: the port is closed."""
    speech = tmp_path / "speech.ogg"
    speech.write_bytes(b"OggS")
    ended = subprocess.run(
        [*example, "127.0.0.1:1", str(speech)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert 1 == ended.returncode
    assert "unavailable" in ended.stderr.lower()
