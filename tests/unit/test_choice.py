from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from standpipe_server.backends.choice import PREFERENCE, choose
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import BackendName, DtypeName, ModelSpec

NO_CUDA = "torch was built without CUDA"
NO_MPS = "no Apple GPU here"
NO_OPENVINO = "not installed: openvino"


@dataclass(frozen=True)
class FakeFacts:
    """A machine with nothing but a processor, unless it is told otherwise."""

    cores: int = 2
    no_cuda: str = NO_CUDA
    cuda_bf16: bool = False
    no_mps: str = NO_MPS
    no_openvino: str = NO_OPENVINO
    openvino_bf16: bool = False


PLAIN = FakeFacts()
NEW_GPU = FakeFacts(no_cuda="", cuda_bf16=True, no_openvino="", openvino_bf16=True)
OLD_GPU = FakeFacts(no_cuda="", no_openvino="")
APPLE = FakeFacts(no_mps="", no_openvino="")
NEW_CPU = FakeFacts(no_openvino="", openvino_bf16=True)
OLD_CPU = FakeFacts(no_openvino="")
SPEC = ModelSpec("m", "folder", ("feature-extraction",))


def chosen(facts: FakeFacts, spec: ModelSpec = SPEC) -> tuple[str, str, str]:
    spec, _ = choose(spec, facts)
    return spec.backend, spec.dtype, spec.device


def asking(backend: BackendName = "auto", dtype: DtypeName = "auto", device: str = "auto") -> ModelSpec:
    return replace(SPEC, backend=backend, dtype=dtype, device=device)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (NEW_GPU, ("torch", "bf16", "cuda")),
        (OLD_GPU, ("torch", "fp16", "cuda")),
        (APPLE, ("torch", "fp32", "mps")),
        (NEW_CPU, ("openvino", "bf16", "cpu")),
        (OLD_CPU, ("openvino", "fp32", "cpu")),
        (PLAIN, ("torch", "fp32", "cpu")),
    ],
)
def test_auto_takes_the_best_that_the_machine_has(facts: FakeFacts, expected: tuple[str, str, str]) -> None:
    assert expected == chosen(facts)


@pytest.mark.parametrize(
    ("spec", "facts", "expected"),
    [
        (asking(device="cpu"), NEW_GPU, ("openvino", "bf16", "cpu")),
        (asking(device="cuda"), NEW_GPU, ("torch", "bf16", "cuda")),
        (asking(device="cuda:1"), OLD_GPU, ("torch", "fp16", "cuda:1")),
        (asking(device="mps"), APPLE, ("torch", "fp32", "mps")),
        (asking(backend="torch"), OLD_CPU, ("torch", "fp32", "cpu")),
        (asking(backend="openvino"), NEW_GPU, ("openvino", "bf16", "cpu")),
        (asking(dtype="fp32"), NEW_GPU, ("torch", "fp32", "cuda")),
        (asking(dtype="fp32"), NEW_CPU, ("openvino", "fp32", "cpu")),
        (asking(dtype="fp16"), APPLE, ("torch", "fp16", "mps")),
        (asking(dtype="fp16"), NEW_CPU, ("torch", "fp16", "cpu")),
        (asking(dtype="bf16"), PLAIN, ("torch", "bf16", "cpu")),
        (asking("torch", "bf16", "cpu"), NEW_GPU, ("torch", "bf16", "cpu")),
        (asking("torch", "fp32", "cuda:2"), NEW_GPU, ("torch", "fp32", "cuda:2")),
    ],
)
def test_what_is_asked_for_is_honoured_and_the_rest_is_chosen(
    spec: ModelSpec, facts: FakeFacts, expected: tuple[str, str, str]
) -> None:
    assert expected == chosen(facts, spec)


@pytest.mark.parametrize(
    ("spec", "facts", "why"),
    [
        (asking(device="cuda"), PLAIN, NO_CUDA),
        (asking(device="cuda:1"), APPLE, NO_CUDA),
        (asking(device="mps"), NEW_GPU, NO_MPS),
        (asking(backend="openvino"), PLAIN, NO_OPENVINO),
        (asking(backend="openvino", dtype="bf16"), OLD_CPU, "the processor doesn't compute in bf16"),
        (asking(dtype="bf16", device="cuda"), OLD_GPU, "the CUDA device doesn't compute in bf16"),
        (asking(dtype="bf16", device="cuda"), PLAIN, NO_CUDA),
    ],
)
def test_what_can_not_be_honoured_is_refused_with_the_machines_reason(
    spec: ModelSpec, facts: FakeFacts, why: str
) -> None:
    with pytest.raises(ModelLoadError) as refusal:
        choose(spec, facts)
    wanted = " ".join(value for value in (spec.backend, spec.dtype, spec.device) if value != "auto")
    assert f"model 'm': {wanted} can't be honoured: {why}" == str(refusal.value)


@pytest.mark.parametrize(
    "spec", [asking(backend="openvino", device="cuda"), asking(backend="openvino", dtype="fp16")]
)
def test_what_no_machine_has_is_refused_with_all_that_there_is(spec: ModelSpec) -> None:
    with pytest.raises(ModelLoadError, match="model 'm': there is no openvino") as refusal:
        choose(spec, NEW_GPU)
    assert [] == [str(option) for option in PREFERENCE if str(option) not in str(refusal.value)]


def test_a_model_that_openvino_has_no_form_for_goes_to_torch_and_the_reason_tells() -> None:
    spec, reason = choose(SPEC, NEW_CPU, "it can't be exported")
    assert ("torch", "fp32", "cpu") == (spec.backend, spec.dtype, spec.device)
    assert f"works on every processor ({NO_CUDA}; {NO_MPS}; it can't be exported)" == reason


def test_openvino_asked_for_a_model_that_it_has_no_form_for_is_refused_with_the_reason() -> None:
    with pytest.raises(ModelLoadError) as refusal:
        choose(asking(backend="openvino"), NEW_CPU, "it can't be exported")
    assert "model 'm': openvino can't be honoured: it can't be exported" == str(refusal.value)


def test_what_openvino_has_no_form_for_is_no_obstacle_to_torch() -> None:
    assert ("torch", "bf16", "cuda") == tuple(
        getattr(choose(SPEC, NEW_GPU, "it can't be exported")[0], name)
        for name in ("backend", "dtype", "device")
    )


def test_the_reason_tells_what_stood_in_the_way_of_better() -> None:
    _, reason = choose(SPEC, OLD_CPU)
    assert (
        "the faster library on a processor "
        f"({NO_CUDA}; {NO_MPS}; the processor doesn't compute in bf16)" == reason
    )


def test_the_reason_tells_what_was_asked_for() -> None:
    _, reason = choose(asking(backend="torch", device="cpu"), NEW_GPU)
    assert "asked for torch cpu; works on every processor" == reason


def test_nothing_but_backend_device_and_dtype_is_touched() -> None:
    spec = replace(SPEC, threads=3, streams=2, hint="latency", compile=True, revision="r1")
    assert replace(spec, backend="torch", device="cpu", dtype="fp32") == choose(spec, PLAIN)[0]
