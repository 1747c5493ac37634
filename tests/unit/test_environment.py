"""What a result says that it was measured on: by this machine, and by folders that imitate others."""

from __future__ import annotations

import getpass
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from usage_fakes import FakeNvml

from standpipe_bench import environment as environments
from standpipe_bench import machine
from standpipe_bench.environment import command, commit, environment
from standpipe_bench.machine import Processor, apple_processor

linux = pytest.mark.skipif(sys.platform != "linux", reason="imitates Linux's files")


def files(root: Path, contents: Mapping[str, str]) -> Path:
    for name, text in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_an_environment_is_whole_and_json_can_hold_it() -> None:
    found = environment()
    assert found == json.loads(json.dumps(found))
    former = {"time", "system", "processor", "cores", "memory_bytes", "python", "packages", "commit"}
    assert former <= found.keys()
    assert platform.python_version() == found["python"]
    assert {"standpipe", "grpcio", "numpy", "psutil"} <= set(found["packages"])  # type: ignore[call-overload]


def test_an_environment_names_neither_host_nor_user_nor_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(Path.home() / "bin" / "bench"), str(Path.home() / "found.json")])
    # The names of this machine may be parts of other words.
    monkeypatch.setattr(platform, "node", lambda: "secret-host")
    monkeypatch.setattr(getpass, "getuser", lambda: "secret-user")
    said = json.dumps(environment())
    assert [] == [word for word in ("secret-host", "secret-user", f"{Path.home()}/") if word in said]


def test_an_environment_has_the_settings_that_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environments._SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert {"OMP_NUM_THREADS": "4"} == environment()["settings"]


def test_an_environment_describes_gpus_and_lets_go_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    found = environment()
    expected = {
        "index": 0,
        "name": "NVIDIA H100",
        "memory_bytes": 80 << 30,
        "compute_capability": "9.0",
        "power_limit_watts": 700.0,
    }
    assert [expected] == found["gpus"]
    assert ("580.95.05", "13.2") == (found["gpu_driver"], found["cuda_driver"])
    assert ["init", "shutdown"] == nvml.calls


def test_an_environment_without_gpus_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = environment()
    assert ([], "NVML: nvidia-ml-py is not installed") == (found["gpus"], found["gpus_missing"])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["/opt/bin/standpipe-bench", "run", "-c", "8"], ["standpipe-bench", "run", "-c", "8"]),
        (["/opt/lib/standpipe_bench/__main__.py", "run"], ["standpipe_bench", "run"]),
        (["b", "localhost:50051", "/data/x.json"], ["b", "localhost:50051", "/data/x.json"]),
        (["b", f"--output={Path.home()}/x.json"], ["b", "--output=~/x.json"]),
        (["b", "--api-key", "abc", "run"], ["b", "--api-key", "***", "run"]),
        (["b", "--hf-token=abc"], ["b", "--hf-token=***"]),
        (["b", "--metadata", "authorization=Bearer abc"], ["b", "--metadata", "authorization=***"]),
        (["b", "-H", "Authorization: Bearer abc"], ["b", "-H", "Authorization:***"]),
        (["b", "http://me:abc@localhost:8000/v1"], ["b", "http://***@localhost:8000/v1"]),
        (["b", "--max-tokens", "64", "--tokens=8"], ["b", "--max-tokens", "64", "--tokens=8"]),
    ],
)
def test_a_command_line_is_shown_without_secrets(given: list[str], shown: list[str]) -> None:
    assert shown == command(given)


def test_a_user_without_a_home_is_shown_paths_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    given = ["b", "http://localhost:8000/v1", "/data/x.json"]
    assert given == command(given)


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    done = subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("there is no git here")
    files(tmp_path, {"package/__init__.py": "", "package/other.py": "", "venv/package/__init__.py": ""})
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    git(tmp_path, "tag", "v1")
    return tmp_path


def test_a_package_s_commit_is_that_of_its_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Wherever one happens to be.
    monkeypatch.chdir("/")
    short = git(checkout, "rev-parse", "--short", "HEAD")
    assert {"commit": short, "dirty": False} == commit(checkout / "package")
    (checkout / "package" / "other.py").write_text("changed = True")
    assert {"commit": short, "dirty": True} == commit(checkout / "package")


@pytest.mark.parametrize("folder", ["venv/package", "..", "nowhere"])
def test_a_package_that_is_no_part_of_a_checkout_has_no_commit(checkout: Path, folder: str) -> None:
    assert {"commit": None, "dirty": None} == commit(checkout / folder)


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert {"commit": None, "dirty": None} == commit(checkout / "package")


XEON = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
cpu MHz\t\t: 2699.998
flags\t\t: fpu sse4_2 hypervisor f16c fma avx2 avx512f avx512_vnni amx_tile amx_bf16 amx_int8 avx512_bf16

