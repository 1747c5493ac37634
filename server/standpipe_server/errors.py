"""What can go wrong with a call, in the server's own words.

Not aware of gRPC: ``rpc.status`` alone turns these into statuses.
"""

from __future__ import annotations


class ServingError(Exception):
    """A call that can't be answered.

    Attributes:
        reason: UPPER_SNAKE_CASE, stable, for programs to switch on.
        details: What the reason is about, such as the model's name.
    """

    reason = "INTERNAL"

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.details = details


class InvalidInputError(ServingError):
    """The request is at fault, and would be at any time.

    Args:
        message: What is wrong, with the value and the limit.
        field: Path of the request's field, such as ``texts[3]``. Empty where only the caller knows it:
            a model that refuses one of its calls knows no field.
    """

    reason = "INVALID_INPUT"

    def __init__(self, message: str, field: str = "", **details: str) -> None:
        super().__init__(message, **details)
        self.field = field


class LimitExceededError(InvalidInputError):
    """The request is larger than this server is configured to take."""

    reason = "LIMIT_EXCEEDED"


class ModelNotFoundError(ServingError):
    """No such model, or no model for the task."""

    reason = "MODEL_NOT_FOUND"


class RetryableError(ServingError):
    """The same call may succeed later.

    Args:
        message: Why not now.
        retry_after: Seconds after which a retry is worth while.
    """

    def __init__(self, message: str, retry_after: float, **details: str) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class ModelLoadingError(RetryableError):
    """The model isn't ready yet."""

    reason = "MODEL_LOADING"


class DrainingError(RetryableError):
    """The server finishes what it accepted and takes nothing new."""

    reason = "SERVER_DRAINING"


class OverloadedError(RetryableError):
    """The queue is full."""

    reason = "QUEUE_FULL"


class MediaUnavailableError(RetryableError):
    """What a URI of the request names can't be had just now."""

    reason = "MEDIA_UNAVAILABLE"


class DeadlinePassedError(ServingError):
    """The caller's time ran out before the answer was there."""

    reason = "DEADLINE_PASSED"


class GoneError(ServingError):
    """Nobody waits any longer for the answer, so it wasn't finished."""

    reason = "NOBODY_WAITS"


class ModelFailedError(ServingError):
    """The model raised; the server lives on."""

    reason = "MODEL_FAILED"


class ModelLoadError(Exception):
    """A model can't be loaded as asked; the message says why and what would help."""


class ExportError(ModelLoadError):
    """A model has no form that the backend runs; another backend may serve it."""


def check_limit(count: int, field: str, name: str, limit: int, what: str) -> None:
    """Refuse more of something than the server is configured to take.

    Args:
        count: How much there is.
        field: Where the request has it.
        name: The limit's, as it is configured.
        limit: The most.
        what: What is counted, in words.

    Raises:
        LimitExceededError: Naming the field and the limit.
    """
    if count > limit:
        message = f"{count} {what} exceed the limit {name} = {limit}"
        raise LimitExceededError(message, field, limit=name, value=str(limit))
