"""What a run took: of a real process, and of GPUs and energy counters, for which ``usage_fakes`` stands."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from usage_fakes import BURN, NEVER, WAIT, FakeNvml, NVMLError, first_line, python, zone

from standpipe_bench import usage
from standpipe_bench.devices import Packages
from standpipe_bench.usage import Line, Usage


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock that looks are timed by: it stands still unless it is set."""
    found = SimpleNamespace(now=0.0)
    monkeypatch.setattr(usage, "time", SimpleNamespace(perf_counter=lambda: found.now))
    return found


def line(*points: tuple[float, float | None]) -> Line:
    made = Line()
    for moment, value in points:
        made.add(moment, value)
    return made


COUNTER = ((0.0, 100.0), (1.0, 110.0), (2.0, 150.0))


@pytest.mark.parametrize(
    ("points", "begin", "end", "expected"),
    [
        pytest.param(COUNTER, 0, 2, 50.0, id="all of it"),
        pytest.param(COUNTER, 0.5, 1.5, 25.0, id="between looks"),
        pytest.param(COUNTER, 1.25, 1.5, 10.0, id="within two looks"),
        pytest.param(COUNTER, -5, 9, 50.0, id="beyond what was seen"),
        pytest.param(COUNTER[:1], 0, 2, None, id="seen once"),
        pytest.param((), 0, 2, None, id="never seen"),
        pytest.param(((0.0, 0.0), (1.0, None), (2.0, 7.0)), 0, 2, 7.0, id="unread between"),
        pytest.param(((0.0, 0.0), (1.0, 7.0), (2.0, None)), 0, 2, None, id="unread at the end"),
    ],
)
def test_a_counter_s_gain_is_that_of_the_interval(
    points: Sequence[tuple[float, float | None]], begin: float, end: float, expected: float | None
) -> None:
    assert expected == line(*points).gained(begin, end)


@pytest.mark.parametrize(
    ("points", "begin", "end", "mean", "peak"),
    [
        pytest.param(((0.0, 0.0), (1.0, 10.0), (4.0, 10.0)), 0, 4, 8.75, 10.0, id="unevenly looked at"),
        pytest.param(((0.0, 0.0), (10.0, 100.0)), 2, 4, 30.0, 40.0, id="within two looks"),
        pytest.param(((3.0, 7.0),), 0, 4, 7.0, 7.0, id="seen once"),
        pytest.param(((0.0, 4.0), (1.0, None), (2.0, 4.0)), 0, 2, 4.0, 4.0, id="unread between"),
        pytest.param((), 0, 4, None, None, id="never seen"),
        pytest.param(((0.0, None), (1.0, None)), 0, 1, None, None, id="never to be had"),
    ],
)
def test_a_figure_s_mean_and_peak_are_those_of_the_interval(
    points: Sequence[tuple[float, float | None]],
    begin: float,
    end: float,
    mean: float | None,
    peak: float | None,
) -> None:
    assert (mean, peak) == (line(*points).mean(begin, end), line(*points).peak(begin, end))


def test_a_power_s_integral_is_an_energy() -> None:
    power = line((0.0, 100.0), (1.0, None), (2.0, 100.0), (4.0, 300.0))
    assert 600.0 == power.integral().gained(0, 4)
    assert 100.0 == power.integral().gained(0.5, 1.5)


def test_a_busy_process_s_time_and_memory_are_seen() -> None:
    with python("print(flush=True)\nwhile True: pass") as process, Usage(process.pid, every=0.05) as watched:
        first_line(process)
        begin = time.perf_counter()
        while (found := watched.used(begin, time.perf_counter()))["server"]["cpu_seconds"] < 0.1:
            time.sleep(0.05)
    server = found["server"]
    assert server["cpu_seconds"] / found["seconds"] == server["cores_busy"]
    assert 0 < server["rss_mean_bytes"] <= server["rss_peak_bytes"]
    assert "server" not in found["missing"]
    assert found == json.loads(json.dumps(found))


def test_a_time_is_told_of_after_the_watch_is_closed() -> None:
    with Usage(os.getpid(), every=0.01) as watched:
        begin = time.perf_counter()
        time.sleep(0.05)
        end = time.perf_counter()
    found = watched.used(begin, end)
    assert watched.used(begin, end) == found
    assert "time" not in found["missing"]


def test_a_time_that_was_not_watched_is_named(clock: SimpleNamespace) -> None:
    clock.now = 10.0
    watched = Usage(os.getpid(), every=NEVER)
    clock.now = 20.0
    watched.close()
    watched.close()
    assert "time" not in watched.used(10, 20)["missing"]
    assert "nobody looked during 3 s of it" == watched.used(8, 21)["missing"]["time"]


