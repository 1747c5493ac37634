"""What a benchmark's calls are made with, as it is asked for: a plain value, and the requests made of it.

Its errors name the flag of the command line that has to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message

from standpipe import contract
from standpipe_bench.requests import inputs, texts
from standpipe_bench.requests.fields import (
    FieldError,
    Step,
    assign,
    one_line,
    parse_json,
    parse_path,
    written,
)
from standpipe_bench.targets.grpc import Requests


class RequestError(ValueError):
    """What was asked for makes no requests; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """Which requests to make: of a request, or some, with fields set and texts filled in.

    Attributes:
        data: A request's JSON, or ``@FILE`` for a file's. Unless it or ``jsonl`` is given, the example that
            the RPC has in this project's contract.
        jsonl: A file with a request's JSON in each line, blank ones aside.
        words: How long texts are that are filled in, in words: "17", "fixed:17", "uniform:8-25",
            "loguniform:10-60", "lognormal:17,0.5"; empty to fill none in.
        items: Texts in each request; 1 unless given.
        field: Which field they fill: ``texts``, ``messages[-1].content``, ``inputs.context`` (of each of the
            inputs); the one that ``inputs`` finds, unless given.
        set: Fields to set beforehand, each ``field=value``.
        seed: The same seed gives the same texts.
        pool: How many different requests of texts there are.
    """

    data: str = ""
    jsonl: Path | None = None
    words: str = ""
    items: int | None = None
    field: str = ""
    set: Sequence[str] = ()
    seed: int = 1
    pool: int = 64

    def make(self, method: MethodDescriptor) -> Requests:
        """The requests for an RPC.

        Raises:
            RequestError: They can't be made.
        """
        self._check()
        requests, about = self._given(method)
        for text in self.set:
            for request in requests:
                _set(method.input_type, request, text)
        if self.words:
            return self._filled(method, requests, about)
        return _requests(requests, [inputs.items(request) for request in requests], self._about(about))

    def _check(self) -> None:
        if self.data and self.jsonl:
            raise RequestError("--data and --jsonl exclude each other")
        if not self.words and (self.items is not None or self.field):
            flag = "--field" if self.field else "--items"
            raise RequestError(f"{flag} says where texts go: give their length too, such as --words 17")
        if self.items is not None and self.items < 1:
            raise RequestError(f"--items {self.items}: a request holds at least 1")
        if self.pool < 1:
            raise RequestError(f"--pool {self.pool}: there is at least 1 request")

    def _given(self, method: MethodDescriptor) -> tuple[list[Message], str]:
        if self.data:
            about = f"@{Path(self.data[1:]).name}" if self.data.startswith("@") else "--data"
            return [_parsed(method, _read(self.data), "--data")], about
        if self.jsonl:
            requests = _lines(method, self.jsonl)
            return requests, f"{self.jsonl.name}, {len(requests)} requests"
        if method.full_name in contract.methods():
            return [_example(method)], f"the example of {method.name}"
        if method.input_type.fields and not (self.words or self.set):
            raise RequestError(
                f"{method.full_name} needs requests: --data takes the JSON of a {method.input_type.name} (or "
                "@FILE), --jsonl a file of them, --words 17 fills in texts, --set FIELD=VALUE sets a field"
            )
        return [contract.empty_request(method)], ""

    def _filled(self, method: MethodDescriptor, given: Sequence[Message], about: str) -> Requests:
        try:
            lengths = texts.lengths(self.words)
        except ValueError as error:
            raise RequestError(f"--words: {error}") from error
        path, count = self._path(method.input_type), self.items or 1
        requests = []
        for index in range(self.pool):
            request = inputs.copy(given[index % len(given)])
            try:
                inputs.fill(request, path, texts.drawn(count, lengths, self.seed * 1000 + index))
            except FieldError as error:
                raise RequestError(
                    f"--words: {error}; --data or --jsonl gives a request that has it"
                ) from error
            requests.append(request)
        many = inputs.takes_many(path)
        held = [count if many else inputs.items(request) for request in requests]
        filled = f"{self.pool} requests with texts in {written(path)}, {count} each"
        about = self._about(about, f"{filled}, words {self.words}, seed {self.seed}")
        return _requests(requests, held, about)

    def _path(self, message: Descriptor) -> Sequence[Step]:
        try:
            path = parse_path(message, self.field) if self.field else inputs.text_path(message)
            if path is None:
                raise RequestError(
                    f"--words: no field of {message.full_name} is known to hold texts; name it: --field"
                )
            inputs.check_text(path)
        except FieldError as error:
            raise RequestError(f"--field {self.field}: {error}") from error
        if not inputs.takes_many(path) and (self.items or 1) > 1:
            raise RequestError(f"--items {self.items}: {written(path)} of {message.full_name} takes one text")
        return path

    def _about(self, *parts: str) -> str:
        return "; ".join(part for part in (*parts, *self.set) if part)


def _set(message: Descriptor, request: Message, text: str) -> None:
    name, equals, value = text.partition("=")
    if not equals:
        raise RequestError(f"--set {text}: write FIELD=VALUE, such as model=minilm")
    try:
        assign(request, parse_path(message, name.strip()), value)
    except FieldError as error:
        raise RequestError(f"--set {text}: {error}") from error


def _read(data: str) -> str:
    return _file(Path(data[1:]), "--data") if data.startswith("@") else data


def _file(path: Path, flag: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{flag}: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{flag}: {path} isn't UTF-8: {error}") from error


def _parsed(method: MethodDescriptor, text: str, where: str) -> Message:
    request = contract.empty_request(method)
    try:
        parse_json(request, text)
    except FieldError as error:
        raise RequestError(f"{where}: {error}") from error
    return request


def _lines(method: MethodDescriptor, path: Path) -> list[Message]:
    # Not splitlines: a JSON text may hold U+2028, which isn't the end of a line.
    lines = enumerate(_file(path, "--jsonl").split("\n"), start=1)
    requests = [
        _parsed(method, line, f"--jsonl: {path}, line {number}") for number, line in lines if line.strip()
    ]
    if not requests:
        raise RequestError(f"--jsonl: {path} holds no requests")
    return requests


def _example(method: MethodDescriptor) -> Message:
    try:
        return contract.example(method)
    except json_format.ParseError as error:
        raise RequestError(
            f"the example of {method.name} isn't a request as it is described here: {one_line(error)}; give "
            "one: --data"
        ) from error


def _requests(requests: Sequence[Any], items: Sequence[int], about: str) -> Requests:
    for request in requests:
        # Only proto2 has such fields.
        if not request.IsInitialized():
            missing = ", ".join(request.FindInitializationErrors())
            raise RequestError(f"{request.DESCRIPTOR.full_name} needs {missing}: --set or --data gives it")
    return Requests([request.SerializeToString() for request in requests], items, about)
