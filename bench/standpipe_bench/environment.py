"""What a result was measured on: machine, system, libraries, settings and commit, as JSON can hold them.

Without what is nobody's business: no names of hosts and users, no secrets that a command line may hold. Not
aware of what is measured.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path

import psutil

from standpipe_bench import machine
from standpipe_bench.devices import Gpus, UnavailableError

_PACKAGES = (
    "standpipe",
    "accelerate",
    "diffusers",
    "grpcio",
    "hdrhistogram",
    "llguidance",
    "mkl",
    "nncf",
    "numpy",
    "nvidia-ml-py",
    "onnxruntime",
    "openvino",
    "openvino-genai",
    "openvino-tokenizers",
    "optimum",
    "optimum-intel",
    "peft",
    "protobuf",
    "psutil",
    "safetensors",
    "sentence-transformers",
    "sentencepiece",
    "tokenizers",
    "torch",
    "transformers",
    "triton",
    "uvloop",
)

_SETTINGS = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_DEVICE_MAX_CONNECTIONS",
    "CUDA_DEVICE_ORDER",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "DNNL_MAX_CPU_ISA",
    "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "MALLOC_ARENA_MAX",
    "MKL_DYNAMIC",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_DYNAMIC",
    "OMP_NUM_THREADS",
    "OMP_PLACES",
    "OMP_PROC_BIND",
    "OMP_WAIT_POLICY",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_NUM_THREADS",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "RAYON_NUM_THREADS",
    "TBB_NUM_THREADS",
    "TOKENIZERS_PARALLELISM",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "VECLIB_MAXIMUM_THREADS",
)
"""Variables that say how libraries use threads, memory and devices."""

_PRIVATE = r"(?:api[-_]?key|token|secret|password|passwd|authorization|credentials?|cookie)"
_SECRET_OPTION = re.compile(rf"-[\w-]*{_PRIVATE}", re.IGNORECASE)
_SECRET_VALUE = re.compile(rf"^([\w=-]*{_PRIVATE}\s*[=:]).+", re.IGNORECASE | re.DOTALL)
_SECRET_USER = re.compile(r"(?<=://)[^/@]+(?=@)")
_HIDDEN = "***"


def environment() -> dict[str, object]:
    """Machine, libraries, settings and commit.

    The settings are those of the bench: a server that was started elsewhere has its own.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **_system(),
        **_processors(),
        **_memory(),
        **_gpus(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "settings": {name: os.environ[name] for name in _SETTINGS if name in os.environ},
        **commit(),
        "command": command(sys.argv),
    }


def commit(folder: Path = Path(__file__).parent) -> dict[str, object]:
    """Of the checkout that a package lies in, and whether files differ from it; None where it isn't in one.

    Args:
        folder: The package's. It must be a part of the checkout: an environment may lie in another project's.
    """
    where = ["git", "-C", str(folder), "--no-optional-locks"]
    if _said([*where, "ls-files", "--error-unmatch", "__init__.py"]) is None:
        return {"commit": None, "dirty": None}
    described = _said([*where, "describe", "--always", "--dirty", "--exclude", "*"])
    if described is None:
        return {"commit": None, "dirty": None}
    return {"commit": described.removesuffix("-dirty"), "dirty": described.endswith("-dirty")}


def command(arguments: Sequence[str]) -> list[str]:
    """A command line as results may hold it: without the program's folder, the user's, and secrets."""
    program = Path(arguments[0])
    # Run as a module, it is the module's file.
    name = program.parent.name if program.name == "__main__.py" else program.name
    # Whoever has no home of their own is at home in the root, which is in every path.
    home = re.compile(rf"{re.escape(os.path.expanduser('~'))}(?=/|$)(?<=\w)")
    shown = []
    for before, argument in pairwise(arguments):
        secret = _SECRET_OPTION.fullmatch(before)
        text = _HIDDEN if secret else _SECRET_VALUE.sub(rf"\1{_HIDDEN}", argument)
        shown.append(home.sub("~", _SECRET_USER.sub(_HIDDEN, text)))
    return [name, *shown]


def _system() -> dict[str, object]:
    return {
        "system": platform.platform(),
        "distribution": machine.distribution(),
        "kernel": platform.release(),
        "hardware": machine.hardware(),
        "container": machine.container(),
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
    }


def _processors() -> dict[str, object]:
    processor = machine.processor()
    return {
        "processor": processor.name,
        "processor_flags": processor.flags,
        "virtual": processor.virtual,
        "cores": machine.usable_cores(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "core_limit": machine.core_limit(),
        "numa_nodes": machine.numa_nodes(),
        "clock": machine.clock(),
    }


def _memory() -> dict[str, object]:
    return {
        "memory_bytes": psutil.virtual_memory().total,
        "memory_limit_bytes": machine.memory_limit(),
        "swap_bytes": psutil.swap_memory().total,
    }


def _gpus() -> dict[str, object]:
    try:
        gpus = Gpus()
    except UnavailableError as error:
        return {"gpus": [], "gpus_missing": str(error)}
    gpus.close()
    return {
        "gpus": [asdict(device) for device in gpus.devices],
        "gpu_driver": gpus.driver,
        "cuda_driver": gpus.cuda,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _said(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
