"""Fields of any message, by names that people type: found, set, and guessed. Not aware of RPCs, nor of texts.

A path names a field as the proto or its JSON does, and elements of lists by number:
``parameters.maxNewTokens``, ``messages[-1].content``. A list without a number stands for the whole of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_STEP = re.compile(r"(\w+)(?:\[(-?\d+)\])?", re.ASCII)
_TYPED = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_ENUM)
"""What is typed for these is the value; for all others it is JSON."""


class FieldError(ValueError):
    """A field that isn't there, or can't be what it is asked to be; the message names it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a path.

    Attributes:
        field: What it names.
        index: Which element of a list; None for the field as a whole.
    """

    field: FieldDescriptor
    index: int | None = None

    def __str__(self) -> str:
        return self.field.name if self.index is None else f"{self.field.name}[{self.index}]"

    @property
    def many(self) -> bool:
        """It stands for all elements of a list."""
        return self.field.is_repeated and self.index is None


Path = Sequence[Step]


def written(path: Path) -> str:
    """A path as people write it."""
    return ".".join(str(step) for step in path)


def parse_path(message: Descriptor, text: str) -> list[Step]:
    """A path in messages of a type.

    Raises:
        FieldError: There is no such field; the message names what there is.
    """
    steps: list[Step] = []
    inside: Descriptor | None = message
    for part in text.split("."):
        if inside is None:
            raise FieldError(f"{written(steps)} of {message.full_name} is set as a whole: it has no {part!r}")
        step = _step(inside, part)
        steps.append(step)
        inside = None if is_map(step.field) or is_well_known(step.field) else step.field.message_type
    return steps


def is_map(field: FieldDescriptor) -> bool:
    """Whether it is a map, which on the wire is a list of entries."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def is_well_known(field: FieldDescriptor) -> bool:
    """Whether it is a message of protobuf's own, whose JSON isn't its fields: a duration is "3s"."""
    return field.message_type is not None and field.message_type.file.package == "google.protobuf"


def holder(message: Message, path: Path) -> Message:
    """The message that the last step of a path is a field of.

    Raises:
        FieldError: A list on the way has no such element, or isn't told which.
    """
    for position, step in enumerate(path[:-1]):
        inside = getattr(message, step.field.name)
        if step.many:
            raise FieldError(f"{written(path)}: which of {step}? Write {step}[0]")
        if step.index is not None:
            _check_index(inside, path[: position + 1])
            inside = inside[step.index]
        message = inside
    return message


def assign(message: Message, path: Path, text: str) -> None:
    """Give a field a value.

    Args:
        message: What to change.
        path: Of the field; an element one past the end of a list is added to it.
        text: Of strings, bytes (base64) and enums the value; of numbers, messages and lists the JSON, where
            ``null`` unsets them.

    Raises:
        FieldError: It is no value of the field.
    """
    target: Any = holder(message, path)
    step = path[-1]
    # Read by protobuf's own JSON parser, as a message of that one field: it knows every type.
    parsed: Any = type(target)()
    try:
        value = _json_value(step, text)
        content = [value] if step.index is not None else value
        json_format.ParseDict({step.field.json_name: content}, parsed, descriptor_pool=_pool(message))
    except (json_format.ParseError, ValueError, RecursionError) as error:
        raise FieldError(f"{text!r} is no {kind(step)}: {one_line(error)}") from error
    if step.index is None:
        target.ClearField(step.field.name)
        target.MergeFrom(parsed)
    else:
        _assign_element(getattr(target, step.field.name), path, getattr(parsed, step.field.name)[0])


def kind(step: Step) -> str:
    """What a field holds, in words: "list of string", "bool", "standpipe.v1.Constraint"."""
    field = step.field
    typed = field.message_type or field.enum_type
    name = typed.full_name if typed is not None else _SCALARS[field.type]
    if is_map(field):
        return "map, as a JSON object"
    return f"list of {name}" if step.many else name


def parse_json(message: Message, text: str) -> None:
    """Read proto3's JSON into a message.

    Raises:
        FieldError: It is no such message; the text says why.
    """
    if not text.lstrip().startswith("{"):
        raise FieldError("a request is a JSON object, {…}")
    try:
        json_format.Parse(text, message, descriptor_pool=_pool(message))
    except (json_format.ParseError, ValueError, RecursionError) as error:
        raise FieldError(f"no {message.DESCRIPTOR.full_name}: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """Some of protobuf's messages fill several lines."""
    return " ".join(str(error).split())


def _pool(message: Message) -> Any:
    # Of the messages that an Any may hold. The stubs don't know that a file has a pool.
    file: Any = message.DESCRIPTOR.file
    return file.pool


def _step(message: Descriptor, part: str) -> Step:
    found = _STEP.fullmatch(part)
    if found is None:
        raise FieldError(f"{part!r} is no name of a field; write name, or name[0] for an element of a list")
    fields = message.fields_by_name
    field = fields.get(found[1]) or next((one for one in fields.values() if one.json_name == found[1]), None)
    if field is None:
        near = get_close_matches(found[1], fields, n=3)
        hint = f"near: {', '.join(near)}; " if near else ""
        raise FieldError(
            f"{message.full_name} has no field {found[1]!r}; {hint}it has: {', '.join(fields) or 'none'}"
        )
    if found[2] is None:
        return Step(field)
    if is_map(field) or not field.is_repeated:
        raise FieldError(f"{field.name} of {message.full_name} is no list, so there is no {part}")
    return Step(field, int(found[2]))


def _check_index(elements: Sequence[Any], path: Path) -> None:
    index = path[-1].index or 0
    if not -len(elements) <= index < len(elements):
        raise FieldError(f"there is no {written(path)}: the list holds {len(elements)}")


def _json_value(step: Step, text: str) -> Any:
    if step.field.type in _TYPED and not step.many:
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        if text.lstrip()[:1] in ("{", "["):
            raise
        # A duration's JSON is a string, for one: "3s".
        return text


def _assign_element(elements: Any, path: Path, value: Any) -> None:
    if path[-1].index == len(elements):
        elements.append(value)
        return
    _check_index(elements, path)
    if isinstance(value, Message):
        elements[path[-1].index].CopyFrom(value)
    else:
        elements[path[-1].index] = value


_SCALARS = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}
