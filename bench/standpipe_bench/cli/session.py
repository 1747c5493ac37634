"""What commands that measure do alike: open what is needed, show it, write what came of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import grpc
import typer
from rich.console import Console

from standpipe_bench.cli.options import OutputOptions, TargetOptions, TimingOptions
from standpipe_bench.environment import environment
from standpipe_bench.load.drivers import drivers
from standpipe_bench.measure import Bench
from standpipe_bench.processes import pid_listening
from standpipe_bench.progress import live
from standpipe_bench.report import tables
from standpipe_bench.report.csv import lines
from standpipe_bench.results import Point, Result
from standpipe_bench.served_model import described_model
from standpipe_bench.slo import Slo

T = TypeVar("T")

_FAULTS = (ValueError, LookupError, RuntimeError, OSError, grpc.RpcError)
"""What options, files and the other side do wrong."""

console = Console(soft_wrap=True, highlight=False)


@contextmanager
def said_plainly() -> Iterator[None]:
    """End with a sentence and code 2, not with a traceback, where an option or the other side is at fault."""
    try:
        yield
    except typer.Exit:
        # A RuntimeError too, but one that has been said.
        raise
    except _FAULTS as error:
        fail(str(error), 2)
    except KeyboardInterrupt:
        fail("broken off before anything was measured", 130)


def fail(message: str, code: int) -> NoReturn:
    """End with a sentence."""
    print(f"standpipe-bench: {message}", file=sys.stderr)
    raise typer.Exit(code)


@contextmanager
def bench(
    target: TargetOptions, timing: TimingOptions, output: OutputOptions, slo: Slo | None = None
) -> Iterator[Bench]:
    """Drivers, a display and whatever else measurements of one target share."""
    server = target.server
    output.make_folders()
    with ExitStack() as stack:
        pid = output.server_pid or (pid_listening(server) if server else None)
        raw = stack.enter_context(output.raw_file())
        model = described_model(target.connection(server), target.rpc, target.model) if server else {}
        yield Bench(
            drivers=stack.enter_context(drivers(timing.processes)),
            display=stack.enter_context(live(console)),
            pid=pid,
            raw=raw,
            slo=slo,
            model=model,
        )


def gathered(measured: Iterator[T]) -> tuple[list[T], bool]:
    """Points, or rounds, as they are measured, and whether something broke them off.

    Raises:
        KeyboardInterrupt: It came before the first; so do what ``said_plainly`` says.
    """
    points: list[T] = []
    try:
        # One by one: those that were measured are kept.
        for point in measured:
            points.append(point)  # noqa: PERF402
    except KeyboardInterrupt:
        if not points:
            raise
        return points, True
    except _FAULTS as error:
        if not points:
            raise
        print(f"standpipe-bench: {error}", file=sys.stderr)
        return points, True
    return points, False


def finish(
    command: str,
    points: list[Point],
    output: OutputOptions,
    *,
    partial: bool,
    settings: Mapping[str, Any],
    found: Mapping[str, Any] | None = None,
) -> Result:
    """Show and write what was measured; code 130 where it was broken off."""
    result = Result(command, environment(), points, partial, settings, found or {})
    show(result)
    write(result, output)
    figures = [point.figures for point in points if point.figures]
    if figures and not any(one.answered for one in figures):
        fail("no call was answered", 2)
    if partial:
        fail("broken off: the result is partial, and marked so", 130)
    return result


def show(result: Result) -> None:
    """In the terminal."""
    for table in tables.show(result):
        console.print(table)
    for warning in tables.warnings(result):
        console.print(f"note: {warning}", style="yellow")


def write(result: Result, output: OutputOptions) -> None:
    """To the files that are asked for."""
    if output.json is not None:
        result.write(output.json)
    texts: list[tuple[Any, Callable[[], str]]] = [
        (output.csv, lambda: "".join(lines([(result.command, result)]))),
        (output.html, lambda: _page(result, output)),
    ]
    for path, text in texts:
        if path is not None:
            path.write_text(text(), encoding="utf-8")
    for path in (output.json, output.csv, output.html, output.raw):
        if path is not None:
            console.print(f"written to {path}")


def write_json(path: Path | None, result: Mapping[str, Any]) -> None:
    """To a file, where one is asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        console.print(f"written to {path}")


def asked(*groups: Any, **others: Any) -> dict[str, Any]:
    """Options as results hold them: those that say anything, paths as text."""
    values = {name: value for group in groups for name, value in asdict(group).items()} | others
    return {
        name: [_told(name, one) for one in value] if isinstance(value, list) else _told(name, value)
        for name, value in values.items()
        if value is not None and value is not False and value not in ("", [])
    }


def _told(name: str, value: Any) -> str | int | float:
    # What a header holds may be a secret; a result is passed around.
    if name == "header":
        return f"{str(value).partition(':')[0]}:…"
    return value if isinstance(value, int | float) else str(value)


def _page(result: Result, output: OutputOptions) -> str:
    # Imported here: a template engine is needed for nothing else.
    from standpipe_bench.report.html import page

    assert output.html is not None  # noqa: S101 - asked for
    return page([(output.html.stem, result)])
