"""Every error's way onto the wire: the one place where an exception becomes a status."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from standpipe_server.engine.batcher import CallFailedError
from standpipe_server.errors import (
    DeadlinePassedError,
    InvalidInputError,
    ModelFailedError,
    ModelNotFoundError,
    OverloadedError,
    RetryableError,
    ServingError,
)

DOMAIN = "standpipe"
REQUEST_ID = "x-request-id"
_DETAILS = "grpc-status-details-bin"

RequestT = TypeVar("RequestT")
T = TypeVar("T")

# The first class that fits decides, so a class stands before those it derives from.
_CODES: tuple[tuple[type[ServingError], grpc.StatusCode], ...] = (
    (InvalidInputError, grpc.StatusCode.INVALID_ARGUMENT),
    (ModelNotFoundError, grpc.StatusCode.NOT_FOUND),
    (OverloadedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (RetryableError, grpc.StatusCode.UNAVAILABLE),
    (DeadlinePassedError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (ServingError, grpc.StatusCode.INTERNAL),
)

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[bytes, bytes]


def stated(
    rpc: str, answer: Callable[[RequestT, Context], Awaitable[T]]
) -> Callable[[RequestT, Context], Awaitable[T]]:
    """A handler whose errors end its calls with their statuses.

    Args:
        rpc: Its full name.
        answer: What may raise anything.
    """

    async def answered(request: RequestT, context: Context) -> T:
        try:
            return await answer(request, context)
        except Exception as error:
            await _abort(context, error, rpc=rpc)
            raise

    return answered


async def _abort(context: Context, error: Exception, *, rpc: str) -> None:
    """End a call with an error's status and details.

    Args:
        context: Of the call.
        error: What happened; anything that isn't a ServingError is INTERNAL, and logged.
        rpc: The call's full name, for the log.
    """
    known = (
        error if isinstance(error, ServingError) else ServingError("the server failed; its log has the cause")
    )
    request_id = _request_id(context)
    code = next(code for kind, code in _CODES if isinstance(known, kind))
    if code is grpc.StatusCode.INTERNAL:
        log.error("%s failed, request id %s", rpc, request_id, exc_info=error)
    details = [
        error_details_pb2.ErrorInfo(
            reason=known.reason, domain=DOMAIN, metadata={"request_id": request_id, **known.details}
        ),
        *_particulars(known),
    ]
    status = status_pb2.Status(code=code.value[0], message=str(known), details=map(_pack, details))
    metadata = ((_DETAILS, status.SerializeToString()), (REQUEST_ID, request_id))
    try:
        await context.abort(code, str(known), metadata)
    except grpc.aio.InternalError:
        # The caller left in this moment: nobody is there to be told, and the log needn't know.
        raise asyncio.CancelledError from None


def failure(error: CallFailedError, field: str) -> ServingError:
    """What one failed call of many means for its request.

    Args:
        error: With what the runner said as its cause.
        field: Where the request has the call's input.
    """
    cause = error.__cause__
    if isinstance(cause, InvalidInputError):
        return type(cause)(str(cause), cause.field or field, **cause.details)
    if isinstance(cause, ServingError):
        return cause
    return ModelFailedError(f"the model failed on {field}; the server's log has the cause")


def _particulars(error: ServingError) -> Sequence[Message]:
    if isinstance(error, InvalidInputError):
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=str(error))
        return [error_details_pb2.BadRequest(field_violations=[violation])]
    if isinstance(error, RetryableError):
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        return [error_details_pb2.RetryInfo(retry_delay=delay)]
    return []


def _pack(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed


def _request_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID and isinstance(value, str):
            return value
    return uuid.uuid4().hex
