"""Which field of a request holds its inputs: a guess by names and types, and filling it with texts.

The rule. Of a message's fields that hold text, ``model`` left out, the input is the one whose name, in the
singular or the plural, comes first in ``INPUT_NAMES``; where none is named so, the first list of strings,
else the first string, else the first message that holds one, a list of them before a single one. A list of
strings or of messages holds an input per element; but a list of messages that have a ``role`` is a
conversation, which is one input: its last message is what is asked. Of files, which are a message of bytes or
an address, the address isn't text; where there is a list of them, they are the inputs. Not aware of JSON, nor
of how texts are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from standpipe.contract import is_media
from standpipe_bench.requests.fields import (
    FieldError,
    Path,
    Step,
    holder,
    is_map,
    is_well_known,
    kind,
    written,
)

INPUT_NAMES = (
    "text",
    "prompt",
    "input",
    "message",
    "content",
    "context",
    "document",
    "passage",
    "sentence",
    "question",
)
_DEEPEST = 4
"""Messages within messages that are looked into."""


def text_path(message: Descriptor, depth: int = _DEEPEST) -> list[Step] | None:
    """Of the field that holds a request's input texts; None where none can be told."""
    return next(_text_paths(message, depth), None)


def items(message: Message) -> int:
    """Inputs that a request holds: files, or elements of the list that ``text_path`` names; at least 1.

    Where no field holds text, of the first list of bytes or messages; 1 where there is no list either.
    """
    kind_of_message: Any = message.DESCRIPTOR
    path = _list_of_files(kind_of_message) or text_path(kind_of_message) or _other_list(kind_of_message)
    for position, step in enumerate(path):
        if step.index is not None:
            return 1
        if step.many:
            return max(1, len(getattr(holder(message, path[: position + 1]), step.field.name)))
    return 1


def check_text(path: Path) -> None:
    """Whether a field can be filled with texts.

    Raises:
        FieldError: It holds something else, or lists within a list.
    """
    last = path[-1]
    if last.field.type != FieldDescriptor.TYPE_STRING:
        raise FieldError(f"{written(path)} holds no text: it is {kind(last)}")
    lists = [step for step in path if step.many]
    if len(lists) > 1:
        raise FieldError(f"{written(path)}: which of {lists[0]}? Write {lists[0]}[0]")


def takes_many(path: Path) -> bool:
    """Whether a field takes more than one text."""
    return any(step.many for step in path)


def fill(message: Message, path: Path, texts: Sequence[str]) -> None:
    """Put texts into a field that ``check_text`` accepts.

    A list of strings holds just them afterwards. Of a list of messages there are as many then, those that
    were there over and over, with a text in each. Any other field takes one text.

    Raises:
        FieldError: A list on the way has no such element.
    """
    many = next((position for position, step in enumerate(path) if step.many), len(path) - 1)
    step = path[many]
    inside: Any = holder(message, path[: many + 1])
    if many < len(path) - 1:
        elements = getattr(inside, step.field.name)
        _resize(elements, len(texts))
        for element, text in zip(elements, texts, strict=True):
            fill(element, path[many + 1 :], [text])
    elif step.many:
        getattr(inside, step.field.name)[:] = texts
    else:
        _put(inside, path, texts[0])


def copy(message: Message) -> Message:
    """An equal message."""
    other = type(message)()
    other.CopyFrom(message)
    return other


def _text_paths(message: Descriptor, depth: int) -> Iterator[list[Step]]:
    for field in sorted(message.fields, key=_order):
        if field.type == FieldDescriptor.TYPE_STRING and field.name != "model":
            yield [Step(field)]
        elif (inside := _with_text(field)) is not None and depth > 1:
            within = text_path(inside, depth - 1)
            step = Step(field, -1 if field.is_repeated and "role" in inside.fields_by_name else None)
            # Lists within lists have no one length: which is meant must be said.
            if within is not None and not (step.many and takes_many(within)):
                yield [step, *within]


def _order(field: FieldDescriptor) -> tuple[int, bool, bool]:
    # Fields that are alike stay in the order in which they are declared.
    names = {name: rank for rank, name in enumerate(INPUT_NAMES)}
    rank = names.get(field.name, names.get(field.name.removesuffix("s"), len(names)))
    return rank, field.message_type is not None, not field.is_repeated


def _with_text(field: FieldDescriptor) -> Descriptor | None:
    """A field's message, where that may hold text: protobuf's own, such as a duration, hold none."""
    if is_map(field) or is_well_known(field) or is_media(field.message_type):
        return None
    return field.message_type


def _list_of_files(message: Descriptor) -> list[Step]:
    lists = (field for field in message.fields if field.is_repeated and is_media(field.message_type))
    return next(([Step(field)] for field in lists), [])


def _other_list(message: Descriptor) -> list[Step]:
    lists = (field for field in message.fields if field.is_repeated and not is_map(field))
    held = (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE)
    return next(([Step(field)] for field in lists if field.type in held), [])


def _resize(elements: Any, count: int) -> None:
    if not elements:
        elements.add()
    patterns = [copy(element) for element in elements]
    del elements[:]
    elements.extend(patterns[index % len(patterns)] for index in range(count))


def _put(message: Any, path: Path, text: str) -> None:
    step = path[-1]
    if step.index is None:
        setattr(message, step.field.name, text)
        return
    elements = getattr(message, step.field.name)
    try:
        elements[step.index] = text
    except IndexError:
        raise FieldError(f"there is no {written(path)}: the list holds {len(elements)}") from None
