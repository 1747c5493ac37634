"""Options to fields of messages: what the requests of every service are made with.

Not aware of any RPC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from standpipe.v1 import common_pb2

M = TypeVar("M", bound=Message)


def filled(kind: type[M], options: Mapping[str, Any], **inputs: Any) -> M:
    """A message of inputs and of those options that are given; words become values of enums.

    Raises:
        ValueError: A word is none of the enum's.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given.keys() & kind.DESCRIPTOR.fields_by_name.keys():
        enum = kind.DESCRIPTOR.fields_by_name[name].enum_type
        if enum is not None:
            given[name] = _known(words(enum), given[name], name)
    return kind(**inputs, **given)


def words(enum: Any) -> dict[str, int]:
    """What the values of an enum are called here: POOLING_LAST_TOKEN is "last_token"."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower(): value.number for value in enum.values if value.number}


def several(name: str, values: Sequence[str]) -> Sequence[str]:
    """Refuse one string where a list is meant: each of its letters would be sent.

    Raises:
        TypeError: It is one.
    """
    if isinstance(values, str):
        raise TypeError(f"{name} is one string; send a list: [text]")
    return values


def gathered(
    options: Mapping[str, Any], kind: type[Message] = common_pb2.GenerationParameters
) -> dict[str, Any]:
    """The options, those that say how a model works gathered in one message.

    Args:
        options: By name.
        kind: The message's; of models that write unless another one is named.
    """
    known = kind.DESCRIPTOR.fields_by_name
    given = {name: value for name, value in options.items() if value is not None}
    working = {name: given.pop(name) for name in list(given) if name in known}
    return {**given, "parameters": kind(**working) if working else None}


def _known(table: Mapping[str, int], word: str, name: str) -> int:
    if word not in table:
        raise ValueError(f"{name} is {word!r}; it may be: {', '.join(table)}")
    return table[word]
