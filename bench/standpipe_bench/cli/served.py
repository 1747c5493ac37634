"""``demo``, and what serving costs and gains: ``overhead``, ``pipelines``, ``generation``."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import grpc
import typer
from google.protobuf.json_format import MessageToDict
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from standpipe import CallError, Client
from standpipe_bench.cli.options import OutputOptions, TargetOptions, TimingOptions
from standpipe_bench.cli.session import bench, console, finish, write_json
from standpipe_bench.demo import SAID, answer_live, call_everything, speak_and_listen
from standpipe_bench.drawing import Told, draw
from standpipe_bench.environment import environment
from standpipe_bench.load.driver import on_fast_loop
from standpipe_bench.load.schedules import Closed
from standpipe_bench.served.neighbours import QUIET, Neighbours
from standpipe_bench.served.tables import (
    calls_table,
    drawings_table,
    findings_table,
    goals_table,
    ratio_table,
)
from standpipe_bench.server_process import server_process

Json = Annotated[Path | None, typer.Option("--json", help="Write the result here too.")]


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
            _speech(client)
            _drawing(client)
            console.print(calls_table(call_everything(client)))
        target, out = TargetOptions(address=address, words="17", items=1), OutputOptions(json=output)
        timing = TimingOptions(duration=duration, warm_up=1.0)
        with bench(target, timing, out) as measuring:
            point = measuring.point({}, target.source(), Closed(64), timing.timing())
        finish("run", [point], out, partial=measuring.partial, settings={})


def overhead(
    model: Annotated[str, typer.Option(help="NAME=SOURCE to serve; the demo model unless given.")] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of all measurements.")] = 5,
    output: Json = None,
) -> None:
    """Start a server and compare it with the same model in-process, in turns, as ratios."""
    # Imported here: it needs the server's backends, which `run` does without.
    from standpipe_bench.in_process import demo_folder
    from standpipe_bench.in_process.elsewhere import in_process
    from standpipe_bench.served.overhead import compare

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
    write_json(
        output,
        {
            "environment": environment(),
            "throughput": [asdict(line) for line in throughput],
            "latency": [asdict(line) for line in latency],
        },
    )


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
    from standpipe_bench.served.library import Classifier, Drawer, ImageClassifier, Writer
    from standpipe_bench.served.pipelines import (
        MAX_NEW_TOKENS,
        STEPS,
        classify_load,
        drawing_load,
        goals,
        image_load,
        measure,
        rerank_load,
        transform_load,
    )

    ranker = demo_folder("text-ranking")
    images = demo_folder("image-classification")
    digits = demo_folder("text-to-image")
    writer = seq2seq or demo_folder("text2text-generation")
    options = ["--log-level", "warning"]
    options += ["--model", f"ranker={ranker}:text-ranking+text-classification"]
    options += ["--model", f"images={images}:image-classification"]
    options += ["--model", f"digits={digits}:text-to-image"]
    options += ["--model", f"writer={writer}:text2text-generation"]
    with server_process(options) as server, Client(server.address) as client:
        models = client.list_models()
        devices = {model.name: model.device for model in models}
        classifier = Classifier(ranker, devices["ranker"])
        loads = [
            rerank_load(server.address, classifier, duration),
            classify_load(server.address, classifier, duration),
            image_load(server.address, ImageClassifier(images, devices["images"]), duration),
            drawing_load(server.address, Drawer(digits, devices["digits"], STEPS), duration),
            transform_load(server.address, Writer(writer, devices["writer"], MAX_NEW_TOKENS), duration),
        ]
        own = [server.process.pid]
        figures = measure(loads, rounds, watch=lambda: Neighbours(own).share)
    found = [goal for load, figure in zip(loads, figures, strict=True) for goal in goals(load, figure)]
    console.print(goals_table(found))
    console.print(_busy([share for figure in figures for share in figure.others], "too high"))
    write_json(
        output,
        {
            "environment": environment(),
            "models": [MessageToDict(model, preserving_proto_field_name=True) for model in models],
            "goals": [asdict(goal) | {"ratio": goal.ratio(), "met": goal.met()} for goal in found],
            "figures": {load.name: asdict(figure) for load, figure in zip(loads, figures, strict=True)},
        },
    )


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
    from standpipe_bench.in_process import demo_folder
    from standpipe_bench.in_process.elsewhere import engine_in_process
    from standpipe_bench.served.generation import compare, findings, served_streams

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
    write_json(
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


def _chat(client: Client) -> None:
    """Show an answer while it is written."""

    # Text, not markup: what a model writes may look like that.
    def begin(question: str) -> None:
        console.print(Text(f"\n{question}", style="bold"))

    def show(piece: str) -> None:
        console.print(Text(piece), end="")

    answer = answer_live(client, begin, show)
    console.print(Text(f"\n{answer.pace()}\n", style="dim"))


def _speech(client: Client) -> None:
    """Have a text spoken, and written down again."""
    try:
        told = speak_and_listen(client, Path(tempfile.gettempdir()))
    except CallError as error:
        if error.code is not grpc.StatusCode.NOT_FOUND:
            raise
        console.print(
            Text(f"no voice is served: {error.message}; the demo's own needs espeak-ng\n", style="dim")
        )
        return
    console.print(Text(f"said:  {SAID}", style="bold"))
    console.print(Text(f"heard: {told.heard}"))
    console.print(Text(f"{told.pace()}; the speech is {told.file}\n", style="dim"))


def _drawing(client: Client) -> None:
    """Have pictures drawn, show how far each is, and then the pictures."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
    with Progress(*columns, console=console) as bars:

        def begin(said: str) -> Told:
            bar = bars.add_task(said, total=None)
            return lambda step, steps: bars.update(bar, completed=step, total=steps)

        try:
            drawings = draw(client, Path(tempfile.gettempdir()), begin)
        except CallError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise
            for bar in bars.task_ids:
                bars.remove_task(bar)
            console.print(Text(f"not drawn: {error.message}; the demo's own model needs diffusers\n", "dim"))
            return
    console.print(drawings_table(drawings))
    for drawing in drawings:
        console.print(Text(f"drawn in {drawing.seconds:.2f} s: {drawing.file}", style="dim"))
    console.print()


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
