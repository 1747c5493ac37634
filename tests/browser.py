"""A headless Chromium, driven over a pipe by the DevTools protocol. Not aware of what it is shown."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = "STANDPIPE_REQUIRE_BROWSER"
SECONDS = 30.0
"""That one answer takes at most."""

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--remote-debugging-pipe",
)


class Browser:
    """One page of a browser.

    Args:
        commands: Where it reads.
        answers: Where it writes.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._rest = b""
        self._last = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, and its answer; events that come meanwhile are kept."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._last:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        found: dict[str, Any] = answer["result"]
        return found

    def show(self, path: Path, width: int, scheme: str) -> None:
        """Open a file anew, in a width and a colour scheme; forgets earlier events."""
        self.resize(width)
        self.scheme(scheme)
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())
        self.settle()

    def resize(self, width: int) -> None:
        """The window's width."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )

    def scheme(self, scheme: str) -> None:
        """What the page learns of its reader's wish: "light" or "dark"."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def settle(self) -> None:
        """Wait until what follows from a change is drawn: it may take a frame or two."""
        for _ in range(4):
            self.evaluate("new Promise(requestAnimationFrame)")

    def evaluate(self, expression: str) -> Any:
        """What a JavaScript expression gives, awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key, down and up."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def screenshot(self) -> bytes:
        """The whole page as PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def complaints(self) -> list[str]:
        """Errors, warnings and exceptions since the page was opened."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in kinds]

    def requests(self) -> list[str]:
        """What the page asked for since it was opened, besides itself."""
        asked = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in asked if event["params"]["type"] != "Document"]

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            read = os.read(self._answers, 1 << 20) if ready else b""
            if not read:
                raise RuntimeError("the browser doesn't answer")
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile; skips where there is none, or fails where one is required."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        say = pytest.fail if os.environ.get(REQUIRED) else pytest.skip
        say(f"none of {', '.join(NAMES)} is on the path")
    theirs, commands = os.pipe()
    answers, their_answers = os.pipe()
    process = _start([str(program), *OPTIONS, f"--user-data-dir={profile}"], theirs, their_answers)
    try:
        yield Browser(commands, answers)
    finally:
        # At the pipe's end it closes by itself, its children with it.
        os.close(commands)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(answers)


def _start(command: list[str], reads: int, writes: int) -> subprocess.Popen[bytes]:
    """With the pipes where a browser looks for them, at 3 and 4."""
    high = [fcntl.fcntl(number, fcntl.F_DUPFD, 10) for number in (reads, writes)]
    launcher = [sys.executable, "-c", _LAUNCHER, *map(str, high), *command]
    process = subprocess.Popen(launcher, pass_fds=high, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for number in (*high, reads, writes):
        os.close(number)
    return process


_LAUNCHER = """
import os, sys
for given, wanted in zip(sys.argv[1:3], (3, 4)):
    os.dup2(int(given), wanted)
    os.close(int(given))
os.execv(sys.argv[3], sys.argv[3:])
"""
