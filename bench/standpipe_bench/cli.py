"""The command line of the bench."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.text import Text

from standpipe import Client
from standpipe_bench.closed_loop import ClosedLoop, drive, on_fast_loop
from standpipe_bench.demo import answer_live, call_everything
from standpipe_bench.environment import environment
from standpipe_bench.neighbours import QUIET, Neighbours
from standpipe_bench.payloads import EMBED_TEXT, embed_requests
from standpipe_bench.server_process import server_process
from standpipe_bench.statistics import summarize
from standpipe_bench.tables import Run, calls_table, findings_table, goals_table, ratio_table, runs_table
from standpipe_bench.targets import GrpcTarget, NullTarget, Target, open_channel

app = typer.Typer(
    help="Measure inference servers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(soft_wrap=True, highlight=False)

Json = Annotated[Path | None, typer.Option("--json", help="Write the result here too.")]


@app.command()
def run(
    address: Annotated[str, typer.Option(help="host:port of a running server.")] = "127.0.0.1:50051",
    model: Annotated[str, typer.Option(help="Model to call; empty for the default.")] = "",
    concurrency: Annotated[int, typer.Option(min=1, help="Callers.")] = 64,
    items: Annotated[int, typer.Option(min=1, help="Texts in one call.")] = 1,
    words: Annotated[int, typer.Option(min=1, help="Words in a text, about.")] = 17,
    duration: Annotated[float, typer.Option(min=0.1, help="Seconds that count.")] = 10.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds before those.")] = 1.0,
    output: Json = None,
) -> None:
    """Measure EmbedText of a running server in a closed loop, beside a null target: the tool's own cost."""
    loop = ClosedLoop(concurrency, warm_up, duration)
    runs = on_fast_loop(_run(address, model, items, words, loop))
    console.print(runs_table(runs))
    _write(output, {"environment": environment(), "runs": _json(runs)})


@app.command()
def demo(
    address: Annotated[
        str, typer.Option(help="host:port of a running server; unless given, one is started.")
    ] = "",
    duration: Annotated[float, typer.Option(min=0.1, help="Seconds of the benchmark.")] = 10.0,
    output: Json = None,
) -> None:
    """Call every RPC of a server once, and measure it for ten seconds."""
    with _server(address) as address:
        with Client(address) as client:
            _chat(client)
            console.print(calls_table(call_everything(client)))
        runs = on_fast_loop(_run(address, "", items=1, words=17, loop=ClosedLoop(64, 1.0, duration)))
        console.print(runs_table(runs))
    _write(output, {"environment": environment(), "runs": _json(runs)})


@app.command()
def overhead(
    model: Annotated[str, typer.Option(help="NAME=SOURCE to serve; the demo model unless given.")] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of all measurements.")] = 5,
    output: Json = None,
) -> None:
    """Start a server and compare it with the same model in-process, in turns, as ratios."""
    # Imported here: it needs the server's backends, which `run` does without.
    from standpipe_bench.in_process import demo_folder, in_process
    from standpipe_bench.overhead import compare

    # One model only, so that nothing else takes memory or threads.
    served = model or f"demo={demo_folder('feature-extraction')}"
    options = ["--log-level", "warning", "--model", served]
    with (
        server_process(options) as server,
        Client(server.address) as client,
        in_process(client.list_models()[0]) as ask,
    ):
        throughput, latency = on_fast_loop(compare(server.address, ask, rounds))
    console.print(ratio_table("throughput in texts/s, against the fastest in-process setting", throughput))
    console.print(ratio_table("lone calls in ms (p50), against in-process calls that idle as long", latency))
    _write(
        output,
        {
            "environment": environment(),
            "throughput": [asdict(line) for line in throughput],
            "latency": [asdict(line) for line in latency],
        },
    )


@app.command()
def pipelines(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of all measurements.")] = 5,
    duration: Annotated[float, typer.Option(min=0.1, help="Seconds of each measurement.")] = 2.0,
    seq2seq: Annotated[
        Path | None, typer.Option(help="Folder of a model that writes; the demo model's unless given.")
    ] = None,
    output: Json = None,
) -> None:
    """Start a server and compare it with the library's own pipelines in this process, in turns, as ratios."""
    # Imported here: they need model libraries, which `run` does without.
    from standpipe_bench.in_process import demo_folder
    from standpipe_bench.library import Classifier, Writer
    from standpipe_bench.pipelines import (
        MAX_NEW_TOKENS,
        classify_load,
        goals,
        measure,
        rerank_load,
        transform_load,
    )

    ranker = demo_folder("text-ranking")
    writer = seq2seq or demo_folder("text2text-generation")
    options = ["--log-level", "warning"]
    options += ["--model", f"ranker={ranker}:text-ranking+text-classification"]
    options += ["--model", f"writer={writer}:text2text-generation"]
    with server_process(options) as server, Client(server.address) as client:
        models = client.list_models()
        devices = {model.name: model.device for model in models}
        classifier = Classifier(ranker, devices["ranker"])
        loads = [
            rerank_load(server.address, classifier, duration),
            classify_load(server.address, classifier, duration),
            transform_load(server.address, Writer(writer, devices["writer"], MAX_NEW_TOKENS), duration),
        ]
        own = [server.process.pid]
        figures = measure(loads, rounds, watch=lambda: Neighbours(own).share)
    found = [goal for load, figure in zip(loads, figures, strict=True) for goal in goals(load, figure)]
    console.print(goals_table(found))
    console.print(_busy([share for figure in figures for share in figure.others], "too high"))
    _write(
        output,
        {
            "environment": environment(),
            "models": [MessageToDict(model, preserving_proto_field_name=True) for model in models],
            "goals": [asdict(goal) | {"ratio": goal.ratio(), "met": goal.met()} for goal in found],
            "figures": {load.name: asdict(figure) for load, figure in zip(loads, figures, strict=True)},
        },
    )


