"""RPCs of any server by their names: from a file that describes them, this project's contract, or the server.

Not aware of requests, nor of what is measured.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from standpipe import contract
from standpipe_bench.targets.grpc import Connection, Grpc, Requests

REFLECTING = 10.0
"""Seconds that a server may take to describe itself."""

_REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""Equal but for their names; many servers have only one of them."""

_LISTED = 12
"""RPCs that an error names at most."""

Files = Mapping[str, FileDescriptorProto]
"""By the names under which they import each other."""


class MethodError(ValueError):
    """There is no such RPC to call; the message says why, in one line."""


@dataclass(slots=True)
class _Described:
    """What a description holds.

    Attributes:
        methods: Its RPCs.
        problems: Why some of it can't be used.
    """

    methods: list[MethodDescriptor] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_method(
    name: str,
    *,
    connection: Connection | None,
    proto: Path | None = None,
    includes: Sequence[Path] = (),
    timeout: float = REFLECTING,
) -> MethodDescriptor:
    """An RPC that takes one request.

    Looked for in ``proto`` alone, if that is given; else in this project's contract, and then on the server.

    Args:
        name: "Service.Method", with or without the package and with "." or "/" before the method, or the
            method alone; only one RPC may have it. What could be an RPC of this project's contract is taken
            for it: give the package of another server's.
        connection: To the server, which is asked to describe itself; None where there is none to ask.
        proto: A ``.proto`` file, or a FileDescriptorSet under any other name.
        includes: Folders to which imports of the ``.proto`` file are relative; its own, unless given.
        timeout: Seconds that the server may take.

    Raises:
        MethodError: There is no such RPC, or it takes a stream of requests.
    """
    if proto is not None:
        return _callable(_pick(name, _of_file(proto, includes), str(proto)))
    try:
        return _callable(contract.find(name))
    except LookupError as error:
        if connection is None:
            raise MethodError(f"{error.args[0]}; --proto FILE describes another server's") from error
    return _callable(_pick(name, _of_server(connection, timeout), f"the server at {connection.address}"))


def calling(
    method: MethodDescriptor, connection: Connection, requests: Requests, *, timeout: float = 60.0
) -> Grpc:
    """A source of calls of an RPC.

    Args:
        method: The RPC.
        connection: To its server.
        requests: What it is called with.
        timeout: Seconds that a call may take.
    """
    return Grpc(
        connection,
        method.full_name,
        requests,
        streaming=method.server_streaming,
        response=method.output_type.full_name,
        timeout=timeout,
    )


def _callable(method: MethodDescriptor) -> MethodDescriptor:
    if method.client_streaming:
        raise MethodError(
            f"{method.full_name} takes a stream of requests; what can be called takes one, and answers once "
            "or with a stream"
        )
    return method


def _pick(name: str, described: _Described, where: str) -> MethodDescriptor:
    known = {method.full_name: method for method in described.methods}
    wanted = name.strip("/").replace("/", ".")
    found = [full for full in known if f".{full}".endswith(f".{wanted}")]
    if wanted in known or len(found) == 1:
        return known[wanted if wanted in known else found[0]]
    if found:
        raise MethodError(f"several RPCs of {where} are called {name!r}: {', '.join(found)}")
    problems = "".join(f"; {problem}" for problem in described.problems)
    raise MethodError(f"no RPC of {where} is called {name!r}{_hint(wanted, described.methods)}{problems}")


def _hint(wanted: str, methods: Sequence[MethodDescriptor]) -> str:
    known = [method.full_name for method in methods if not method.client_streaming]
    # By the last part and in lower case, so that "findbooks" and "Libary.FindBook" are near too.
    short = {full.rpartition(".")[2].lower(): full for full in known}
    near = get_close_matches(wanted.rpartition(".")[2].lower(), short, n=3)
    if near:
        return f"; near: {', '.join(short[one] for one in near)}"
    rest = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"; it has: {', '.join(known[:_LISTED])}{rest}" if known else "; it has none"


def _described(files: Files, problems: Sequence[str] = ()) -> _Described:
    """What files describe; those that import what isn't among them are left out."""
    pool = DescriptorPool()
    described = _Described(problems=list(problems))
    added: dict[str, bool] = {}

    def add(name: str) -> bool:
        if name in added:
            return added[name]
        added[name] = False
        missing = [other for other in files[name].dependency if other not in files]
        if missing:
            described.problems.append(f"{name} imports {', '.join(missing)}, which isn't described")
        elif all(add(other) for other in files[name].dependency):
            added[name] = _add(pool, files[name], described)
        return added[name]

    for name in files:
        add(name)
    return described


def _add(pool: DescriptorPool, file: FileDescriptorProto, described: _Described) -> bool:
    try:
        pool.AddSerializedFile(file.SerializeToString())
    except TypeError as error:
        described.problems.append(f"{file.name} describes nothing valid: {error}")
        return False
    found: Any = pool.FindFileByName(file.name)
    described.methods += [method for service in found.services_by_name.values() for method in service.methods]
    return True


