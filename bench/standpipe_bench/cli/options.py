"""Options that commands share, each declared once; and what they mean together."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import IO, Annotated, Any, Literal, get_type_hints

import typer
from google.protobuf.descriptor import MethodDescriptor

from standpipe_bench.load.driver import Timing
from standpipe_bench.load.schedules import Closed, Constant, Poisson, Schedule, Steps, Trace
from standpipe_bench.requests.plan import RequestPlan
from standpipe_bench.slo import Slo, parse
from standpipe_bench.targets import Null, Source
from standpipe_bench.targets.grpc import Connection, Grpc
from standpipe_bench.targets.methods import calling, find_method


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What is called on a server, and with what."""

    rpc: Annotated[
        str, typer.Option(help="RPC to call: a name that is known, or any that the server reflects.")
    ] = "EmbedText"
    proto: Annotated[
        Path | None, typer.Option(help=".proto file, or descriptor set, that has the RPC; else reflection.")
    ] = None
    include: Annotated[
        list[Path] | None, typer.Option("--include", "-I", help="Folders of what --proto imports.")
    ] = None
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt.")] = False
    roots: Annotated[Path | None, typer.Option(help="Certificates to trust, PEM.")] = None
    header: Annotated[list[str] | None, typer.Option(help="name:value to send with each call.")] = None
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds that a call may take.")] = 60.0
    model: Annotated[str, typer.Option(help="Model to call; the same as --set model=NAME.")] = ""
    data: Annotated[str, typer.Option(help="The request as JSON, or @FILE; else the RPC's example.")] = ""
    jsonl: Annotated[Path | None, typer.Option(help="Requests as JSON, one a line, in turns.")] = None
    words: Annotated[
        str,
        typer.Option(help="Fill with texts of so many words: 17, fixed:17, uniform:8-25, lognormal:17,0.5."),
    ] = ""
    items: Annotated[int | None, typer.Option(min=1, help="Texts in one request.")] = None
    field: Annotated[
        str, typer.Option(help="Field that --words fills; the first that fits unless given.")
    ] = ""
    set: Annotated[list[str] | None, typer.Option("--set", help="FIELD=VALUE in each request.")] = None
    seed: Annotated[int, typer.Option(help="Of texts and arrivals: the same gives the same.")] = 1

    def connection(self, address: str) -> Connection:
        """To a server."""
        return Connection(address, self.tls, self.roots, [_header(header) for header in self.header or ()])

    def method(self, connection: Connection | None) -> MethodDescriptor:
        """The RPC.

        Raises:
            ValueError: The options don't say which.
            LookupError: There is none of the name.
            RuntimeError: The server doesn't tell.
        """
        return find_method(self.rpc, connection=connection, proto=self.proto, includes=self.include or ())

    def calls(self, address: str) -> Grpc:
        """What is called of a server; raises as ``method`` does."""
        connection = self.connection(address)
        method = self.method(connection)
        return calling(method, connection, self.plan().make(method), timeout=self.timeout)

    def plan(self) -> RequestPlan:
        """What is sent."""
        model = [f"model={self.model}"] if self.model else []
        return RequestPlan(
            data=self.data,
            jsonl=self.jsonl,
            words=self.words,
            items=self.items,
            field=self.field,
            set=[*model, *(self.set or ())],
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True)
class TargetOptions(CallOptions):
    """Where it is called: a server, a model without one, or nothing."""

    address: Annotated[str, typer.Option(help="host:port of a running server.")] = "127.0.0.1:50051"
    null: Annotated[bool, typer.Option("--null", help="Call nothing: the tool's own cost.")] = False
    in_process: Annotated[
        str, typer.Option(help="Call no server but this model: NAME=SOURCE:TASK, or a task's demo model.")
    ] = ""
    backend: Annotated[str, typer.Option(help="Of --in-process: torch or openvino.")] = "auto"
    device: Annotated[str, typer.Option(help="Of --in-process: cpu, cuda, cuda:N or mps.")] = "auto"
    dtype: Annotated[str, typer.Option(help="Of --in-process: fp32, fp16 or bf16.")] = "auto"

    @property
    def server(self) -> str:
        """Its address; empty where none is called."""
        return "" if self.null or self.in_process else self.address

    def source(self) -> Source:
        """What is to be called; raises as ``method`` does."""
        if self.null:
            return Null()
        if not self.in_process:
            return self.calls(self.address)
        # Imported here: it needs the server's backends, which nothing else does.
        from standpipe_bench.in_process.target import InProcess, model_spec

        method = self.method(None)
        spec = model_spec(self.in_process, self.backend, self.device, self.dtype)
        return InProcess(spec, method.full_name, self.plan().make(method))