@app.command()
def generation(
    model: Annotated[
        str, typer.Option(help="NAME=SOURCE, or a folder, of a causal model; the demo model unless given.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of all measurements.")] = 5,
    duration: Annotated[float, typer.Option(min=0.1, help="Seconds of each measurement.")] = 10.0,
    output: Json = None,
) -> None:
    """Start a server and compare its streams with the same engine in-process, in turns, as ratios."""
    # Imported here: they need the server's backends, which `run` does without.
    from standpipe_bench.generation import compare, findings, served_streams
    from standpipe_bench.in_process import demo_folder, engine_in_process

    source = model or str(demo_folder("text-generation"))
    served = source if "=" in source else f"chat={source}:text-generation"
    # The one engine that can be driven without the server.
    options = ["--log-level", "warning", "--backend", "openvino", "--model", served]
    with server_process(options) as server, Client(server.address) as client:
        (one,) = client.list_models()
        with engine_in_process(one) as (in_process, pid):
            own = [server.process.pid, pid]
            over_wire = partial(served_streams, server.address, one.name)
            found = compare(in_process, over_wire, rounds, duration, lambda: Neighbours(own).share)
    shares = [share for one in found for share in one.others]
    lines = [line for rounds_of in found for line in findings(rounds_of)]
    quiet = statistics.median(shares) <= QUIET
    console.print(findings_table(lines, quiet=quiet))
    console.print(_busy(shares))
    _write(
        output,
        {
            "environment": environment(),
            "model": MessageToDict(one, preserving_proto_field_name=True),
            "goals": [
                asdict(line) | {"result": line.result(), "met": line.met() if quiet else None}
                for line in lines
            ],
            "figures": [asdict(rounds_of) for rounds_of in found],
        },
    )


@contextmanager
def _server(address: str) -> Iterator[str]:
    """A server's address: the one given, or of one with the demo models that lives as long as this."""
    if address:
        yield address
        return
    console.print("Starting a server with the demo models; the first time they are fetched and exported.")
    with server_process(["--log-level", "warning"]) as server:
        yield server.address
    console.print("The server has stopped. Next: make serve, or standpipe serve --help")


async def _run(address: str, model: str, items: int, words: int, loop: ClosedLoop) -> list[Run]:
    channel = open_channel(address)
    null = ClosedLoop(loop.concurrency, warm_up=0.1, duration=min(1.0, loop.duration))
    try:
        server = GrpcTarget(channel, EMBED_TEXT, embed_requests(items, words, 1, model), items)
        plan: list[tuple[Target, ClosedLoop]] = [(NullTarget(), null), (server, loop)]
        return [
            (
                target.name,
                target.items,
                schedule,
                summarize(await drive(target, schedule), target.items, schedule.duration),
            )
            for target, schedule in plan
        ]
    finally:
        await channel.close()


def _chat(client: Client) -> None:
    """Show an answer while it is written."""

    # Text, not markup: what a model writes may look like that.
    def begin(question: str) -> None:
        console.print(Text(f"\n{question}", style="bold"))

    def show(piece: str) -> None:
        console.print(Text(piece), end="")

    answer = answer_live(client, begin, show)
    console.print(Text(f"\n{answer.pace()}\n", style="dim"))


def _busy(shares: list[float], leaning: str = "") -> str:
    """What others took while it was measured, and what that means.

    Args:
        shares: Of each measurement.
        leaning: What a busy machine makes of the ratios, where that is known.
    """
    said = f"other processes took {statistics.median(shares):.0%} of the processor time (median)"
    if statistics.median(shares) <= QUIET:
        return said
    return f"{said}: too much, the ratios say nothing{f'; they come out {leaning}' if leaning else ''}"


def _json(runs: list[Run]) -> list[dict[str, Any]]:
    return [
        {"target": name, "items": items, "schedule": asdict(schedule), "summary": asdict(summary)}
        for name, items, schedule, summary in runs
    ]


def _write(path: Path | None, result: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        console.print(f"written to {path}")
