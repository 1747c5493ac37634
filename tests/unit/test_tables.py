"""What a terminal shows of results."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import report_samples as samples
from rich.console import Console, RenderableType

from standpipe_bench.comparison import Change
from standpipe_bench.load.drivers import Tick
from standpipe_bench.progress import live
from standpipe_bench.report.cells import number
from standpipe_bench.report.csv import lines
from standpipe_bench.report.tables import changes_table, show, warnings
from standpipe_bench.results import Point, Result


def terminal(*shown: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    for one in shown:
        console.print(one)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("command", samples.ALL)
def test_results_fit_a_terminal(command: str) -> None:
    text = terminal(*show(samples.ALL[command]()))
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_single_point_is_shown_whole() -> None:
    text = terminal(*show(samples.run()))
    for words in ("p99.9", "from when it was due", "from when it was sent", "sent later than due", "steady"):
        assert words in text
    # What wasn't there isn't mentioned.
    assert "first message" not in text
    assert "first message" in terminal(*show(samples.stream()))


def test_a_closed_loop_has_no_schedule_to_be_late_for() -> None:
    text = terminal(*show(samples.stream()))
    assert "closed loop of 4 callers" in text
    assert "sent later than due" not in text
    assert "calls/s due" not in text


def test_a_matrix_shows_both_paths_side_by_side_and_why_cells_are_absent() -> None:
    text = terminal(*show(samples.matrix()))
    assert text.count("in-process") >= 2
    assert "no XPU device" in text


def doubtful() -> Result:
    result = samples.sweep()
    first, *others = result.points
    assert first.figures is not None
    late = replace(first.figures, driver=replace(first.figures.driver, bottleneck="3 % late"), steady=False)
    return replace(result, points=[replace(first, figures=late), *others], partial=True)


def test_a_driver_that_was_the_bottleneck_is_named_beside_its_figures() -> None:
    result = doubtful()
    assert "driver" in terminal(*show(result))
    said = list(warnings(result))
    assert any("not the server" in text and "3 % late" in text for text in said)
    assert any("not steady" in text for text in said)


def test_what_was_broken_off_says_so() -> None:
    assert "partial" in terminal(*show(doubtful()))


def test_changes_are_shown_with_their_intervals() -> None:
    change = Change("p99", "ms", 10.0, 11.2, 1.12, 1.08, 1.16, 30, "regression", {"concurrency": 8})
    text = terminal(changes_table([change]))
    for words in ("concurrency", "p99, ms", "1.120", "1.080–1.160", "regression"):
        assert words in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ""), (0.0, "0"), (0.01234, "0.0123"), (99.94, "99.9"), (1234.5, "1,234"), (7.0, "7")],
)
def test_figures_have_three_digits(value: float | None, expected: str) -> None:
    assert expected == number(value)


def test_every_point_is_a_line_of_values() -> None:
    head, *rows = lines([("m", samples.matrix())])
    assert len(samples.matrix().points) == len(rows)
    assert {"model", "device", "absent", "latency_p99.9_ms", "errors"} <= set(head.strip().split(","))
    assert any("no XPU device" in row for row in rows)


def test_the_display_shows_throughput_and_p99_while_it_runs() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with live(console) as display:
        display.begin("EmbedText", 10.0)
        display.begin("EmbedText again", 10.0)
        display.tick(Tick(np.full(50, 0.004, np.float32), 2))
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "calls/s" in said
    assert "p99 4 ms" in said
    assert "2 failed" in said


def test_nothing_is_shown_where_nobody_watches() -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    with live(console) as display:
        display.begin("EmbedText", 10.0)
        display.tick(Tick(np.empty(0, np.float32), 0))
    assert isinstance(console.file, io.StringIO)
    assert "" == console.file.getvalue().strip()


def test_an_absent_single_point_is_shown_with_its_reason() -> None:
    result = Result("run", {}, [Point({"device": "cuda"}, absent="no CUDA device")])
    assert "no CUDA device" in terminal(*show(result))
