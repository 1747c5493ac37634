"""What NVIDIA's GPUs and the processor's energy counters say of themselves, at the moment of asking.

The GPUs by NVML, the processor packages by RAPL; either may be missing, and then says why. Not aware of runs,
nor of processes: what is said is of whole devices, whoever uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

POWERCAP = Path("/sys/class/powercap")
"""Where Linux has the energy counters of processors."""


class UnavailableError(RuntimeError):
    """Something of the machine can't be looked at; the message says why."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """What doesn't change of a GPU.

    Attributes:
        index: As NVML counts, by the bus: not as CUDA does, whose order and choice the environment sets.
        name: The maker's.
        memory_bytes: In all; None where the GPU doesn't say, as below.
        compute_capability: "9.0".
        power_limit_watts: That the driver keeps it to.
    """

    index: int
    name: str
    memory_bytes: int | None
    compute_capability: str | None
    power_limit_watts: float | None


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What a GPU said; None where it doesn't say.

    Attributes:
        utilization_percent: Of the last sixth of a second to second, the part in which any kernel ran.
        memory_bytes: Allocated on it.
        energy_joules: Used since its driver was loaded; GPUs before Volta don't count it.
        power_watts: Drawn.
    """

    utilization_percent: float | None
    memory_bytes: int | None
    energy_joules: float | None
    power_watts: float | None


class Gpus:
    """All of the machine's NVIDIA GPUs, opened until ``close``.

    Attributes:
        devices: In NVML's order.
        driver: Its version.
        cuda: The newest CUDA that the driver runs: "13.0".

    Raises:
        UnavailableError: There are none, or no library to ask.
    """

    def __init__(self) -> None:
        try:
            # It has no types, and needn't be installed.
            nvml: Any = import_module("pynvml")
        except ModuleNotFoundError:
            raise UnavailableError("NVML: nvidia-ml-py is not installed") from None
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            raise UnavailableError(f"NVML: {error}") from None
        self._nvml = nvml
        try:
            self._handles = [
                nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())
            ]
            self.devices = [self._device(index, handle) for index, handle in enumerate(self._handles)]
            self.driver = _text(nvml.nvmlSystemGetDriverVersion())
            self.cuda = self._cuda()
        except nvml.NVMLError as error:
            self.close()
            raise UnavailableError(f"NVML: {error}") from None
        if not self._handles:
            self.close()
            raise UnavailableError("NVML: the driver has no GPU")

    def read(self) -> Sequence[GpuReading]:
        """What each says now, in the order of ``devices``."""
        return [self._reading(handle) for handle in self._handles]

    def close(self) -> None:
        """Let go of them."""
        # Where a GPU is lost, there is nothing left to let go of.
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _device(self, index: int, handle: Any) -> Gpu:
        nvml = self._nvml
        capability = self._asked(lambda: nvml.nvmlDeviceGetCudaComputeCapability(handle))
        limit = self._asked(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
        memory = self._asked(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        return Gpu(
            index=index,
            name=_text(nvml.nvmlDeviceGetName(handle)),
            memory_bytes=None if memory is None else int(memory.total),
            compute_capability=None if capability is None else ".".join(map(str, capability)),
            power_limit_watts=_thousandth(limit),
        )

    def _reading(self, handle: Any) -> GpuReading:
        nvml = self._nvml
        rates = self._asked(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        return GpuReading(
            utilization_percent=None if rates is None else float(rates.gpu),
            memory_bytes=self._allocated(handle),
            energy_joules=_thousandth(self._asked(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle))),
            power_watts=_thousandth(self._asked(lambda: nvml.nvmlDeviceGetPowerUsage(handle))),
        )

    def _allocated(self, handle: Any) -> int | None:
        nvml = self._nvml
        # The first version counts what the driver keeps for itself as used too; older drivers have no other.
        memory = self._asked(lambda: nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2))
        if memory is None:
            memory = self._asked(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        return None if memory is None else int(memory.used)

    def _cuda(self) -> str:
        version = self._nvml.nvmlSystemGetCudaDriverVersion_v2()
        return f"{version // 1000}.{version % 1000 // 10}"

    def _asked(self, question: Callable[[], T]) -> T | None:
        """An answer; None where this GPU or its driver has none."""
        try:
            return question()
        except self._nvml.NVMLError:
            return None


class Packages:
    """The energy counters of the processor packages, memory excepted.

    The kernel calls them Intel's, of AMD's processors too.

    Args:
        folder: Where they are.

    Raises:
        UnavailableError: There are none, or they may not be read.
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
        # Their parts, such as the cores, lie beside them; so does what holds them all, the platform.
        zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if _is_package(zone)]
        if not zones:
            raise UnavailableError(
                f"RAPL: no processor package in {folder}; few virtual machines have one, and Linux only"
            )
        try:
            self._counters = [_Counter(zone) for zone in zones]
        except PermissionError:
            raise UnavailableError(
                f"RAPL: only root may read {zones[0] / 'energy_uj'}; `chmod a+r` on it lets others"
            ) from None
        except (OSError, ValueError) as error:
            raise UnavailableError(f"RAPL: {error}") from None

    def joules(self) -> float | None:
        """Used by all of them since this was made; to be asked more often than the counters wrap around."""
        try:
            return sum(counter.microjoules() for counter in self._counters) / 1e6
        except (OSError, ValueError):
            # Gone with its package, or its module.
            return None


class _Counter:
    """One counter, which begins anew after its greatest figure: at full load within minutes to hours."""

    def __init__(self, zone: Path) -> None:
        self._file = zone / "energy_uj"
        self._range = int((zone / "max_energy_range_uj").read_text(encoding="ascii"))
        self._last = self._read()
        self._used = 0

    def microjoules(self) -> int:
        now = self._read()
        self._used += now - self._last if now >= self._last else now - self._last + self._range
        self._last = now
        return self._used

    def _read(self) -> int:
        return int(self._file.read_text(encoding="ascii"))


def _is_package(zone: Path) -> bool:
    try:
        return (zone / "name").read_text(encoding="utf-8").startswith("package")
    except OSError:
        return False


def _text(name: str | bytes) -> str:
    # Older versions of the library give bytes.
    return name.decode() if isinstance(name, bytes) else name


def _thousandth(figure: int | None) -> float | None:
    """Watts of milliwatts, joules of millijoules."""
    return None if figure is None else figure / 1000
