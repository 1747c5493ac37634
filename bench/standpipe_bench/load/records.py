"""What was seen of each call: raw, complete, and small enough to keep."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import numpy.typing as npt

STATUSES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
    "UNFINISHED",
)
"""gRPC's, by their numbers, and the bench's own: the run was broken off before there was an answer."""

OK, DEADLINE_EXCEEDED, UNFINISHED = 0, 4, 17

CALL = np.dtype(
    [
        ("scheduled", "f8"),
        ("sent", "f8"),
        ("first", "f8"),
        ("last", "f8"),
        ("status", "u1"),
        ("items", "u4"),
        ("size", "u4"),
        ("messages", "u4"),
        ("batch", "u4"),
        ("read", "u4"),
        ("written", "u4"),
    ]
)
"""One call.

``scheduled``, ``sent``, ``first`` (message of the answer) and ``last`` are seconds since the run began: NaN
where it didn't come to that. ``items`` are the inputs it held, ``size`` the bytes of its answer, ``messages``
those of its stream that count, ``batch`` the batch that it ran in, ``read`` and ``written`` its tokens: 0
where the server doesn't say.
"""


@dataclass(frozen=True, slots=True)
class Records:
    """The calls of a run.

    Attributes:
        calls: An array of ``CALL``.
        times: When each message of each stream came, stream by stream, in the order of ``calls``: of a call
            there are ``messages``; none for unary ones.
        details: What was said with the first error of each status.
    """

    calls: npt.NDArray[Any]
    times: npt.NDArray[np.float64]
    details: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        rows: Sequence[tuple[Any, ...]],
        times: Sequence[float] = (),
        details: Mapping[int, str] | None = None,
    ) -> Records:
        """From tuples in the order of ``CALL``'s fields."""
        return cls(np.array(rows, CALL), np.array(times, np.float64), details or {})

    @classmethod
    def merged(cls, parts: Sequence[Records]) -> Records:
        """Of several drivers, in the order in which calls were due."""
        calls = np.concatenate([part.calls for part in parts])
        # A driver none of whose calls came to a message has its places in the order all the same.
        some = any(len(part.times) for part in parts)
        streams = [stream for part in parts for stream in part._split()] if some else []
        order = np.argsort(calls["scheduled"], kind="stable")
        times = [streams[index] for index in order] if streams else []
        details = {status: text for part in reversed(parts) for status, text in part.details.items()}
        return cls(calls[order], np.concatenate(times) if times else np.empty(0), details)

    def streams(self) -> list[npt.NDArray[np.float64]]:
        """The message times of each call; empty where the calls were unary."""
        return self._split() if len(self.times) else []

    def _split(self) -> list[npt.NDArray[np.float64]]:
        ends = np.cumsum(self.calls["messages"])
        return np.split(self.times, ends[:-1]) if len(ends) else []

    def lines(self) -> Iterator[dict[str, Any]]:
        """Each call as JSON can hold it; what it didn't come to is left out."""
        streams = self.streams()
        for index, row in enumerate(self.calls):
            call = dict(zip(CALL.names or (), row.tolist(), strict=True))
            line = {name: value for name, value in call.items() if value == value}
            line["status"] = STATUSES[call["status"]]
            if streams:
                line["times"] = streams[index].tolist()
            yield line

    def write(self, file: IO[str], point: dict[str, Any]) -> None:
        """Append a line for each call.

        Args:
            file: JSON lines.
            point: What the run was, added to each line.
        """
        for line in self.lines():
            file.write(json.dumps(point | line) + "\n")
