"""An engine in a process of its own: what its death, its readers' leaving and its server's end come to."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from generators import call, loaded, text
from standpipe_server.backends.engines import Inbox
from standpipe_server.backends.process import ProcessEngine
from standpipe_server.errors import ModelLoadError


@pytest.fixture
def own(tiny_llama: Path) -> Iterator[Any]:
    """A generator that a test may kill."""
    generator = loaded(tiny_llama)
    yield generator
    generator.close()


LONG: dict[str, Any] = {"max_new_tokens": 400, "min_new_tokens": 400}


async def last(chunks: Any) -> Any:
    return [chunk async for chunk in chunks][-1]


async def test_an_engine_that_is_killed_fails_its_texts_and_is_started_anew(
    own: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = await text(own, call("hello world", max_new_tokens=12))
    chunks = own.stream(call("water", **LONG))
    await anext(chunks)
    first = own._engine.pid
    os.kill(first, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="ended with -9"):
        await last(chunks)
    assert before.text == (await text(own, call("hello world", max_new_tokens=12))).text
    assert own._engine.pid != first
    assert "started anew" in caplog.text


async def test_an_engine_that_cannot_be_started_anew_says_so_to_all_who_come(
    own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> Any:
        raise ModelLoadError("the weights have gone")

    monkeypatch.setattr("standpipe_server.backends.process._start", fail)
    chunks = own.stream(call("water", **LONG))
    await anext(chunks)
    os.kill(own._engine.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="ended with -9"):
        await last(chunks)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="can't be started anew") as refused:
            await text(own, call("hello world", max_new_tokens=12))
        assert "the weights have gone" == str(refused.value.__cause__)


async def test_readers_that_leave_are_forgotten_on_both_sides(own: Any) -> None:
    for _ in range(20):
        chunks = own.stream(call("water", **LONG))
        await anext(chunks)
        await chunks.aclose()
    assert "length" == (await text(own, call("one", max_new_tokens=3, min_new_tokens=3))).reason
    while own._engine._tickets:  # noqa: ASYNC110 - another thread takes it out
        await asyncio.sleep(0.001)


async def test_closing_ends_texts_where_they_are_and_the_process(own: Any) -> None:
    process = own._engine._process
    reading = asyncio.create_task(text(own, call("water", **LONG)))
    while not own._engine._tickets:  # noqa: ASYNC110 - another thread puts it there
        await asyncio.sleep(0.001)
    own.close()
    assert "cancelled" == (await reading).reason
    await asyncio.to_thread(process.join, 20)
    assert 0 == process.exitcode


class Broken:
    """An engine that can't be made."""

    def __init__(self, how: str) -> None:
        if how == "raise":
            raise ValueError("no such weights")
        os._exit(3)

    def work(self, inbox: Inbox) -> None: ...


@pytest.mark.parametrize(("how", "said"), [("raise", "no such weights"), ("exit", "ended with 3")])
def test_an_engine_that_cant_be_made_is_a_model_that_cant_be_loaded(how: str, said: str) -> None:
    with pytest.raises(ModelLoadError, match=said):
        ProcessEngine(partial(Broken, how))


SERVER = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
if __name__ == "__main__":
    from generators import loaded
    print(loaded(Path(sys.argv[1]))._engine.pid, flush=True)
    time.sleep(60)
"""


def test_an_engine_doesnt_outlive_a_server_that_is_killed(tiny_llama: Path, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    command = [sys.executable, str(script), str(tiny_llama), str(Path(__file__).parents[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        server.kill()
    give_up = time.monotonic() + 30
    while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}/stat").exists()
