"""Files of ``standpipe call``: those that a request brings, and those that a response is saved to.

Not aware of RPCs: which fields hold media is read off their descriptors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from standpipe.contract import is_media

# What files begin with, where that tells their kind; and from which byte on.
_KINDS = (
    (0, b"\x89PNG", "png"),
    (0, b"\xff\xd8\xff", "jpg"),
    # Before what it begins with, as other files do.
    (8, b"WEBP", "webp"),
    (0, b"GIF8", "gif"),
    (0, b"RIFF", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (4, b"ftyp", "mp4"),
    (0, b"\x1aE\xdf\xa3", "webm"),
)

_FEW = 96
"""Bytes that a person may be shown."""


class FileError(Exception):
    """A file can't be read, written, or be part of the request; the message says why."""


def put_files(request: Message, files: Sequence[Path]) -> None:
    """Put files into a request.

    Into the media that it names without a source; then into those that it doesn't name, in the order of its
    fields; then into its list of media.

    Raises:
        FileError: There is no place for one, or it can't be read.
    """
    places = chain(_empty_media(request), _absent_media(request))
    for file in files:
        place = next(places, None)
        if place is None:
            listed = next((field for field in request.DESCRIPTOR.fields if _lists_media(field)), None)
            if listed is None:
                raise FileError(
                    f"{file}: {request.DESCRIPTOR.name} has no list of files; say in --json where it goes, "
                    'as "image": {}'
                )
            place = getattr(request, listed.name).add()
        try:
            place.content = file.read_bytes()
        except OSError as error:
            raise FileError(f"{file}: {error.strerror}") from error


def saved(message: Message, folder: Path, name: str) -> dict[str, Any]:
    """A message as JSON has it, with paths of files in place of bytes.

    Args:
        message: Whose bytes are written.
        folder: For the files; made where it isn't there.
        name: Of the files, before their numbers.

    Raises:
        FileError: One can't be written.
    """
    shown: dict[str, Any] = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, (holder, key, content) in enumerate(_bytes(message, shown), start=1):
            path = folder / f"{name}-{number}.{_kind(content)}"
            path.write_bytes(content)
            holder[key] = str(path)
    except OSError as error:
        raise FileError(f"{error.filename}: {error.strerror}") from error
    return shown


def shortened(message: Message) -> dict[str, Any]:
    """A message as JSON has it, with their number in place of bytes that are many."""
    shown: dict[str, Any] = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    for holder, key, content in _bytes(message, shown):
        if len(content) > _FEW:
            holder[key] = f"{len(content):,} bytes; --save FOLDER keeps them"
    return shown


def _lists_media(field: Any) -> bool:
    return bool(field.is_repeated) and is_media(field.message_type)


def _empty_media(message: Message) -> Iterator[Any]:
    """The media of a message that have no source."""
    kind: Any = message.DESCRIPTOR
    if is_media(kind):
        if message.WhichOneof("source") is None:
            yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for inner in value if field.is_repeated else [value]:
                yield from _empty_media(inner)


def _absent_media(message: Message) -> Iterator[Any]:
    """The media that a message may name, each once, and doesn't."""
    kind: Any = message.DESCRIPTOR
    for field in kind.fields:
        if not field.is_repeated and is_media(field.message_type) and not message.HasField(field.name):
            yield getattr(message, field.name)


def _bytes(message: Message, shown: dict[str, Any]) -> Iterator[tuple[Any, Any, bytes]]:
    """The bytes of a message, and where its JSON has them."""
    for field, value in message.ListFields():
        inside = shown[field.json_name]
        items = enumerate(value) if field.is_repeated else [(field.json_name, value)]
        holder: Any = inside if field.is_repeated else shown
        for key, item in items:
            if field.type == FieldDescriptor.TYPE_BYTES:
                yield holder, key, item
            elif isinstance(holder[key], dict):
                yield from _bytes(item, holder[key])


def _kind(content: bytes) -> str:
    return next((kind for place, mark, kind in _KINDS if content.startswith(mark, place)), "bin")