@dataclass(frozen=True, slots=True)
class ScheduleOptions:
    """When calls are due."""

    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Closed loop: callers that wait for answers. 64 unless told.")
    ] = None
    pause: Annotated[float, typer.Option(min=0, help="Seconds that each of them rests between calls.")] = 0.0
    rate: Annotated[float | None, typer.Option(min=0.001, help="Open loop: calls a second.")] = None
    arrivals: Annotated[
        Literal["poisson", "constant"], typer.Option(help="How those of --rate are spread.")
    ] = "poisson"
    ramp: Annotated[str, typer.Option(help="Open loop: rates that change steadily, as 10,200.")] = ""
    steps: Annotated[str, typer.Option(help="Open loop: rates one after the other, as 10,50,100.")] = ""
    trace: Annotated[Path | None, typer.Option(help="Open loop: file of arrival times, seconds.")] = None
    speed: Annotated[float, typer.Option(min=0.001, help="Times as fast as the trace was.")] = 1.0

    def schedule(self, seconds: float, seed: int) -> Schedule:
        """The one that is asked for.

        Args:
            seconds: That it is to last, where it doesn't say itself.
            seed: Of random arrivals.

        Raises:
            ValueError: Two are, or one can't be read.
        """
        asked: dict[str, Callable[[], Schedule]] = {
            "--concurrency": lambda: Closed(self.concurrency or 64, self.pause),
            "--rate": lambda: arrivals(self.arrivals, self.rate or 1.0, seed),
            "--ramp": lambda: Steps(
                rates=numbers(self.ramp, "--ramp"), seconds=seconds, ramp=True, seed=seed
            ),
            "--steps": lambda: Steps(rates=numbers(self.steps, "--steps"), seconds=seconds, seed=seed),
            "--trace": lambda: Trace.read(self.trace or Path(), self.speed),
        }
        given = [name for name in asked if getattr(self, name.removeprefix("--")) not in (None, "")] or [
            "--concurrency"
        ]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are different schedules: give one")
        return asked[given[0]]()


@dataclass(frozen=True, slots=True)
class TimingOptions:
    """How long, and by how many."""

    duration: Annotated[float, typer.Option(min=0.1, help="Seconds that count, of each run.")] = 10.0
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds before those.")] = 2.0
    processes: Annotated[int, typer.Option(min=1, help="Driver processes: more where one can't keep up.")] = 1

    def timing(self) -> Timing:
        """Of each run."""
        return Timing(self.duration, self.warm_up)


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Where results go, beside the terminal."""

    json: Annotated[Path | None, typer.Option("--json", help="Write the result here too.")] = None
    csv: Annotated[Path | None, typer.Option("--csv", help="And a line for each point here.")] = None
    html: Annotated[Path | None, typer.Option("--html", help="And a page with plots here.")] = None
    raw: Annotated[Path | None, typer.Option("--raw", help="And each call, as JSON lines, here.")] = None
    server_pid: Annotated[
        int | None, typer.Option(help="Process whose CPU and memory count; found by --address unless given.")
    ] = None

    def make_folders(self) -> None:
        """Of what is to be written: that one can't be made is better known before than afterwards.

        Raises:
            OSError: One can't.
        """
        for path in (self.json, self.csv, self.html, self.raw):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def raw_file(self) -> Iterator[IO[str] | None]:
        """Where raw records go; None where nobody asked for them."""
        if self.raw is None:
            yield None
            return
        with self.raw.open("w", encoding="utf-8") as file:
            yield file


def arrivals(kind: str, rate: float, seed: int) -> Schedule:
    """An open loop of one rate."""
    if not math.isfinite(rate):
        raise ValueError(f"{rate} calls a second aren't a rate")
    return Constant(rate=rate) if kind == "constant" else Poisson(rate=rate, seed=seed)


def counts(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers from 1 on, with commas between; raises as ``numbers`` does."""
    found = numbers(text, option)
    if any(number != int(number) for number in found):
        raise ValueError(f"{option} {text!r}: write whole numbers with commas between, as 1,8,32")
    return tuple(map(int, found))


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Positive numbers with commas between.

    Raises:
        ValueError: They aren't; the message names the option.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < number < math.inf for number in found):
        raise ValueError(f"{option} {text!r}: write positive numbers with commas between, as 10,50,100")
    return found


def slo(text: str) -> Slo | None:
    """An SLO from its option; None where there is none."""
    return parse(text) if text else None


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take groups of options: a parameter whose type is a dataclass stands for its fields."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type] = {
        name: hints[name] for name in inspect.signature(command).parameters if is_dataclass(hints[name])
    }
    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name in groups:
            parameters += _parameters(groups[parameter.name])
        else:
            parameters.append(
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
            )

    def run(**values: Any) -> None:
        taken = {
            name: group(**{one.name: values.pop(one.name) for one in fields(group)})
            for name, group in groups.items()
        }
        command(**taken, **values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions may have one
    return run


def _parameters(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for hint in hints.values():
        # In the help they stand together.
        hint.__metadata__[0].rich_help_panel = (group.__doc__ or "").rstrip(".")
    return [
        inspect.Parameter(
            one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name]
        )
        for one in fields(group)
    ]


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    name = name.strip().lower()
    if not colon or not re.fullmatch(r"[0-9a-z_.-]+", name) or name.endswith("-bin"):
        raise ValueError(f"--header {text!r}: write name:value; a name has no blanks, and its value is text")
    return name, value.strip()
