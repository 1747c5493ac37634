"""The machine as its system describes it: processor, clock, limits, and whether it is a machine at all.

By Linux's files and macOS's ``sysctl``; what a system doesn't say is None. Not aware of what runs on it.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import psutil

ROOT = Path("/")

FLAGS = frozenset(
    (
        "advsimd",
        "amx_bf16",
        "amx_fp16",
        "amx_int8",
        "amx_tile",
        "asimd",
        "asimddp",
        "asimdhp",
        "avx",
        "avx2",
        "avx512_bf16",
        "avx512_fp16",
        "avx512_vnni",
        "avx512bw",
        "avx512dq",
        "avx512f",
        "avx512vl",
        "avx_ifma",
        "avx_vnni",
        "avx_vnni_int8",
        "bf16",
        "dotprod",
        "f16c",
        "fma",
        "fp16",
        "fphp",
        "i8mm",
        "neon",
        "sme",
        "sme2",
        "sse4_2",
        "sve",
        "sve2",
        "svebf16",
        "svei8mm",
    )
)
"""What processors can do that matters to inference: x86's and Arm's, as Linux and macOS call them."""

_CONTAINERS: Mapping[str, str] = {
    "kubepods": "kubernetes",
    "docker": "docker",
    "libpod": "podman",
    "lxc": "lxc",
    "containerd": "containerd",
}
"""What the names of control groups tell."""


@dataclass(frozen=True, slots=True)
class Processor:
    """What a processor says of itself.

    Attributes:
        name: The maker's.
        flags: Those of ``FLAGS`` that it has, sorted.
        virtual: Whether it knows that it is a virtual machine's; Arm's don't tell.
        mhz: Its clock just now.
    """

    name: str
    flags: list[str]
    virtual: bool | None = None
    mhz: float | None = None


def processor(root: Path = ROOT) -> Processor:
    """The first of this machine's."""
    if sys.platform == "darwin":
        return apple_processor(_sysctl())
    fields = _cpuinfo(root)
    flags = (fields.get("flags") or fields.get("Features", "")).split()
    return Processor(
        name=fields.get("model name") or _arm_name(fields) or platform.processor() or platform.machine(),
        flags=sorted(FLAGS.intersection(flags)),
        virtual="hypervisor" in flags if "flags" in fields else None,
        mhz=_number(fields.get("cpu MHz", "")),
    )


def apple_processor(settings: Mapping[str, str]) -> Processor:
    """As ``sysctl`` describes it.

    Args:
        settings: Of ``hw`` and ``machdep``.
    """
    optional = {
        name.rpartition(".")[2].lower().removeprefix("feat_")
        for name, value in settings.items()
        if name.startswith("hw.optional.") and value == "1"
    }
    listed = " ".join(settings.get(f"machdep.cpu.{name}", "") for name in ("features", "leaf7_features"))
    hertz = _number(settings.get("hw.cpufrequency", ""))
    return Processor(
        name=settings.get("machdep.cpu.brand_string", platform.processor()),
        flags=sorted(FLAGS.intersection(optional.union(listed.lower().replace(".", "_").split()))),
        virtual=settings.get("kern.hv_vmm_present") == "1",
        mhz=hertz and hertz / 1e6,
    )


def clock(root: Path = ROOT) -> dict[str, object]:
    """How fast processors run, and who decides it; what Linux doesn't say is left out."""
    folder = root / "sys/devices/system/cpu/cpu0/cpufreq"
    # Of the first one: to ask each of a hundred takes longer than all else here.
    current = _number(_text(folder / "scaling_cur_freq"))
    most = _number(_text(folder / "cpuinfo_max_freq"))
    found = {
        "driver": _text(folder / "scaling_driver") or None,
        "governor": _text(folder / "scaling_governor") or None,
        "current_mhz": current / 1e3 if current else processor(root).mhz,
        "max_mhz": most and most / 1e3,
    }
    return {name: value for name, value in found.items() if value is not None}


def usable_cores() -> int | None:
    """Processors that this process may run on; their time may be limited besides."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def core_limit(root: Path = ROOT) -> float | None:
    """Cores whose time this process may use, by the least of its control groups' quotas; None without one."""
    quotas = [
        int(quota) / int(period)
        for folder in _groups(root, "cpu")
        for quota, period in (
            _pair(_text(folder / "cpu.max")),
            (_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")),
        )
        # "max" and -1 are none.
        if quota.isdigit() and period.isdigit() and int(period)
    ]
    return min(quotas, default=None)


def memory_limit(root: Path = ROOT) -> int | None:
    """Bytes that this process may use, by the least of its control groups' limits; None without one."""
    limits = [
        int(text)
        for folder in _groups(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        if (text := _text(folder / name)).isdigit()
    ]
    least = min(limits, default=None)
    # The first version writes none as a number beyond all memories.
    return least if least is not None and least < psutil.virtual_memory().total else None


def container(root: Path = ROOT) -> str | None:
    """What kind of container this process seems to be in; None where nothing tells of one."""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    groups = _text(root / "proc/self/cgroup")
    told = [kind for word, kind in _CONTAINERS.items() if word in groups]
    told += ["docker"] if (root / ".dockerenv").exists() else []
    told += ["podman"] if (root / "run/.containerenv").exists() else []
    return told[0] if told else os.environ.get("container")  # noqa: SIM112 - systemd's name has small letters


def hardware(root: Path = ROOT) -> str | None:
    """What its maker, or the cloud that it is in, calls the machine."""
    if sys.platform == "darwin":
        return _sysctl().get("hw.model")
    folder = root / "sys/class/dmi/id"
    return " ".join(filter(None, (_text(folder / "sys_vendor"), _text(folder / "product_name")))) or None


def numa_nodes(root: Path = ROOT) -> int | None:
    """Parts of the memory that are nearer to some processors than to others."""
    return len(list((root / "sys/devices/system/node").glob("node[0-9]*"))) or None


def distribution() -> str | None:
    """Of Linux: "Debian GNU/Linux 12 (bookworm)"."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


def _cpuinfo(root: Path) -> dict[str, str]:
    fields = {}
    try:
        with (root / "proc/cpuinfo").open(encoding="utf-8") as lines:
            for line in lines:
                name, colon, value = line.partition(":")
                if not colon:
                    # The others are like the first; Linux would ask them all for their clock.
                    break
                fields[name.strip()] = value.strip()
    except OSError:
        pass
    return fields


def _arm_name(fields: Mapping[str, str]) -> str:
    """Arm's have numbers, no names."""
    numbers = [(name, fields.get(f"CPU {name}")) for name in ("implementer", "part", "variant", "revision")]
    return " ".join([platform.machine(), *(f"{name} {number}" for name, number in numbers if number)])


@cache
def _sysctl() -> dict[str, str]:
    command = ["/usr/sbin/sysctl", "hw", "machdep.cpu", "kern.hv_vmm_present"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(re.findall(r"^([\w.]+): (.*)$", done.stdout, re.MULTILINE))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, in either version, outwards."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        inner = PurePosixPath(path)
        for mount in {controllers, controller if controllers else ""}:
            for group in (inner, *inner.parents):
                yield root / "sys/fs/cgroup" / mount / group.relative_to("/")


def _pair(text: str) -> tuple[str, str]:
    first, _, second = text.partition(" ")
    return first, second


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(path: Path) -> str:
    """What a file says; nothing where it doesn't exist or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
