"""What the bench reads off the messages of a stream, and which of them are pieces of the answer."""

from __future__ import annotations

import pytest
from client_fakes import ANSWERS

from standpipe import contract
from standpipe_bench.targets import Answer
from standpipe_bench.targets.reading import reader


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        # What ends a text is no token.
        ("StreamChat", [True, True, True, False]),
        # A step, a preview or the pictures: the time to the first is that of a step, the last is the end.
        ("GenerateImage", [True, True, True, True, True]),
        ("GenerateVideo", [True, True, True]),
    ],
)
def test_pieces_of_a_stream_are_told_from_its_end(name: str, pieces: list[bool]) -> None:
    read = reader(contract.find(name).output_type.full_name)
    assert read is not None
    answer = Answer()
    assert pieces == [read(message.SerializeToString(), answer) for message in ANSWERS[name]]


def test_the_batch_is_that_of_the_last_message_and_nothing_was_written_where_nothing_is_a_text() -> None:
    read = reader(contract.find("GenerateImage").output_type.full_name)
    assert read is not None
    *steps, last = ANSWERS["GenerateImage"]
    drawn = type(last)()
    drawn.CopyFrom(last)
    drawn.metadata.batch_size = 4
    answer = Answer()
    for message in [*steps, drawn]:
        read(message.SerializeToString(), answer)
    assert (4, 0) == (answer.batch, answer.written)
