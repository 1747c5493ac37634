"""What the tasks that find objects share: boxes, and the messages that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from standpipe.v1 import vision_pb2
from standpipe_server.interfaces import Output

Found = Sequence[Mapping[str, Any]]
"""Objects as the library's pipelines give them: label, score, and a box of four edges."""


def to_message(found: Found) -> vision_pb2.DetectedObjects:
    """Objects as the contract has them."""
    return vision_pb2.DetectedObjects(
        objects=[
            vision_pb2.DetectedObject(
                label=one["label"], score=one["score"], box=vision_pb2.BoundingBox(**one["box"])
            )
            for one in found
        ]
    )


def to_messages(outputs: Iterable[Output]) -> list[vision_pb2.DetectedObjects]:
    """The objects of each image."""
    return [to_message(output.value) for output in outputs]
