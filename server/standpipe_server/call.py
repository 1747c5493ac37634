"""``standpipe call``: any RPC of a running server, found by its descriptor.

A client like any other: it knows the contract, and nothing of the server it belongs to.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from rich import box
from rich.markup import escape
from rich.table import Table

from standpipe import CallError, Client, contract
from standpipe_server.call_files import FileError, put_files, saved, shortened


class RequestError(Exception):
    """What was typed makes no request; the message says why, in one line."""


def rpc_of(name: str) -> MethodDescriptor:
    """The RPC that is meant.

    Raises:
        RequestError: There is none of that name.
    """
    try:
        return contract.find(name)
    except LookupError as error:
        raise RequestError(f"{error.args[0]}; `standpipe call` lists them all") from error


def requests_of(
    rpc: MethodDescriptor, text: str, *, example: bool, model: str, files: Sequence[Path] = ()
) -> list[Message]:
    """The request to send; the messages of one that is a stream.

    Args:
        rpc: What it is for.
        text: Its JSON, ``@FILE`` for a file's, ``-`` for that on standard input; empty for an empty request.
            Of a stream, a list.
        example: Take the shipped example instead.
        model: Written into the field of that name; empty to leave it.
        files: Images, … for its fields that hold some.

    Raises:
        RequestError: There is no request in it.
    """
    if text and example:
        raise RequestError("--json and --example exclude each other")
    requests = contract.examples(rpc) if example else _parse(rpc, _read(text) if text else "{}")
    request = requests[0]
    try:
        put_files(request, files)
    except FileError as error:
        raise RequestError(str(error)) from error
    if model:
        if "model" not in request.DESCRIPTOR.fields_by_name:
            raise RequestError(f"--model: {rpc.name} names no model")
        try:
            request.model = model  # type: ignore[attr-defined] # just looked up
        except UnicodeEncodeError as error:
            raise RequestError(f"--model: {model!r} isn't UTF-8") from error
    return requests


def send(
    address: str, rpc: MethodDescriptor, requests: Sequence[Message], timeout: float
) -> Iterator[Message]:
    """The response to a request, or to a stream of them; or each, as it comes, of an RPC that streams them.

    Raises:
        CallError: The server, or the way to it, refuses. Nothing is retried: a person waits.
    """
    with Client(address, timeout=timeout, retry=False) as client:
        method = contract.callable_on(client.channel, rpc)
        request: Any = iter(requests) if rpc.client_streaming else requests[0]
        if rpc.server_streaming:
            yield from client.stream(method, request)
        else:
            yield client.call(method, request)


def shown(
    rpc: MethodDescriptor, response: Message, folder: Path | None, number: int, *, read: bool = False
) -> str:
    """A response as JSON, with the fields that are zero or empty too: index 0 is an index.

    Args:
        rpc: What it answers; the responses of a stream fill a line each.
        response: The message.
        folder: Where its bytes are saved, and their paths shown; None to show them in base64.
        number: Of the response, from 1.
        read: A person reads it: bytes that aren't saved are left out where they are many.

    Raises:
        RequestError: A file can't be written.
    """
    indent = None if rpc.server_streaming else 2
    if folder is not None:
        try:
            told = saved(response, folder, _file_name(rpc, response, number))
        except FileError as error:
            raise RequestError(f"--save: {error}") from error
    elif read:
        told = shortened(response)
    else:
        return to_json(response, zeros=True, indent=indent)
    return json.dumps(told, indent=indent, ensure_ascii=False)


def _file_name(rpc: MethodDescriptor, response: Message, number: int) -> str:
    """What the files of a response are called, before their own numbers."""
    # Of a stream the last message may be the whole answer, as that of a call without one.
    whole = "result" in response.DESCRIPTOR.fields_by_name and response.HasField("result")
    return rpc.name if whole or not rpc.server_streaming else f"{rpc.name}-{number}"


def to_json(message: Message, *, zeros: bool, indent: int | None = 2) -> str:
    """A message in proto3's JSON; in one line without an indent."""
    return json_format.MessageToJson(
        message, indent=indent, always_print_fields_with_no_presence=zeros, ensure_ascii=False
    )


def refusal(error: CallError) -> str:
    """All that a refusal tells: a line for the status, and one for each of its details."""
    lines = [f"{error.code.name}: {error.message}"]
    for field, problem in error.fields.items():
        lines.append(f"field: {field}" + ("" if problem == error.message else f": {problem}"))
    if error.reason:
        details = ", ".join(f"{name} {value}" for name, value in error.metadata.items())
        lines.append(f"reason: {error.reason}" + (f" ({details})" if details else ""))
    if error.retry_after is not None:
        lines.append(f"worth a retry after {error.retry_after:.3g} s")
    return "\n  ".join(lines)


def rpcs_table() -> Table:
    """Every RPC, service by service, and what it does."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("RPC", no_wrap=True)
    table.add_column("what it does")
    service = ""
    for rpc in contract.methods().values():
        if rpc.containing_service.full_name != service:
            service = rpc.containing_service.full_name
            table.add_row(f"[dim]{service}[/]", "")
        table.add_row(f"  {rpc.name}", escape(contract.about(rpc)))
    return table


def _read(text: str) -> str:
    try:
        if text == "-":
            return sys.stdin.buffer.read().decode()
        return Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
    except OSError as error:
        raise RequestError(f"--json: {error.filename or 'standard input'}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"--json: what is read isn't UTF-8: {error}") from error


def _parse(rpc: MethodDescriptor, text: str) -> list[Message]:
    if not rpc.client_streaming or text.lstrip().startswith("{"):
        return [_parse_one(rpc, text)]
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise RequestError(f"--json: no list of {rpc.input_type.name}: {error}") from error
    if not isinstance(listed, list) or not listed:
        raise RequestError("--json: a stream of requests is a list of JSON objects, [{…}, …]")
    return [_parse_one(rpc, json.dumps(one)) for one in listed]


def _parse_one(rpc: MethodDescriptor, text: str) -> Message:
    if not text.lstrip().startswith("{"):
        raise RequestError("--json: a request is a JSON object, {…}; @FILE reads a file, - standard input")
    try:
        return json_format.Parse(text, contract.empty_request(rpc))
    except json_format.ParseError as error:
        # Some of protobuf's messages fill several lines.
        problem = " ".join(str(error).split())
        raise RequestError(f"--json: no {rpc.input_type.name}: {problem}") from error
