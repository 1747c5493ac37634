"""The values and protocols that rooms hand each other: what a call is, what a model is, who runs it.

Only the standard library, so that every room may import it: not aware of gRPC, protobuf, numpy or any model
library.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

BackendName = Literal["auto", "openvino", "torch"]
HintName = Literal["auto", "latency", "throughput"]
DtypeName = Literal["auto", "fp32", "fp16", "bf16"]


@dataclass(frozen=True, slots=True)
class Step:
    """How far a call is that takes long.

    Attributes:
        number: Steps that are done.
        count: Steps that it takes.
        preview: What its output looks like by now, ready to send, where that was asked for.
    """

    number: int
    count: int
    preview: bytes = b""


class Watcher(Protocol):
    """Who waits for a call that takes long; told and asked by the worker, on its own thread."""

    @property
    def gone(self) -> bool:
        """Nobody waits any longer: the rest needn't be done."""
        ...

    def tell(self, step: Step) -> None:
        """Say how far the call is."""
        ...


@dataclass(frozen=True, slots=True)
class Unwatched:
    """Watches over nothing: a call of its is carried out to its end. See ``Watcher``."""

    gone: bool = False

    def tell(self, step: Step) -> None:
        """Nobody is told."""


_NOBODY = Unwatched()


@dataclass(frozen=True, slots=True)
class Call:
    """One item for a model.

    Attributes:
        input: What the model reads: a text, a pair of texts, …
        parameters: How, hashable and of the task's own class, by which a model with several tasks knows what
        is wanted.
        field: Where the request has it, such as ``texts[3]``: an error names it.
        watcher: Who waits for it, where its task takes long.
    """

    input: Any
    parameters: Any
    field: str = ""
    watcher: Watcher = _NOBODY


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

FinishName = Literal["stop", "length", "stop_string", "cancelled"]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token that was written.

    Attributes:
        id: In the model's vocabulary.
        token: Its text by itself.
        logprob: Natural logarithm of its probability.
    """

    id: int
    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a text that a causal model wrote.

    Attributes:
        reason: Why it ends: the model ended it, it is as long as may be, it reached a stop string, or nobody
            waits any longer.
        prompt_tokens: Read.
        generated_tokens: Written, end token included.
        stop_string: The one that was reached.
        cached_tokens: Of those read, what the prefix cache held; None where the engine doesn't tell.
    """

    reason: FinishName
    prompt_tokens: int
    generated_tokens: int
    stop_string: str = ""
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one step of a model added to a text.

    Attributes:
        text: Whole characters; empty where they wait for the next token.
        logprobs: The step's tokens, where the call asked for them.
        sequence: Which of the call's texts it belongs to, from 0.
        finish: Nothing of that text follows.
    """

    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    sequence: int = 0
    finish: Finish | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A text that a model wrote.

    Attributes:
        text: Without special tokens.
        tokens: How many it wrote, its end token included.
        logprobs: The tokens, where the call asked for them.
        finish: Why it ends; None where the model doesn't tell.
    """

    text: str
    tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: Finish | None = None


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
        max_sequences: Texts that a causal model writes side by side.
        max_batched_tokens: Tokens in one step of a causal model, prompts and texts together: what more there
            is of a prompt waits for the next step. 0 leaves either to the server.
        kv_cache_gb: Memory, in 10⁹ bytes, for the keys and values of what a causal model reads and writes.
        prefix_cache: Keep them for prompts that begin alike, where the engine can be trusted with that.
        lora: Adapters of a diffusion model: what calls name them, and the folder or Hub id of each.
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
    max_sequences: int = 0
    max_batched_tokens: int = 0
    kv_cache_gb: float = 1.0
    prefix_cache: bool = True
    lora: tuple[tuple[str, str], ...] = ()


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


class Generator(Protocol):
    """A causal model ready to write many texts side by side; it batches them itself, token by token."""

    @property
    def max_sequences(self) -> int:
        """Texts that it writes side by side; more are better kept waiting outside."""
        ...

    def stream(self, call: Call) -> AsyncIterator[Chunk]:
        """Write what a call asks for.

        Chunks come one for each step and text; the last one of each text has ``finish``. Closing the iterator
        cancels: within one step nothing more is computed for the call, and what it held is free.

        Raises:
            InvalidInputError: The call is at fault, or asks for what the engine doesn't have.
        """
        ...

    def close(self) -> None:
        """End what is still written, and give back what is held."""
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
        generator: What answers in place of runners, where the model batches by itself.
        max_items: Calls in one batch at most, whatever the server is configured for; 0 for no such bound.
    """

    info: ModelInfo
    runners: Sequence[Runner]
    batch_cost: int
    tokenizer: Runner | None = None
    generator: Generator | None = None
    max_items: int = 0


Progress = Callable[[str], None]
"""Told what a loading backend does now, in a few words: "exporting to OpenVINO"."""
