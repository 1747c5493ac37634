"""The commands as a newcomer types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from standpipe import contract
from standpipe_bench.server_process import ServerProcess


def output_of(*command: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=100, check=False
    )
    assert 0 == ended.returncode, ended.stderr
    return ended.stdout


def test_the_demo_calls_every_rpc_and_measures_the_server(
    default_server: ServerProcess, tmp_path: Path
) -> None:
    result = tmp_path / "result.json"
    options = ["--address", default_server.address, "--duration", "0.5", "--json", str(result)]
    said = output_of("standpipe_bench", "demo", *options)
    assert all(name in said for name in (*(method.name for method in contract.methods().values()), "p99.9"))
    (point,) = json.loads(result.read_text())["points"]
    assert (64, {}) == (point["schedule"]["concurrency"], point["figures"]["errors"])
    assert point["figures"]["answered"] > 0


def test_a_run_measures_a_server_that_is_there(tiny_server: ServerProcess, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    options = ["--concurrency", "2", "--words", "9", "--items", "3", "--duration", "0.3", "--warm-up", "0.1"]
    output_of("standpipe_bench", "run", "--address", tiny_server.address, *options, "--json", str(result))
    written = json.loads(result.read_text())
    assert {"processor", "cores", "packages", "commit"} <= set(written["environment"])
    (point,) = written["points"]
    figures = point["figures"]
    assert figures["items_per_second"] > figures["calls_per_second"] > 0
    assert figures["batches"]
    assert point["usage"]["server"]["rss_peak_bytes"] > 0
    assert ("tiny", "torch") == (point["model"]["name"], point["model"]["backend"])


def test_the_doctor_says_what_auto_chooses_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where OpenVINO keeps account of what it reports to its makers, if it does.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    said = output_of("standpipe_server", "doctor")
    assert all(word in said for word in ("processor", "CUDA", "MPS", "OpenVINO", "auto chooses"))
    assert [] == list(tmp_path.iterdir())
