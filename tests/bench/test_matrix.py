"""A matrix on a tiny model: real processes, every cell measured or explained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture(scope="module")
def points(matrix_to_be: tuple[subprocess.Popen[str], Path]) -> list[dict[str, Any]]:
    process, result = matrix_to_be
    said, _ = process.communicate(timeout=110)
    assert 0 == process.returncode, said
    assert "tiny, one call at a time" in said
    found: list[dict[str, Any]] = json.loads(result.read_text())["points"]
    return found


def test_every_cell_of_the_processor_is_measured_in_process_and_served(points: list[dict[str, Any]]) -> None:
    measured = [point for point in points if point["labels"]["device"] == "cpu"]
    cells = [(point["labels"]["batch"], point["labels"]["path"]) for point in measured]
    assert [(1, "in-process"), (1, "served"), (3, "in-process"), (3, "served")] == cells
    for point in measured:
        figures, batch = point["figures"], point["labels"]["batch"]
        assert {} == figures["errors"]
        assert figures["items_per_second"] == pytest.approx(batch * figures["calls_per_second"])
        # All of a call's inputs ran together.
        assert {str(batch): figures["answered"]} == figures["batches"]
        assert point["usage"]["server"]["cpu_seconds"] > 0


@pytest.mark.parametrize(
    ("device", "reason", "there"),
    [
        ("cuda", "no CUDA device", torch.cuda.is_available()),
        ("mps", "not macOS", sys.platform == "darwin"),
    ],
)
def test_a_device_that_is_not_there_is_absent_with_the_reason(
    points: list[dict[str, Any]], device: str, reason: str, there: bool
) -> None:
    cells = [point for point in points if point["labels"]["device"] == device]
    assert cells
    absent = [point["absent"].startswith(reason) for point in cells if point["figures"] is None]
    assert ([] if there else [True]) == absent
