"""The runner of the browsers' client: `web_runner.py TARGET CASES`, TARGET being Envoy's.

README.md says what it reads and writes. The page comes from another origin than the answers, as a user's
does: the browser asks Envoy whether it may call.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser import Browser, browser

BUNDLE = Path(__file__).parents[2] / "client" / "web" / "build" / "conformance.js"
PAGE = b'<!doctype html><link rel="icon" href="data:,"><script src="/conformance.js"></script>'

# The browser's driver waits for one answer for so long only, and a call may take longer.
_POLL = "Promise.race([running, new Promise(resolve => setTimeout(resolve, 5000))])"


@contextmanager
def page(cases: bytes) -> Iterator[str]:
    """Its address. The cases lie beside it: what is evaluated in a page is no way for megabytes."""
    files = {
        "/": ("text/html", PAGE),
        "/conformance.js": ("text/javascript", BUNDLE.read_bytes()),
        "/cases.json": ("application/json", cases),
    }

    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = files.get(self.path, ("text/plain", b""))
            self.send_response(HTTPStatus.OK if self.path in files else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Standard error is for what went wrong."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


def open_page(shown: Browser, address: str) -> None:
    """With what it needs to run a case by its number."""
    shown.call("Page.navigate", url=address)
    shown.evaluate(
        "document.readyState === 'complete' || new Promise(resolve => addEventListener('load', resolve))"
    )
    shown.evaluate("fetch('/cases.json').then(answer => answer.json()).then(all => void (cases = all))")


def outcome(shown: Browser, target: str, number: int) -> dict[str, Any]:
    """What comes of a case."""
    # What the browser has to say of this one alone; it tells of every piece that it receives.
    shown.events.clear()
    shown.evaluate(f"void (running = runConformance({json.dumps(target)}, [cases[{number}]]))")
    while (outcomes := shown.evaluate(_POLL)) is None:
        pass
    found: dict[str, Any] = outcomes[0]
    return found


def main() -> None:
    target, path = sys.argv[1:]
    cases = Path(path).read_bytes()
    with (
        tempfile.TemporaryDirectory() as profile,
        page(cases) as address,
        browser(Path(profile)) as shown,
    ):
        open_page(shown, address)
        for number in range(len(json.loads(cases))):
            print(json.dumps(outcome(shown, target, number)), flush=True)


if __name__ == "__main__":
    main()
