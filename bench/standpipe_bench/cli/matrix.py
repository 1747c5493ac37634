"""``matrix``: what to run a model on."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import product
from typing import Annotated

import typer

from standpipe_bench.cli.options import OutputOptions, counts, grouped
from standpipe_bench.cli.session import asked, console, finish, gathered, said_plainly
from standpipe_bench.load.driver import Timing
from standpipe_bench.progress import live

_PATHS = ("in-process", "served")


@grouped
def matrix(
    output: OutputOptions,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=SOURCE:TASK, or a task's demo model; repeat. An encoder and a generator else."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="With commas between.")] = "cpu,cuda,mps",
    backend: Annotated[str, typer.Option(help="The same.")] = "torch,openvino",
    dtype: Annotated[str, typer.Option(help="The same.")] = "fp32,fp16,bf16",
    batch: Annotated[str, typer.Option(help="Inputs in one call.")] = "1,8,32",
    words: Annotated[str, typer.Option(help="Of each input; nearly every word is one token.")] = "17,128",
    new_tokens: Annotated[int, typer.Option(min=1, help="That a generator writes for an input.")] = 16,
    path: Annotated[str, typer.Option(help="in-process, served, or both.")] = "in-process,served",
    duration: Annotated[float, typer.Option(min=0.1, help="Seconds that count, of each cell.")] = 3.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds before those.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the texts.")] = 1,
) -> None:
    """Measure device × backend × dtype × batch × length, in-process and served; absent cells say why."""
    with said_plainly(), ExitStack() as stack:
        # Imported here: it needs the server's backends, which `run` does without.
        from standpipe_bench.in_process.machine import rpc_for, setups
        from standpipe_bench.in_process.target import model_spec
        from standpipe_bench.matrix import Matrix, Plan, Shape

        names = model or ["feature-extraction", "text-generation"]
        plan = Plan(
            models=[model_spec(name) for name in names],
            setups=setups(device.split(","), backend.split(","), dtype.split(",")),
            shapes=[
                Shape(inputs, length)
                for length, inputs in product(counts(words, "--words"), counts(batch, "--batch"))
            ],
            paths=_paths(path),
            timing=Timing(duration, warm_up),
            new_tokens=new_tokens,
            seed=seed,
        )
        for one in plan.models:
            # One that nothing can be asked of is better known before than amid the measurements.
            rpc_for(one.tasks[0])
        output.make_folders()
        raw = stack.enter_context(output.raw_file())
        with live(console) as display:
            measuring = Matrix(plan, display, raw)
            points, partial = gathered(measuring.points())
        settings = asked(
            model=names,
            device=device,
            backend=backend,
            dtype=dtype,
            batch=batch,
            words=words,
            new_tokens=new_tokens,
            path=path,
            duration=duration,
            warm_up=warm_up,
        )
        finish("matrix", points, output, partial=partial or measuring.partial, settings=settings)


def _paths(text: str) -> list[str]:
    found = text.split(",")
    if unknown := [path for path in found if path not in _PATHS]:
        raise ValueError(f"--path {unknown[0]!r}: there are {' and '.join(_PATHS)}")
    return found
