"""``run``, ``sweep`` and ``search``: a server under load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Literal

import typer

from standpipe_bench.cli.options import (
    OutputOptions,
    ScheduleOptions,
    TargetOptions,
    TimingOptions,
    arrivals,
    counts,
    grouped,
    numbers,
    slo,
)
from standpipe_bench.cli.session import asked, bench, console, finish, gathered, said_plainly
from standpipe_bench.load.driver import Timing
from standpipe_bench.load.schedules import Closed, Schedule, Trace
from standpipe_bench.measure import Bench
from standpipe_bench.results import Label, Point
from standpipe_bench.search import Search
from standpipe_bench.slo import Slo, parse
from standpipe_bench.targets import Source

SloOption = Annotated[
    str, typer.Option("--slo", help="What callers expect, as p99<50ms,errors<1%: gives the goodput.")
]


@grouped
def run(
    target: TargetOptions,
    schedule: ScheduleOptions,
    timing: TimingOptions,
    output: OutputOptions,
    slo_: SloOption = "",
) -> None:
    """Measure one load: a closed loop of callers, or calls that come whatever the server does."""
    with said_plainly():
        wanted, source = slo(slo_), target.source()
        plan = schedule.schedule(timing.duration + timing.warm_up, target.seed)
        length = timing.timing()
        if isinstance(plan, Trace):
            length = length.within(plan.seconds)
        with bench(target, timing, output, wanted) as measuring:
            point = measuring.point({}, source, plan, length)
        settings = asked(target, schedule, timing, slo=slo_)
        finish("run", [point], output, partial=measuring.partial, settings=settings)


@grouped
def sweep(
    target: TargetOptions,
    timing: TimingOptions,
    output: OutputOptions,
    concurrency: Annotated[str, typer.Option(help="Closed loops of so many callers, as 1,2,4,8.")] = "",
    rate: Annotated[str, typer.Option(help="Open loops of so many calls a second, as 100,200,400.")] = "",
    spread: Annotated[
        Literal["poisson", "constant"], typer.Option("--arrivals", help="Of open loops.")
    ] = "poisson",
    slo_: SloOption = "",
) -> None:
    """Measure one load after the other: the curve of latency over throughput."""
    with said_plainly():
        wanted, source = slo(slo_), target.source()
        loads = _loads(concurrency, rate, spread, target.seed)
        with bench(target, timing, output, wanted) as measuring:
            points, partial = gathered(_sweep(measuring, source, loads, timing.timing()))
        settings = asked(target, timing, concurrency=concurrency, rate=rate, arrivals=spread, slo=slo_)
        finish("sweep", points, output, partial=partial or measuring.partial, settings=settings)


@grouped
def search(
    target: TargetOptions,
    timing: TimingOptions,
    output: OutputOptions,
    slo_: Annotated[str, typer.Option("--slo", help="What is to hold, as p99<50ms,errors<1%.")],
    start: Annotated[float, typer.Option(min=0.001, help="Calls a second to begin with.")] = 50.0,
    most: Annotated[float, typer.Option(min=0.001, help="Calls a second beyond which not to try.")] = 1e5,
    precision: Annotated[float, typer.Option(min=0.005, max=0.5, help="Share to come close to.")] = 0.05,
    spread: Annotated[
        Literal["poisson", "constant"], typer.Option("--arrivals", help="How calls are spread.")
    ] = "poisson",
) -> None:
    """Find the highest rate of calls at which an SLO holds."""
    with said_plainly():
        wanted, source = parse(slo_), target.source()
        looking = Search(start, most, precision)
        with bench(target, timing, output, wanted) as measuring:

            def schedule(rate: float, number: int) -> Schedule:
                # Other arrivals each time: one lucky seed shall not decide.
                return arrivals(spread, rate, target.seed + number)

            points, partial = gathered(_search(measuring, source, looking, schedule, wanted, timing.timing()))
        found = looking.found() | {"slo": slo_}
        settings = asked(target, timing, start=start, most=most, precision=precision, arrivals=spread)
        partial = partial or measuring.partial
        finish("search", points, output, partial=partial, settings=settings, found=found)
        console.print(looking.sentence(slo_))


def _sweep(
    measuring: Bench, source: Source, loads: Sequence[tuple[dict[str, Label], Schedule]], timing: Timing
) -> Iterator[Point]:
    for labels, plan in loads:
        yield measuring.point(labels, source, plan, timing)
        if measuring.partial:
            return


def _search(
    measuring: Bench,
    source: Source,
    looking: Search,
    schedule: Callable[[float, int], Schedule],
    slo: Slo,
    timing: Timing,
) -> Iterator[Point]:
    number = 0
    while (rate := looking.next()) is not None:
        point = measuring.point({"rate": round(rate, 3)}, source, schedule(rate, number), timing)
        yield point
        if measuring.partial or point.figures is None:
            return
        looking.tell(point.figures, slo)
        number += 1


def _loads(concurrency: str, rate: str, spread: str, seed: int) -> list[tuple[dict[str, Label], Schedule]]:
    if bool(concurrency) == bool(rate):
        raise ValueError("give either --concurrency 1,2,4,8 or --rate 100,200,400")
    if concurrency:
        return [({"concurrency": number}, Closed(number)) for number in counts(concurrency, "--concurrency")]
    return [({"rate": number}, arrivals(spread, number, seed)) for number in numbers(rate, "--rate")]