def test_a_time_must_end_after_it_begins() -> None:
    with Usage() as watched, pytest.raises(ValueError, match=r"end \(1\) must come after begin \(1\)"):
        watched.used(1, 1)


def test_a_server_that_ends_is_named_and_what_it_took_is_kept() -> None:
    with python(BURN.format(seconds=0.1) + "print(flush=True)\n" + WAIT) as process:
        begin = time.perf_counter()
        with Usage(process.pid, every=NEVER) as watched:
            first_line(process)
            before = watched.used(begin, time.perf_counter())
            process.kill()
            # Not waited for: what is left of it until then takes nothing, but isn't gone either.
            while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
            found = watched.used(begin, time.perf_counter())
    assert "server" not in before["missing"]
    assert f"process {process.pid} was last seen" in found["missing"]["server"]
    assert before["server"]["cpu_seconds"] <= found["server"]["cpu_seconds"]


def test_where_no_process_is_known_or_there_is_none_the_reason_is_named() -> None:
    with python("") as process:
        process.wait()
    for pid, reason in (
        (None, "no process of this machine is known to be it"),
        (process.pid, f"there is no process {process.pid}"),
    ):
        with Usage(pid, every=NEVER) as watched:
            begin = time.perf_counter()
            time.sleep(0.001)
            found = watched.used(begin, time.perf_counter())
        assert (None, reason) == (found["server"], found["missing"]["server"])


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_a_gpu_s_figures_are_those_of_the_interval(nvml: FakeNvml, clock: SimpleNamespace) -> None:
    with Usage(every=NEVER) as watched:
        clock.now = 10.0
        nvml.figures["nvmlDeviceGetTotalEnergyConsumption"] += 4_000_000
        nvml.figures["nvmlDeviceGetUtilizationRates"] = SimpleNamespace(gpu=100, memory=10)
        found = watched.used(2.0, 4.0)
    expected = {
        "index": 0,
        "name": "NVIDIA H100",
        "utilization_percent": pytest.approx(65.0),
        "memory_peak_bytes": 20 << 30,
        "energy_joules": pytest.approx(800.0),
        "power_watts": pytest.approx(400.0),
    }
    assert [expected] == found["gpus"]
    assert "gpu" not in found["missing"]
    assert ["init", "shutdown"] == nvml.calls


def test_where_a_gpu_counts_no_energy_its_power_is_summed_up(nvml: FakeNvml, clock: SimpleNamespace) -> None:
    del nvml.figures["nvmlDeviceGetTotalEnergyConsumption"]
    with Usage(every=NEVER) as watched:
        clock.now = 2.0
        found = watched.used(0.0, 2.0)
    assert (600.0, 300.0) == (found["gpus"][0]["energy_joules"], found["gpus"][0]["power_watts"])


def test_what_a_gpu_does_not_tell_is_named(nvml: FakeNvml, clock: SimpleNamespace) -> None:
    nvml.figures = {"nvmlDeviceGetName": "GRID"}
    with Usage(every=NEVER) as watched:
        clock.now = 2.0
        found = watched.used(0.0, 2.0)
    assert (None, 20 << 30) == (
        found["gpus"][0]["utilization_percent"],
        found["gpus"][0]["memory_peak_bytes"],
    )
    told = "NVML doesn't tell utilization_percent of GPU 0, energy_joules of GPU 0, power_watts of GPU 0"
    assert told == found["missing"]["gpu"]


def test_a_machine_without_a_driver_says_so(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise NVMLError("NVML Shared Library Not Found")

    monkeypatch.setattr(nvml, "nvmlInit", fail)
    with Usage(every=NEVER) as watched:
        begin = time.perf_counter()
        time.sleep(0.001)
        found = watched.used(begin, time.perf_counter())
    assert ([], "NVML: NVML Shared Library Not Found") == (found["gpus"], found["missing"]["gpu"])


def test_the_package_s_energy_is_that_of_the_interval(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = zone(tmp_path, "0", "package-0")
    monkeypatch.setattr(usage, "Packages", lambda: Packages(tmp_path))
    with Usage(every=NEVER) as watched:
        clock.now = 10.0
        counter.write_text("500000000")
        found = watched.used(2.0, 4.0)
        counter.unlink()
        clock.now = 20.0
        later = watched.used(5.0, 20.0)
    assert (100.0, False) == (found["package_energy_joules"], "rapl" in found["missing"])
    assert None is later["package_energy_joules"]
    assert "RAPL: the counters could be read no longer" == later["missing"]["rapl"]
