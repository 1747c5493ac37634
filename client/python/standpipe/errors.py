"""What a failed call tells, read from the status and its google.rpc details."""

from __future__ import annotations

from contextlib import suppress

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"


class CallError(Exception):
    """A call that the server, or the way to it, refused.

    Attributes:
        code: The gRPC status.
        message: For people.
        reason: For programs, from ErrorInfo: "LIMIT_EXCEEDED", "QUEUE_FULL"; empty where no server answered.
        domain: Who gave the reason: "standpipe", or what stands between.
        metadata: What the reason is about, such as the model's name and the request id.
        fields: What is wrong with which field of the request, by its path: ``{"texts[3]": "…"}``.
        retry_after: Seconds after which a retry is worth while; None where none is.
    """

    def __init__(self, error: grpc.RpcError) -> None:
        assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)  # noqa: S101 - gRPC raises no others
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        self.reason = ""
        self.domain = ""
        self.metadata: dict[str, str] = {}
        self.fields: dict[str, str] = {}
        self.retry_after: float | None = None
        for key, value in error.trailing_metadata() or ():
            if key == _DETAILS and isinstance(value, bytes):
                # What stands between may garble them: then there are none, and the status is what counts.
                with suppress(DecodeError):
                    self._read(status_pb2.Status.FromString(value))
        where = "".join(f"; {field}: {problem}" for field, problem in self.fields.items())
        super().__init__(f"{self.code.name}: {self.message}{where}")

    def _read(self, status: status_pb2.Status) -> None:
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        for detail in status.details:
            if detail.Unpack(info):
                self.reason = info.reason
                self.domain = info.domain
                self.metadata = dict(info.metadata)
            elif detail.Unpack(bad):
                self.fields = {violation.field: violation.description for violation in bad.field_violations}
            elif detail.Unpack(retry):
                self.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
