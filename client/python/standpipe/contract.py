"""What the contract holds, by descriptor: every RPC, what it does, an example of its request."""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.resources import files
from inspect import getdoc
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "standpipe.v1"


@cache
def methods() -> Mapping[str, MethodDescriptor]:
    """Every RPC by its full name, such as "standpipe.v1.TextService.EmbedText".

    In the order of the proto files' names, and in a file as it stands there.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(import_module(_PACKAGE).__path__))
    modules = [import_module(f"{_PACKAGE}.{name}") for name in names if name.endswith("_pb2")]
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    return MappingProxyType({method.full_name: method for service in services for method in service.methods})


def find(name: str) -> MethodDescriptor:
    """An RPC by its name ("EmbedText"), its full name, or its path ("standpipe.v1.TextService/EmbedText").

    Raises:
        LookupError: There is none, or several have the name; the message names what is near.
    """
    wanted = name.strip("/").replace("/", ".")
    found = [method for full, method in methods().items() if f".{full}".endswith(f".{wanted}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise LookupError(f"several RPCs are called {name!r}: {', '.join(one.full_name for one in found)}")
    # By lower case, so that "embedtext" and "embed_text" are near too.
    short = {method.name.lower(): method.name for method in methods().values()}
    near = get_close_matches(wanted.rpartition(".")[2].lower(), short, n=3)
    hint = f"; near: {', '.join(short[one] for one in near)}" if near else ""
    raise LookupError(f"no RPC is called {name!r}{hint}")


def empty_request(method: MethodDescriptor) -> Message:
    """A request of an RPC, all its fields unset."""
    return GetMessageClass(method.input_type)()


def example(method: MethodDescriptor) -> Message:
    """The request that ``protos/examples`` has for an RPC; of a stream of requests the first."""
    return examples(method)[0]


def examples(method: MethodDescriptor) -> list[Message]:
    """The request that ``protos/examples`` has for an RPC, or all those of a stream of them."""
    text = files("standpipe").joinpath("examples", f"{method.name}.json").read_text(encoding="utf-8")
    found = json.loads(text)
    listed = found if method.client_streaming else [found]
    return [json_format.ParseDict(one, empty_request(method)) for one in listed]


def about(method: MethodDescriptor) -> str:
    """What an RPC does: the first sentence of its comment in the proto."""
    module = import_module(
        method.containing_service.file.name.replace("/", ".").replace(".proto", "_pb2_grpc")
    )
    servicer = getattr(module, f"{method.containing_service.name}Servicer")
    comment = " ".join((getdoc(getattr(servicer, method.name)) or "").split())
    return re.split(r"(?<=\.)\s", comment, maxsplit=1)[0]


def callable_on(channel: grpc.Channel, method: MethodDescriptor) -> Callable[..., Any]:
    """What calls an RPC on a channel, as the method of a generated stub does.

    It takes the request, or where ``method.client_streaming`` an iterator of them, and returns the response,
    or where ``method.server_streaming`` an iterator of them: what ``call``, and ``stream``, of a client take.
    """
    asked = "stream" if method.client_streaming else "unary"
    answered = "stream" if method.server_streaming else "unary"
    kind = getattr(channel, f"{asked}_{answered}")
    multicallable: Callable[..., Any] = kind(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    return multicallable


def is_media(kind: Descriptor | None) -> bool:
    """Whether a message is a file: an image, a sound, …, by its content or its address."""
    source = None if kind is None else kind.oneofs_by_name.get("source")
    return source is not None and {field.name for field in source.fields} == {"content", "uri"}
