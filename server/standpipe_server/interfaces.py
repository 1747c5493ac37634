"""The values and protocols that rooms hand each other: what a call is, what a model is, who runs it.

Only the standard library, so that every room may import it: not aware of gRPC, protobuf, numpy or any model
library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

BackendName = Literal["auto", "openvino", "torch"]
HintName = Literal["auto", "latency", "throughput"]
DtypeName = Literal["auto", "fp32", "fp16", "bf16"]


@dataclass(frozen=True, slots=True)
class Call:
    """One item for a model.

    Attributes:
        input: What the model reads: a text, a pair of texts, …
        parameters: How, hashable and of the task's own class, by which a model with several tasks knows what
        is wanted.
        field: Where the request has it, such as ``texts[3]``: an error names it.
    """

    input: Any
    parameters: Any
    field: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """One item's answer.

    Attributes:
        value: What the task's ``encode`` expects.
        tokens: How many tokens the model read for it, without padding.
    """

    value: Any
    tokens: int = 0


Outcome = Output | Exception


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What to load, and how; ``auto`` and ``None`` leave the choice to the server.

    Attributes:
        name: What requests call it.
        source: A local folder, or a Hub id.
        tasks: The Hugging Face names of the tasks that this one model serves.
        revision: Revision of a Hub source; for a folder, what to report as its revision.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        threads: Processor threads for the model, all streams together.
        streams: Batches that run side by side on a processor.
        hint: What to compile for, where a backend must choose: lone calls, many calls, or both.
        compile: Let the backend compile the model where that is optional (``torch.compile``).
    """

    name: str
    source: str
    tasks: tuple[str, ...]
    revision: str = ""
    backend: BackendName = "auto"
    device: str = "auto"
    dtype: DtypeName = "auto"
    threads: int | None = None
    streams: int | None = None
    hint: HintName = "auto"
    compile: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What was loaded, and why so."""

    backend: str
    device: str
    dtype: str
    reason: str
    revision: str
    max_tokens: int
    dimensions: int

    @classmethod
    def of(cls, spec: ModelSpec, revision: str, max_tokens: int, heads: Iterable[object] = ()) -> Self:
        """What a model is whose spec is settled; why it was settled so isn't known here.

        Args:
            spec: Settled.
            revision: Of its weights.
            max_tokens: It reads at once.
            heads: One that makes vectors says how long they are.
        """
        dimensions = max((getattr(head, "dimensions", 0) for head in heads), default=0)
        return cls(spec.backend, spec.device, spec.dtype, "", revision, max_tokens, dimensions)


class Runner(Protocol):
    """A model ready to run on one thread; it is owned by exactly one worker."""

    def run(self, calls: Sequence[Call], *, alone: bool) -> Sequence[Outcome]:
        """Answer calls of one task, in their order.

        Args:
            calls: At least one; of equal parameters, unless the task says that its calls mix.
            alone: Nothing else of this model runs or waits, so this batch may take the whole device.

        Returns:
            One outcome per call; an exception where only that call is at fault. Raising fails the batch,
            whose calls are then tried apart.
        """
        ...


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to serve.

    Attributes:
        info: What it turned out to be.
        runners: One per stream, replica or GPU.
        tokenizer: Runs its tokenizer alone; None where the model has none.
        batch_cost: Padded cost (tokens, …) from which on a larger batch is no more efficient: a larger one
            only makes its calls wait for each other.
    """

    info: ModelInfo
    runners: Sequence[Runner]
    batch_cost: int
    tokenizer: Runner | None = None


Progress = Callable[[str], None]
"""Told what a loading backend does now, in a few words: "exporting to OpenVINO"."""
