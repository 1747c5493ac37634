"""What GPUs and energy counters say of themselves; ``usage_fakes`` says what stands for them here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from usage_fakes import GPU_FIGURES, MOST, FakeNvml, zone

from standpipe_bench import devices
from standpipe_bench.devices import Gpu, Gpus, Packages, UnavailableError


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_what_is_asked_of_nvml_is_what_the_library_has() -> None:
    real = pytest.importorskip("pynvml")
    names = [name for name in vars(FakeNvml) if name.lower().startswith("nvml")]
    assert [] == [name for name in [*names, *GPU_FIGURES] if not hasattr(real, name)]
    assert FakeNvml.nvmlMemory_v2 == real.nvmlMemory_v2
    assert issubclass(real.NVMLError, Exception)


def test_a_gpu_is_described(nvml: FakeNvml) -> None:
    gpus = Gpus()
    assert [Gpu(0, "NVIDIA H100", 80 << 30, "9.0", 700.0)] == gpus.devices
    assert ("580.95.05", "13.2") == (gpus.driver, gpus.cuda)


def test_older_libraries_and_drivers_are_understood(nvml: FakeNvml) -> None:
    nvml.figures["nvmlDeviceGetName"] = b"Tesla P100"
    nvml.versions = (None,)
    gpus = Gpus()
    assert ("Tesla P100", 21 << 30) == (gpus.devices[0].name, gpus.read()[0].memory_bytes)


def test_a_machine_without_the_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(UnavailableError, match="NVML: nvidia-ml-py is not installed"):
        Gpus()


def test_a_driver_without_a_gpu_is_let_go_of(nvml: FakeNvml) -> None:
    nvml.count = 0
    with pytest.raises(UnavailableError, match="NVML: the driver has no GPU"):
        Gpus()
    assert ["init", "shutdown"] == nvml.calls


def test_a_gpu_that_is_lost_at_once_is_let_go_of(nvml: FakeNvml) -> None:
    nvml.figures = {}
    with pytest.raises(UnavailableError, match="NVML: Not Supported"):
        Gpus()
    assert ["init", "shutdown"] == nvml.calls


def test_the_real_library_says_why_there_is_nothing() -> None:
    pytest.importorskip("pynvml")
    try:
        Gpus().close()
    except UnavailableError as error:
        assert str(error).startswith("NVML: ")  # noqa: PT017 - a machine may well have a GPU


def test_the_packages_energies_are_summed_up_and_their_parts_left_out(tmp_path: Path) -> None:
    first, second = zone(tmp_path, "0", "package-0", 500), zone(tmp_path, "1", "package-1", 700)
    others = [
        zone(tmp_path, number, name) for number, name in (("0:0", "core"), ("1:0", "dram"), ("2", "psys"))
    ]
    packages = Packages(tmp_path)
    for counter in (first, second, *others):
        counter.write_text("3000700")
    assert 6.0002 == packages.joules()


def test_a_counter_that_begins_anew_goes_on(tmp_path: Path) -> None:
    counter = zone(tmp_path, "0", "package-0", MOST - 1_000_000)
    packages = Packages(tmp_path)
    seen = []
    for microjoules in (2_000_000, MOST - 1, 0):
        counter.write_text(f"{microjoules}\n")
        seen.append(packages.joules())
    assert [3.0, (MOST + 999_999) / 1e6, (MOST + 1_000_000) / 1e6] == seen


def test_a_machine_without_energy_counters_says_so(tmp_path: Path) -> None:
    zone(tmp_path, "0", "psys")
    (tmp_path / "intel-rapl:1").mkdir()
    with pytest.raises(
        UnavailableError, match=r"RAPL: no processor package in .*; few virtual machines have one"
    ):
        Packages(tmp_path)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            PermissionError(),
            r"RAPL: only root may read .*intel-rapl:0/energy_uj; `chmod a\+r` on it lets others",
        ),
        (OSError("no data"), "RAPL: no data"),
    ],
)
def test_counters_that_cannot_be_read_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    def refuse(_: object) -> int:
        raise error

    zone(tmp_path, "0", "package-0")
    # Root, as which tests may run, is refused nothing.
    monkeypatch.setattr(devices._Counter, "_read", refuse)
    with pytest.raises(UnavailableError, match=reason):
        Packages(tmp_path)
