"""The command line. Options of ``serve`` are declared in ``config``, not here."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
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
    console = Console(soft_wrap=True, highlight=False)
    folders = {spec.name: spec.source for spec in specs}
    for recipe in RECIPES:
        tasks = ", ".join(recipe.tasks)
        where = folders.get(recipe.name, f"Left out: {recipe.missing} isn't installed.")
        console.print(f"[bold]{recipe.name}[/]  {tasks}  {recipe.source.origin}  {recipe.licence}")
        console.print(f"  [dim]{escape(recipe.about)} {escape(where)}[/]")


@app.command()
def call(
    rpc: Annotated[str, typer.Argument(help="Its name, such as EmbedText.")] = "",
    files: Annotated[
        list[Path] | None, typer.Argument(help="Images, … for the request, such as photo.jpg.")
    ] = None,
    text: Annotated[
        str, typer.Option("--json", help="The request: JSON, @FILE, or - for standard input.")
    ] = "",
    example: Annotated[
        bool, typer.Option("--example", help="Send the example that comes with the package.")
    ] = False,
    model: Annotated[str, typer.Option(help="Model to call; the request's own unless given.")] = "",
    address: Annotated[str, typer.Option(help="host:port of a running server.")] = "127.0.0.1:50051",
    save: Annotated[
        Path | None,
        typer.Option(
            help="Folder to save pictures, films, sounds to; else they are base64, or on a terminal left out."
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait.")] = 60.0,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say on standard error what is sent.")] = False,
) -> None:
    """Call any RPC of a running server, JSON in and out; without a name, list the RPCs."""
    from standpipe import CallError
    from standpipe_server.call import (
        RequestError,
        refusal,
        requests_of,
        rpc_of,
        rpcs_table,
        send,
        shown,
        to_json,
    )
    from standpipe_server.call_steps import StepsBar

    if not rpc:
        Console().print(rpcs_table())
        return
    try:
        method = rpc_of(rpc)
        requests = requests_of(method, text, example=example, model=model, files=files or ())
        if verbose:
            for request in requests:
                typer.echo(f"{method.full_name} {to_json(request, zeros=False)}", err=True)
        read = sys.stdout.isatty()
        with StepsBar(method.name, Console(stderr=True)) as bar:
            for number, response in enumerate(send(address, method, requests, timeout), start=1):
                if bar.take(response) and read:
                    continue
                # JSON is UTF-8, whatever the terminal's encoding is.
                typer.echo(shown(method, response, save, number, read=read).encode())
    except RequestError as error:
        _fail(str(error), code=2)
    except CallError as error:
        _fail(refusal(error))


@app.command()
def chat(
    message: Annotated[
        str, typer.Argument(help="Answered alone; without it, lines are read until their end.")
    ] = "",
    model: Annotated[str, typer.Option(help="Model to talk to; the server's own choice unless given.")] = "",
    address: Annotated[str, typer.Option(help="host:port of a running server.")] = "127.0.0.1:50051",
    system: Annotated[str, typer.Option(help="What the model is told before everything else.")] = "",
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, max=2**32 - 1, help="Tokens of an answer, at most.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="Above 0, words are drawn at random, the wilder the higher.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**64 - 1, help="Draw the same words each time.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait for an answer.")] = 300.0,
) -> None:
    """Talk to a model of a running server: one message, or line by line.

    Ctrl-C ends an answer, Ctrl-D the conversation.
    """
    from standpipe import CallError
    from standpipe_server.call import RequestError, refusal
    from standpipe_server.chat import chat as talk
    from standpipe_server.chat import options_of

    options = options_of(model, max_new_tokens, temperature, seed)
    try:
        talk(address, message, system=system, timeout=timeout, options=options)
    except RequestError as error:
        _fail(str(error), code=2)
    except CallError as error:
        _fail(refusal(error))


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
