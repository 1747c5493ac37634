"""The servers of the table, what each language's runner reported of it, and the table that is printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest
from rich.console import Console
from rich.table import Table

from conformance.cases import cases
from conformance.envoy import envoy
from conformance.languages import LANGUAGES, Language, wanted
from servers import Starting
from standpipe import CallError, Client
from standpipe.v1 import text_pb2
from standpipe_bench.server_process import ServerProcess
from tiny_models import save_tiny_llama

MAX_TOKENS = 32_768
HELD = 86_400.0
"""Seconds that the narrow server's queue stays full; nobody waits for it."""

Proxied = Callable[..., str]
Reports = Callable[[Language], Mapping[str, Mapping[str, Any]]]

_MARKS = {"passed": "[green]✓[/]", "failed": "[red bold]✗[/]", "skipped": "[dim]–[/]"}
_marks: dict[str, dict[str, str]] = {}


@pytest.fixture(scope="session")
def narrow_server_to_be(
    tiny_bert: Path, starting: Starting, tmp_path_factory: pytest.TempPathFactory
) -> Future[ServerProcess]:
    llama = save_tiny_llama(tmp_path_factory.mktemp("narrow") / "llama", max_tokens=MAX_TOKENS)
    models = ["--model", f"llama={llama}:text-generation", "--model", f"bert={tiny_bert}:feature-extraction"]
    # A batch is made once a day of company has been waited for: till then the queue holds what it got.
    limits = ["--max-sequences", "1", "--max-queue", "2", "--max-items", "2", "--max-wait", str(HELD)]
    limits += ["--max-new-tokens", str(MAX_TOKENS), "--default-timeout", str(HELD), "--drain-timeout", "1"]
    return starting([*models, *limits, "--backend", "torch", "--dtype", "fp32", "--threads", "1"])


@pytest.fixture(scope="session")
def narrow_server(narrow_server_to_be: Future[ServerProcess]) -> Iterator[ServerProcess]:
    """It writes one text at a time, and the queue of its model `bert` is full."""
    server = narrow_server_to_be.result()
    with Client(server.address) as client:
        held = _fill_the_queue(client)
        try:
            yield server
        finally:
            held.cancel()


def _fill_the_queue(client: Client) -> grpc.Future[text_pb2.EmbedTextResponse]:
    """The call that waits in it till it is cancelled."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        request = text_pb2.EmbedTextRequest(model="bert", texts=["one", "two"])
        held = client.text.EmbedText.future(request, timeout=HELD)
        try:
            client.embed_text(["one more"], model="bert", timeout=1.0)
        except CallError as error:
            # It may have come before the other, which was refused then.
            if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and not held.done():
                return held
        held.cancel()
    raise AssertionError("the queue isn't full")


@pytest.fixture(scope="session")
def targets(default_server: ServerProcess, narrow_server: ServerProcess) -> Mapping[str, str]:
    return {"main": default_server.address, "narrow": narrow_server.address}


@pytest.fixture(scope="session")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """The address of an Envoy before servers, whose addresses are its arguments."""
    with ExitStack() as proxies:

        @cache
        def start(*targets: str) -> str:
            return proxies.enter_context(envoy(targets, folder=tmp_path_factory.mktemp("envoy")))

        yield start


@pytest.fixture(scope="session")
def reports(
    targets: Mapping[str, str], proxied: Proxied, tmp_path_factory: pytest.TempPathFactory
) -> Reports:
    """What a language's runner reported of all cases; it is run once."""

    @cache
    def report(language: Language) -> Mapping[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for server, target in targets.items():
            its = [case for case in cases() if case.server == server and language.takes(case)]
            address = proxied(target) if language.proxied else target
            found |= language.run(address, its, tmp_path_factory.mktemp(language.name))
        return found

    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    called = getattr(item, "callspec", None)
    if (
        item.name.startswith("test_a_case_is_as_it_should_be")
        and called
        and (report.when == "call" or not report.passed)
    ):
        marks = _marks.setdefault(called.params["case"].name, {})
        marks[called.params["language"].name] = _MARKS[report.outcome]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    shown = [language for language in LANGUAGES if wanted(language)]
    if not (_marks and shown):
        return
    table = Table("case", *(language.name for language in shown), box=None)
    for name, marks in _marks.items():
        table.add_row(name, *(marks.get(language.name, "") for language in shown))
    console = Console(width=160)
    with console.capture() as captured:
        console.print(table)
    terminalreporter.write_sep("=", "conformance")
    terminalreporter.write(captured.get())
    for language in shown:
        if why := language.missing():
            terminalreporter.write_line(f"{language.name} skipped: {why}")
