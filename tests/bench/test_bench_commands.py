"""The bench's commands as people type them, against a server that isn't this project's."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # typer, of click
    from typer.testing import CliRunner

    from standpipe_bench.cli import app

from standpipe_bench.load.records import Records
from standpipe_bench.results import Point, Result
from standpipe_bench.statistics import summarize
from standpipe_bench.targets.grpc import Connection

BENCH = [sys.executable, "-m", "standpipe_bench"]
QUICK = ["--duration", "0.5", "--warm-up", "0.1"]
FIND = ["--rpc", "FindBooks", "--words", "fixed:3", "--items", "2"]


def bench(*arguments: str, code: int = 0) -> str:
    ended = subprocess.run([*BENCH, *arguments], capture_output=True, text=True, timeout=100, check=False)
    assert code == ended.returncode, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def points(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["points"]
    return found


def test_a_foreign_server_is_measured_by_reflection_alone(library: Connection, tmp_path: Path) -> None:
    files = {name: tmp_path / f"run.{name}" for name in ("json", "csv", "html", "raw")}
    written = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    options = ["--rate", "60", "--slo", "p99<10s", *QUICK, *written]
    said = bench("run", "--address", library.address, *FIND, *options)
    assert "FindBooks: open loop (poisson, 60 calls/s)" in said
    (point,) = points(files["json"])
    figures = point["figures"]
    assert ("acme.library.v1.LibraryService.FindBooks", {}) == (point["target"], figures["errors"])
    assert figures["answered"] == figures["calls"] > 0
    assert figures["goodput"] == pytest.approx(figures["calls_per_second"])
    assert figures["items_per_second"] == pytest.approx(2 * figures["calls_per_second"])
    assert "fixed:3" in point["sent"]
    # It listens on this machine, so its process is found.
    assert point["usage"]["server"]["rss_peak_bytes"] > 0
    (row,) = csv.DictReader(files["csv"].read_text().splitlines())
    assert str(figures["answered"]) == row["answered"]
    records = [json.loads(line) for line in files["raw"].read_text().splitlines()]
    counted = [record for record in records if 0.1 <= record["scheduled"] < 0.6]
    assert figures["calls"] == len(counted)
    assert files["html"].read_text().startswith("<!doctype html>")


def test_a_stream_is_measured_message_by_message(library: Connection, tmp_path: Path) -> None:
    result = tmp_path / "run.json"
    options = ["--rpc", "ReadBook", "--words", "2", "--set", "pages=4", "--concurrency", "2"]
    said = bench("run", "--address", library.address, *options, *QUICK, "--json", str(result))
    assert "between messages" in said
    (point,) = points(result)
    assert point["figures"]["first_ms"]["p50"] <= point["figures"]["latency_ms"]["p50"]
    assert point["figures"]["gap_ms"]["p50"] >= 0


def test_a_sweep_measures_one_load_after_the_other(library: Connection, tmp_path: Path) -> None:
    result = tmp_path / "sweep.json"
    bench("sweep", "--address", library.address, *FIND, "--rate", "40,80", *QUICK, "--json", str(result))
    assert [{"rate": 40.0}, {"rate": 80.0}] == [point["labels"] for point in points(result)]
    page = tmp_path / "page.html"
    said = bench("report", str(result), "--html", str(page))
    assert "rate" in said
    assert page.stat().st_size > 10_000


def test_a_search_ends_at_the_highest_rate_that_it_may_try(library: Connection, tmp_path: Path) -> None:
    result = tmp_path / "search.json"
    options = ["--slo", "p50<10s", "--start", "20", "--most", "30", *QUICK, "--json", str(result)]
    bench("search", "--address", library.address, *FIND, *options)
    written = json.loads(result.read_text())
    rates = [point["labels"]["rate"] for point in written["points"]]
    found = written["found"]
    if "driver" in found["ended"]:
        # A machine that can't send even so few calls in time says so, and at which rate.
        assert f"{rates[-1]:g} calls/s" in found["ended"]
        assert set(rates) <= {20.0, 30.0}
    else:
        assert set(rates) == {20.0, 30.0}
        assert found["rate"] == 30.0


def test_the_same_server_is_no_slower_than_itself(library: Connection, tmp_path: Path) -> None:
    result = tmp_path / "compare.json"
    # A threshold that no machine is too noisy for.
    options = ["--rounds", "10", "--threshold", "20", "--duration", "0.2", "--warm-up", "0.05"]
    said = bench("compare", library.address, library.address, *FIND, *options, "--json", str(result))
    assert "calls/s" in said
    written = json.loads(result.read_text())
    assert 20 == len(written["points"])
    assert ["p50", "p99", "calls/s"] == [metric["name"] for metric in written["found"]["metrics"]]


def test_two_files_are_compared_and_a_slower_one_is_an_error(tmp_path: Path) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    for path, slower in ((before, 1.0), (after, 1.2)):
        # A call each hundredth of a second that takes 5 ms, or a fifth longer; each tenth of it a window.
        rows = [(n / 100, n / 100, 0.0, n / 100 + 0.005 * slower, 0, 1, 0, 0, 0, 0, 0) for n in range(1000)]
        figures = summarize(Records.of(rows), 0.0, 10.0, closed=False)
        Result("run", {}, [Point({}, "a.B.C", {"kind": "constant"}, figures)]).write(path)
    assert 3 == bench("compare", str(before), str(before)).count("no change")
    assert "B is worse: p50, p99\n" in bench("compare", str(before), str(after), code=1)


def test_ctrl_c_leaves_a_valid_result_that_says_it_is_partial(library: Connection, tmp_path: Path) -> None:
    """Whether one driver makes the calls or two do; both commands run side by side."""
    folders = {drivers: tmp_path / drivers for drivers in ("1", "2")}
    with ExitStack() as running:
        commands = {
            folder: running.enter_context(long_run(library, folder, drivers))
            for drivers, folder in folders.items()
        }
        # Once the raw file is there the drivers start; a second later they have measured something.
        for folder in commands:
            wait_for(folder / "raw.jsonl")
        time.sleep(3)
        for process in commands.values():
            process.send_signal(signal.SIGINT)
        for folder, process in commands.items():
            said, _ = process.communicate(timeout=60)
            assert 130 == process.returncode, said
            assert "partial" in said
            holds_what_was_measured(folder)


def long_run(library: Connection, folder: Path, drivers: str) -> subprocess.Popen[str]:
    """A command that takes a minute, unless it is broken off."""
    folder.mkdir()
    options = ["--rate", "50", "--duration", "60", "--warm-up", "0.2", "--processes", drivers]
    options += ["--raw", str(folder / "raw.jsonl"), "--json", str(folder / "run.json")]
    command = [*BENCH, "run", "--address", library.address, *FIND, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def holds_what_was_measured(folder: Path) -> None:
    written = json.loads((folder / "run.json").read_text())
    assert written["partial"]
    (point,) = written["points"]
    assert 0 < point["figures"]["answered"] <= point["figures"]["calls"]
    assert 0 < point["figures"]["seconds"] < 30
    assert (folder / "raw.jsonl").read_text().splitlines()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--rate", "5", "--steps", "1,2"], "--rate and --steps are different schedules: give one"),
        (["run", "--steps", "1,x"], "--steps '1,x': write positive numbers with commas between"),
        (["run", "--slo", "fast"], "'fast' is no bound"),
        (["run", "--header", "token"], "--header 'token': write name:value"),
        (["run", "--trace", "nowhere"], "nowhere"),
        (["run", "--in-process", "feature"], "name a task, or write NAME=SOURCE:TASK"),
        (["sweep"], "give either --concurrency 1,2,4,8 or --rate 100,200,400"),
        (["compare", "pyproject.toml", "localhost:1"], "compare two files, or two servers"),
        (["compare", "a:1", "b:1", "--metric", "p12"], "--metric 'p12': there are p50, p99, calls/s"),
        (["report", "pyproject.toml"], "pyproject.toml can't be read"),
        (["matrix", "--path", "air"], "--path 'air': there are in-process and served"),
        (["matrix", "--device", "cpu", "--backend", "torch", "--dtype", "int3"], "no such way to run"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(arguments: list[str], message: str) -> None:
    """In this process: what a command does first is to look at its options."""
    said = CliRunner().invoke(app, arguments)
    assert 2 == said.exit_code, said.exception
    assert message in said.output


def test_that_no_server_is_there_is_said_in_one_sentence() -> None:
    said = bench("run", "--address", "127.0.0.1:1", "--duration", "0.1", code=2)
    assert "standpipe-bench: no server answers at 127.0.0.1:1 within 5 s\n" == said