def _of_file(path: Path, includes: Sequence[Path]) -> _Described:
    try:
        data = _compiled(path, includes) if path.suffix == ".proto" else path.read_bytes()
    except OSError as error:
        raise MethodError(f"--proto {path}: {error.strerror}") from error
    try:
        files = FileDescriptorSet.FromString(data).file
    except DecodeError as error:
        raise MethodError(
            f"--proto {path}: neither a .proto file by its name nor a FileDescriptorSet by what it holds"
        ) from error
    return _described({file.name: file for file in files})


def _compiled(proto: Path, includes: Sequence[Path]) -> bytes:
    """The FileDescriptorSet of a file and its imports."""
    if find_spec("grpc_tools") is None:
        raise MethodError(
            f"--proto {proto}: a .proto file needs a compiler: pip install grpcio-tools, or give a "
            "FileDescriptorSet (protoc --include_imports --descriptor_set_out, or buf build -o)"
        )
    source = proto.resolve(strict=True)
    roots = [folder.resolve() for folder in includes]
    if not any(source.is_relative_to(root) for root in roots):
        roots.insert(0, source.parent)
    with TemporaryDirectory() as folder:
        output = Path(folder) / "set.binpb"
        options = ["--include_imports", f"--descriptor_set_out={output}", *(f"-I{root}" for root in roots)]
        # A process of its own: what the compiler has to say it writes to standard error.
        command = [sys.executable, "-m", "grpc_tools.protoc", *options, str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise MethodError(f"--proto: {_problem(done.stderr)}")
        return output.read_bytes()


def _problem(said: str) -> str:
    hint = " (--include names the folders that imports are relative to)" if "File not found" in said else ""
    return " ".join(said.split()) + hint


def _of_server(connection: Connection, timeout: float) -> _Described:
    try:
        channel = connection.blocking_channel()
    except OSError as error:
        raise MethodError(f"the certificates to trust, {connection.roots}: {error.strerror}") from error
    deadline = time.monotonic() + timeout
    with channel:
        for service in _REFLECTION:
            try:
                return _Reflection(channel, service, connection, deadline).described()
            except grpc.RpcError as error:
                _check_offered(error, connection, timeout)
    raise MethodError(
        f"the server at {connection.address} offers no reflection: --proto FILE gives what describes its RPCs"
    )


def _check_offered(error: Any, connection: Connection, timeout: float) -> None:
    """Raises unless the server just doesn't have this version."""
    code, detail = error.code(), " ".join((error.details() or "").split())
    server = f"the server at {connection.address}"
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return
    if code == grpc.StatusCode.UNAVAILABLE:
        raise MethodError(f"no server answers at {connection.address}: {detail}")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        raise MethodError(
            f"{server} didn't describe itself within {timeout:g} s; --proto FILE does without it"
        )
    raise MethodError(
        f"{server} refuses to describe itself: {code.name}: {detail}; --header sends it what it may want, "
        "--proto FILE does without it"
    )


class _Reflection:
    """A server's description of itself.

    Asked by hand: the library's client knows only the older version and no deadline, and takes it for granted
    that a server answers as it should.
    """

    def __init__(self, channel: grpc.Channel, service: str, connection: Connection, deadline: float) -> None:
        self._call: Callable[..., Any] = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            request_serializer=ServerReflectionRequest.SerializeToString,
            response_deserializer=ServerReflectionResponse.FromString,
        )
        self._headers = tuple(connection.headers) or None
        self._deadline = deadline
        self._files: dict[str, FileDescriptorProto] = {}

    def described(self) -> _Described:
        """All its services.

        Raises:
            grpc.RpcError: It doesn't answer, or not this.
        """
        listed = self._ask(ServerReflectionRequest(list_services="")).list_services_response.service
        names = [service.name for service in listed if service.name not in _REFLECTION]
        problems = [
            f"it doesn't describe {name}"
            for name in names
            if not self._read(ServerReflectionRequest(file_containing_symbol=name))
        ]
        # What isn't to be had is named later, by what imports it.
        asked: set[str] = set()
        while missing := self._imported() - self._files.keys() - asked:
            for name in missing:
                self._read(ServerReflectionRequest(file_by_filename=name))
            asked |= missing
        return _described(self._files, problems)

    def _imported(self) -> set[str]:
        return {name for file in self._files.values() for name in file.dependency}

    def _read(self, request: ServerReflectionRequest) -> bool:
        data = self._ask(request).file_descriptor_response.file_descriptor_proto
        files = [FileDescriptorProto.FromString(one) for one in data]
        self._files |= {file.name: file for file in files}
        return bool(files)

    def _ask(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        left = max(0.0, self._deadline - time.monotonic())
        call = self._call(iter([request]), timeout=left, metadata=self._headers)
        try:
            response: ServerReflectionResponse = next(call, ServerReflectionResponse())
        finally:
            call.cancel()
        return response
