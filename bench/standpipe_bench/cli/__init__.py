"""The command line: a module for each group of commands, their options declared once in ``options``."""

from __future__ import annotations

import typer

from standpipe_bench.cli.comparing import compare, report
from standpipe_bench.cli.load import run, search, sweep
from standpipe_bench.cli.matrix import matrix
from standpipe_bench.cli.self_test import self_test
from standpipe_bench.cli.served import demo, generation, overhead, pipelines

app = typer.Typer(
    help="Measure inference servers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for panel, commands in {
    "Measure a server": (run, sweep, search, matrix),
    "Read results": (compare, report),
    "The bench itself": (self_test,),
    "What Standpipe's serving costs and gains": (overhead, generation, pipelines, demo),
}.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
