"""What one failed call of many means for its request."""

from __future__ import annotations

import pytest

from standpipe_server.engine.batcher import CallFailedError
from standpipe_server.errors import (
    DeadlinePassedError,
    InvalidInputError,
    LimitExceededError,
    ModelFailedError,
    ServingError,
)
from standpipe_server.rpc.status import failure


def failed(cause: Exception) -> CallFailedError:
    error = CallFailedError(3)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "field"),
    [
        (InvalidInputError("too long"), "texts[3]"),
        (InvalidInputError("too long", "stride"), "stride"),
        (LimitExceededError("too long", limit="l", value="1"), "texts[3]"),
        (LimitExceededError("too long", "top_k", limit="l", value="1"), "top_k"),
    ],
)
def test_an_input_at_fault_is_named_unless_the_model_names_a_field_itself(
    cause: InvalidInputError, field: str
) -> None:
    error = failure(failed(cause), "texts[3]")
    assert type(cause) is type(error)
    assert isinstance(error, InvalidInputError)
    assert (field, "too long", cause.details) == (error.field, str(error), error.details)


def test_an_error_of_the_servers_own_stays_what_it_is() -> None:
    cause = DeadlinePassedError("too late")
    assert failure(failed(cause), "texts[3]") is cause


@pytest.mark.parametrize("cause", [ValueError("secret"), RuntimeError("secret")])
def test_whatever_else_a_model_raises_is_the_logs_business(cause: Exception) -> None:
    error: ServingError = failure(failed(cause), "inputs[3]")
    assert isinstance(error, ModelFailedError)
    assert "the model failed on inputs[3]; the server's log has the cause" == str(error)
