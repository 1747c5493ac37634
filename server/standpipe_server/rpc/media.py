"""Media that a request names by address, fetched into it before anybody else looks at the request.

Which fields hold media is read off the descriptors: a message with a oneof ``source`` of ``content`` and
``uri``. Not aware of tasks, nor of how an address is fetched.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any, Protocol

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from standpipe.contract import is_media
from standpipe_server.errors import LimitExceededError, check_limit
from standpipe_server.tasks import InputLimits

# Files of one request together, in files of the greatest size: addresses are short, and what is there isn't.
_FILES = 8
# Of one request: the rest are for others.
_SIDE_BY_SIDE = 4


class Fetcher(Protocol):
    """Gets files from addresses."""

    async def fetch(self, uri: str, field: str, timeout: float) -> bytes:
        """The file at an address, within limits.

        Args:
            uri: Where it is.
            field: Where the request has the address, for errors.
            timeout: Seconds that the caller waits at most.

        Raises:
            InvalidInputError: It isn't to be had, or not to be asked for.
            RetryableError: It isn't to be had now.
            DeadlinePassedError: The caller's time ran out.
        """
        ...


async def fetch_media(request: Message, fetcher: Fetcher, timeout: float, limits: InputLimits) -> None:
    """Put the files in place of all addresses of a request; one that can't be had fails it.

    Raises:
        LimitExceededError: There are too many, or they hold too much together.
    """
    if not holds_media(request.DESCRIPTOR):
        return
    named = deque(islice(_named(request, "", limits), limits.max_items + 1))
    check_limit(len(named), "uri", "max_items", limits.max_items, "addresses in one call")
    most = _FILES * limits.max_media_bytes
    held = 0

    async def fill(media: Any, field: str) -> None:
        nonlocal held
        file = await fetcher.fetch(media.uri, f"{field}.uri", timeout)
        held += len(file)
        if held > most:
            raise LimitExceededError(
                f"the files of one call exceed {_FILES} times the limit max_media_bytes = "
                f"{limits.max_media_bytes} together",
                f"{field}.uri",
                limit="max_media_bytes",
                value=str(limits.max_media_bytes),
            )
        media.content = file

    async def work() -> None:
        while named:
            await fill(*named.popleft())

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_SIDE_BY_SIDE, len(named))):
                group.create_task(work())
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


@cache
def holds_media(kind: Descriptor) -> bool:
    """Whether a message of this kind may hold media, at any depth."""
    seen = {kind.full_name}
    kinds = [kind]
    # Kinds may hold each other, so they are gone through like a graph.
    for found in kinds:
        inner = [field.message_type for field in found.fields if field.message_type is not None]
        kinds += {one.full_name: one for one in inner if one.full_name not in seen}.values()
        seen |= {one.full_name for one in inner}
    return any(map(is_media, kinds))


def _named(message: Any, path: str, limits: InputLimits) -> Iterator[tuple[Message, str]]:
    """The media of a message that are named by address, and where they stand."""
    if is_media(message.DESCRIPTOR):
        if message.HasField("uri"):
            yield message, path
        return
    for field, value in message.ListFields():
        if field.message_type is None or not holds_media(field.message_type):
            continue
        place = f"{path}.{field.name}" if path else field.name
        if field.is_repeated:
            # Before all of them are gone through, let alone asked for.
            check_limit(len(value), place, "max_items", limits.max_items, f"{place} in one call")
            for index, item in enumerate(value):
                yield from _named(item, f"{place}[{index}]", limits)
        else:
            yield from _named(value, place, limits)
