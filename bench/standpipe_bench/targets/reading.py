"""What a server of this project's contract tells of a call besides the answer: its batch and its tokens.

Decided once by the descriptor of the answers; of any other server nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass

from standpipe import contract

if TYPE_CHECKING:
    from standpipe_bench.targets import Answer

Reader = Callable[[bytes, "Answer"], bool]
"""Notes in an answer what a message tells; returns whether the message counts as a piece of it."""


def reader(response: str) -> Reader | None:
    """What reads the answers of a message type.

    Args:
        response: Its full name.

    Returns:
        None where they tell nothing that is understood.
    """
    known = {method.output_type.full_name: method.output_type for method in contract.methods().values()}
    if response not in known or "metadata" not in known[response].fields_by_name:
        return None
    descriptor = known[response]
    parse = GetMessageClass(descriptor).FromString
    written = _written(descriptor)
    ends = "end" in descriptor.fields_by_name

    def read(data: bytes, answer: Answer) -> bool:
        message: Any = parse(data)
        answer.batch = message.metadata.batch_size
        answer.read = message.metadata.tokens
        answer.written = written(message)
        return not (ends and message.HasField("end"))

    return read


def _written(descriptor: Descriptor) -> Callable[[Any], int]:
    """How many tokens a message says were written."""
    fields = descriptor.fields_by_name
    if "end" in fields:
        return lambda message: message.end.usage.generated_tokens
    if "usage" in fields:
        return lambda message: message.usage.generated_tokens
    results = fields.get("results")
    if (
        results is not None
        and results.message_type
        and "generated_tokens" in results.message_type.fields_by_name
    ):
        return lambda message: sum(one.generated_tokens for one in message.results)
    return lambda message: 0
