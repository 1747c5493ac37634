"""``standpipe doctor``: what this machine offers to models, and what ``auto`` would choose."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import cpuinfo
from rich.console import Console
from rich.table import Table

from standpipe_server.backends.choice import PREFERENCE, choose
from standpipe_server.backends.machine import Machine
from standpipe_server.interfaces import ModelSpec

_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "bf16",
    "i8mm",
    "sve",
)
_PACKAGES = (
    "standpipe",
    "grpcio",
    "protobuf",
    "torch",
    "transformers",
    "tokenizers",
    "openvino",
    "optimum-intel",
    "diffusers",
)


def diagnose(console: Console, machine: Machine) -> None:
    """Print the table."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    for name, value in _rows(machine):
        table.add_row(name, value)
    console.print(table)


def _rows(machine: Machine) -> Iterator[tuple[str, str]]:
    processor = cpuinfo.get_cpu_info()
    flags = [flag for flag in _FLAGS if flag in processor.get("flags", [])]
    yield "machine", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    yield "processor", f"{processor.get('brand_raw', 'unknown')}, {machine.cores} cores for this process"
    yield "its features", " ".join(flags) or "none that matter here"
    yield "CUDA", ", ".join(machine.cuda_devices) or f"no: {machine.no_cuda}"
    yield "MPS", f"no: {machine.no_mps}" if machine.no_mps else "yes"
    devices = (f"{name} ({' '.join(types)})" for name, types in machine.openvino_devices.items())
    yield "OpenVINO", f"no: {machine.no_openvino}" if machine.no_openvino else ", ".join(devices)
    yield "versions", ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    spec, reason = choose(ModelSpec("any", "any", ("feature-extraction",)), machine)
    yield "auto chooses", f"{spec.backend} {spec.dtype} on {spec.device}: {reason}"
    for option in PREFERENCE:
        obstacle = option.obstacle(machine)
        yield f"  {option}", f"no: {obstacle}" if obstacle else "yes"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
