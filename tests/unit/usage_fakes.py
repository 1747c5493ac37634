"""What tests of usage and devices stand on: processes that run a program, and counters made here.

There is no GPU and no readable energy counter where tests run. NVML is therefore a module made here that has
nvidia-ml-py's functions, with their names, units and types; RAPL is a folder with the files that Linux has.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

NEVER = 3600.0
"""Seconds between two looks of a thread that isn't to look."""

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
WAIT = "import sys; sys.stdin.read()"


@contextmanager
def python(program: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that runs a program, and knows that it's no longer wanted when its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


class NVMLError(Exception):
    """As nvidia-ml-py has it."""


GPU_FIGURES: Mapping[str, Any] = {
    "nvmlDeviceGetName": "NVIDIA H100",
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=50, memory=10),
    "nvmlDeviceGetTotalEnergyConsumption": 5_000_000,
    "nvmlDeviceGetPowerUsage": 300_000,
    "nvmlDeviceGetEnforcedPowerLimit": 700_000,
    "nvmlDeviceGetCudaComputeCapability": (9, 0),
}


class FakeNvml(ModuleType):
    """Stands for nvidia-ml-py with a driver and one GPU, which says what ``figures`` has by function."""

    NVMLError = NVMLError
    nvmlMemory_v2 = 0x02000028  # noqa: N815 - the library's name

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.figures = dict(GPU_FIGURES)
        self.calls: list[str] = []
        self.count = 1
        self.versions: tuple[int | None, ...] = (None, self.nvmlMemory_v2)

    def __getattr__(self, name: str) -> Callable[[str], Any]:
        if name not in GPU_FIGURES:
            raise AttributeError(name)
        return lambda handle: self._figure(name)

    def _figure(self, name: str) -> Any:
        if name not in self.figures:
            raise NVMLError("Not Supported")
        return self.figures[name]

    def nvmlInit(self) -> None:  # noqa: N802 - as below, the library's name
        self.calls.append("init")

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.calls.append("shutdown")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        return f"handle {index}"

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.95.05"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:  # noqa: N802
        return 13_020

    def nvmlDeviceGetMemoryInfo(self, handle: str, version: int | None = None) -> SimpleNamespace:  # noqa: N802
        if version not in self.versions:
            raise NVMLError("Function Not Found")
        # The first version counts what is reserved as used.
        return SimpleNamespace(total=80 << 30, free=60 << 30, used=20 << 30 if version else 21 << 30)


MOST = 262_143_328_850
"""Microjoules at which real counters begin anew."""


def zone(folder: Path, number: str, name: str, microjoules: int = 0) -> Path:
    made = folder / f"intel-rapl:{number}"
    made.mkdir()
    for file, text in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", MOST)):
        (made / file).write_text(f"{text}\n")
    return made / "energy_uj"