processor\t: 1
model name\t: another
"""

GRAVITON = """\
processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd aes asimddp sve i8mm bf16
CPU implementer\t: 0x41
CPU variant\t: 0x1
CPU part\t: 0xd40
CPU revision\t: 1
"""


@linux
def test_a_processor_is_read_from_its_first_part(tmp_path: Path) -> None:
    files(tmp_path, {"proc/cpuinfo": XEON})
    flags = [*("amx_bf16", "amx_int8", "amx_tile"), *("avx2", "avx512_bf16", "avx512_vnni", "avx512f")]
    flags += ["f16c", "fma", "sse4_2"]
    name = "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"
    assert Processor(name, flags, virtual=True, mhz=2699.998) == machine.processor(tmp_path)
    assert {"current_mhz": 2699.998} == machine.clock(tmp_path)


@linux
def test_an_arm_processor_goes_by_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    files(tmp_path, {"proc/cpuinfo": GRAVITON})
    name = "aarch64 implementer 0x41 part 0xd40 variant 0x1 revision 1"
    expected = Processor(name, ["asimd", "asimddp", "bf16", "i8mm", "sve"], virtual=None)
    assert expected == machine.processor(tmp_path)


@linux
def test_a_machine_that_tells_nothing_is_still_described(tmp_path: Path) -> None:
    found = machine.processor(tmp_path)
    assert ([], None, None) == (found.flags, found.virtual, found.mhz)
    assert found.name
    told = (machine.core_limit, machine.memory_limit, machine.hardware, machine.numa_nodes)
    assert [None] * 4 == [tell(tmp_path) for tell in told]
    assert {} == machine.clock(tmp_path)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            {
                "machdep.cpu.brand_string": "Apple M4",
                "hw.optional.neon": "1",
                "hw.optional.arm.FEAT_BF16": "1",
                "hw.optional.arm.FEAT_SME": "0",
                "kern.hv_vmm_present": "0",
            },
            Processor("Apple M4", ["bf16", "neon"], virtual=False),
            id="Apple's",
        ),
        pytest.param(
            {
                "machdep.cpu.brand_string": "Intel(R) Core(TM) i7",
                "machdep.cpu.features": "FPU SSE4.2 FMA F16C",
                "machdep.cpu.leaf7_features": "AVX2 BMI1",
                "hw.cpufrequency": "2600000000",
                "kern.hv_vmm_present": "1",
            },
            Processor("Intel(R) Core(TM) i7", ["avx2", "f16c", "fma", "sse4_2"], virtual=True, mhz=2600.0),
            id="Intel's",
        ),
    ],
)
def test_a_mac_s_processor_is_read_from_its_settings(
    settings: Mapping[str, str], expected: Processor
) -> None:
    assert expected == apple_processor(settings)


def test_a_mac_s_settings_are_read_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "hw.model: Mac16,1\nhw.optional.arm.FEAT_BF16: 1\nmachdep.cpu.brand_string: Apple M4: Pro\n"
    # There is no macOS here to ask.
    monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=said))  # type: ignore[attr-defined]
    expected = {
        "hw.model": "Mac16,1",
        "hw.optional.arm.FEAT_BF16": "1",
        "machdep.cpu.brand_string": "Apple M4: Pro",
    }
    assert expected == machine._sysctl.__wrapped__()


@linux
@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5, id="v2"
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None, id="no quota"
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/outer/inner\n",
                "sys/fs/cgroup/outer/cpu.max": "200000 100000",
                "sys/fs/cgroup/outer/inner/cpu.max": "max 100000",
            },
            2.0,
            id="an outer group's",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:memory:/box\n4:cpu,cpuacct:/box\n0::/\n",
                "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000",
            },
            0.5,
            id="v1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/0f3e\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            3.0,
            id="v1, seen from within a container",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
            id="v1 without a quota",
        ),
    ],
)
def test_the_cores_that_may_be_used_are_limited_by_control_groups(
    tmp_path: Path, contents: Mapping[str, str], expected: float | None
) -> None:
    assert expected == machine.core_limit(files(tmp_path, contents))


@linux
@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/memory.max": "1048576"}, 1 << 20),
        ({"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/memory.max": "max"}, None),
        ({"proc/self/cgroup": "3:memory:/", "sys/fs/cgroup/memory/memory.limit_in_bytes": "4096"}, 4096),
        (
            {
                "proc/self/cgroup": "3:memory:/",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            None,
        ),
    ],
)
def test_the_memory_that_may_be_used_is_limited_by_control_groups(
    tmp_path: Path, contents: Mapping[str, str], expected: int | None
) -> None:
    assert expected == machine.memory_limit(files(tmp_path, contents))


@linux
def test_a_clock_is_told_with_who_governs_it(tmp_path: Path) -> None:
    folder = "sys/devices/system/cpu/cpu0/cpufreq"
    contents = {
        "scaling_driver": "intel_pstate\n",
        "scaling_governor": "powersave\n",
        "scaling_cur_freq": "1200000\n",
        "cpuinfo_max_freq": "3800000\n",
    }
    files(tmp_path, {f"{folder}/{name}": text for name, text in contents.items()})
    expected = {"driver": "intel_pstate", "governor": "powersave", "current_mhz": 1200.0, "max_mhz": 3800.0}
    assert expected == machine.clock(tmp_path)


@linux
@pytest.mark.parametrize(
    ("contents", "variables", "expected"),
    [
        ({}, {}, None),
        ({".dockerenv": ""}, {}, "docker"),
        ({"run/.containerenv": ""}, {}, "podman"),
        ({"proc/self/cgroup": "1:cpu:/kubepods/besteffort/pod1\n"}, {}, "kubernetes"),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({}, {"container": "systemd-nspawn"}, "systemd-nspawn"),
    ],
)
def test_a_container_is_known_by_its_traces(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    contents: Mapping[str, str],
    variables: Mapping[str, str],
    expected: str | None,
) -> None:
    for name in ("KUBERNETES_SERVICE_HOST", "container"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert expected == machine.container(files(tmp_path, contents))


@linux
def test_a_machine_goes_by_what_its_maker_or_its_cloud_calls_it(tmp_path: Path) -> None:
    folder = "sys/class/dmi/id"
    files(tmp_path, {f"{folder}/sys_vendor": "Amazon EC2\n", f"{folder}/product_name": "m7i.large\n"})
    (tmp_path / "sys/devices/system/node/node0").mkdir(parents=True)
    (tmp_path / "sys/devices/system/node/node1").mkdir()
    assert ("Amazon EC2 m7i.large", 2) == (machine.hardware(tmp_path), machine.numa_nodes(tmp_path))
