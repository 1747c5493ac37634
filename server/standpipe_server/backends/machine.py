"""What this machine offers to models. Facts only, each found out when it is first asked for."""

from __future__ import annotations

import os
from functools import cached_property
from importlib.util import find_spec


class Machine:
    """This machine, as torch and OpenVINO see it."""

    @cached_property
    def cores(self) -> int:
        """Processors that this process may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @cached_property
    def no_cuda(self) -> str:
        """Why CUDA can't be used; empty where it can."""
        import torch

        if torch.version.cuda is None:
            return f"torch {torch.__version__} was built without CUDA"
        return "" if torch.cuda.is_available() else "torch was built for CUDA but finds no device"

    @cached_property
    def cuda_devices(self) -> list[str]:
        """Names of the CUDA devices."""
        if self.no_cuda:
            return []
        import torch

        return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]

    @cached_property
    def cuda_bf16(self) -> bool:
        """Whether the CUDA devices compute in bf16 themselves."""
        import torch

        return not self.no_cuda and torch.cuda.is_bf16_supported(including_emulation=False)

    @cached_property
    def no_mps(self) -> str:
        """Why Apple's Metal can't be used; empty where it can."""
        import torch

        return "" if torch.backends.mps.is_available() else "no MPS here"

    @cached_property
    def no_openvino(self) -> str:
        """Why OpenVINO can't be used; empty where it can."""
        missing = [name for name in ("openvino", "optimum.intel") if not _installed(name)]
        return f"not installed: {', '.join(missing)}" if missing else ""

    @cached_property
    def openvino_devices(self) -> dict[str, list[str]]:
        """OpenVINO's devices and the numeric types in which each computes."""
        if self.no_openvino:
            return {}
        import openvino

        core = openvino.Core()
        return {
            device: list(core.get_property(device, "OPTIMIZATION_CAPABILITIES"))
            for device in core.available_devices
        }

    @cached_property
    def openvino_bf16(self) -> bool:
        """Whether OpenVINO computes in bf16 on this processor itself."""
        return "BF16" in self.openvino_devices.get("CPU", [])


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
