"""What the micro-benchmarks share: a heap as a server has it, and a list of what one item took.

A benchmark whose one run handles a number of items says so in ``extra_info``: ``items``, and the ``unit``
that they are counted in. Where a run is compared with a baseline the list says by how much each benchmark
changed, and always where something else kept the machine busy meanwhile. Not aware of what is timed.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.logger import PytestBenchmarkWarning

from standpipe_bench.served.neighbours import QUIET, Neighbours

_LINES = pytest.StashKey[list[str]]()
_BASELINE = pytest.StashKey[Mapping[str, Mapping[str, float]]]()


@pytest.fixture(scope="module", autouse=True)
def _heap_of_a_server() -> Iterator[None]:
    """A server freezes what loading made: else the collector would walk other modules' models here."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop as a server has it."""
    uvloop = pytest.importorskip("uvloop", reason="a server runs on uvloop, which isn't here")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner.get_loop()


@pytest.fixture(autouse=True)
def _line_of_the_list(benchmark: BenchmarkFixture, pytestconfig: pytest.Config) -> Iterator[None]:
    neighbours = Neighbours()
    yield
    if benchmark.stats is None:  # it was run without being timed
        return
    share = benchmark.extra_info["others"] = neighbours.share()
    stats, said = benchmark.stats.stats, {"items": 1, "unit": "request"} | benchmark.extra_info
    then = pytestconfig.stash.get(_BASELINE, {}).get(benchmark.fullname)
    change = f"{stats.min / then['min'] - 1:+6.0%}" if then else ""
    busy = f"; others took {share:.0%} of the processors" if share > QUIET else ""
    figure = f"{stats.median / said['items'] * 1e6:10.2f} µs a {said['unit']:<8}"
    line = f"{figure}{change:>6}  {benchmark.name.removeprefix('test_')}{busy}"
    pytestconfig.stash.setdefault(_LINES, []).append(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The list."""
    lines = config.stash.get(_LINES, [])
    if not lines:
        return
    compared = ", and how the minimum differs from the baseline's" if _BASELINE in config.stash else ""
    terminalreporter.section(f"median by item{compared}")
    for line in lines:
        terminalreporter.write_line(line)


def pytest_configure() -> None:
    """Where there is no baseline yet the plugin says so, and that is no error."""
    warnings.filterwarnings("default", category=PytestBenchmarkWarning)


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Of all that is known of a machine keep what makes its figures another's."""
    cpu = machine_info["cpu"]
    kept = {name: cpu.get(name) for name in ("brand_raw", "arch", "count")}
    machine_info.clear()
    machine_info.update(kept)


def pytest_benchmark_compare_machine_info(
    config: pytest.Config, machine_info: Mapping[str, Any], compared_benchmark: Mapping[str, Any]
) -> None:
    """Keep the baseline's figures, if they are this machine's."""
    if machine_info != compared_benchmark["machine_info"]:
        raise pytest.UsageError(
            f"the baseline is of another machine, {compared_benchmark['machine_info']}; "
            f"this one is {machine_info}: make bench-baseline takes one here"
        )
    config.stash[_BASELINE] = {one["fullname"]: one["stats"] for one in compared_benchmark["benchmarks"]}
