"""What the tasks of causal models share: how to write, checked, and what comes of what was written.

Not aware of engines, nor of how a text is batched with others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from standpipe.v1 import generation_pb2
from standpipe_server.errors import InvalidInputError, check_limit
from standpipe_server.interfaces import Finish, FinishName, Output, TokenLogprob, Written
from standpipe_server.programs import Constraint, Generation, Writing
from standpipe_server.tasks.base import InputLimits, check_text, optional
from standpipe_server.tasks.writing import options

_MAX_STOP_STRINGS = 16
_MAX_STOP_LENGTH = 1024
_MAX_SEQUENCES = 16

REASONS: Mapping[FinishName, generation_pb2.FinishReason.ValueType] = {
    "stop": generation_pb2.FINISH_REASON_STOP,
    "length": generation_pb2.FINISH_REASON_LENGTH,
    "stop_string": generation_pb2.FINISH_REASON_STOP_STRING,
    "cancelled": generation_pb2.FINISH_REASON_CANCELLED,
}


def writing(request: Any, limits: InputLimits, *, sequences: int = 1, stream: bool = False) -> Writing:
    """How a request of GenerationService wants its texts written.

    Args:
        request: Has ``parameters``, ``stop_strings``, ``constraint`` and ``logprobs``.
        limits: What it may ask for.
        sequences: Texts for each prompt.
        stream: They are read while they are written.

    Raises:
        InvalidInputError: Naming the field.
    """
    given = options(request.parameters, limits)
    beams = dict(given).get("num_beams", 1)
    if stream and beams > 1:
        raise InvalidInputError(
            "beams are known at the end only: they can't be streamed", "parameters.num_beams"
        )
    if 1 < beams < sequences:
        raise InvalidInputError(f"{beams} beams don't give {sequences} texts", "num_return_sequences")
    return Writing(
        generation=Generation(
            options=given,
            seed=optional(request.parameters, "seed", None),
            truncate=False,
            max_new_tokens=limits.max_new_tokens,
        ),
        stop_strings=_stop_strings(request.stop_strings),
        constraint=_constraint(request.constraint, limits),
        logprobs=optional(request, "logprobs", False),
        sequences=sequences,
    )


def written(output: Output) -> Written:
    """The text of a call that asks for one."""
    text: Written = output.value[0]
    return text


def usage(finishes: Iterable[Finish | None], outputs: Sequence[Output]) -> generation_pb2.Usage:
    """What calls took.

    Args:
        finishes: Of all their texts.
        outputs: Of the calls.
    """
    ends = [finish for finish in finishes if finish is not None]
    message = generation_pb2.Usage(
        prompt_tokens=sum(output.tokens for output in outputs),
        generated_tokens=sum(finish.generated_tokens for finish in ends),
    )
    cached = [finish.cached_tokens for finish in ends if finish.cached_tokens is not None]
    if cached:
        message.cached_tokens = sum(cached)
    return message


def logprob_messages(logprobs: Iterable[TokenLogprob]) -> list[generation_pb2.TokenLogprob]:
    """As the contract has them."""
    return [generation_pb2.TokenLogprob(id=one.id, token=one.token, logprob=one.logprob) for one in logprobs]


def stream_end(finish: Finish, *, tool_calls: bool = False) -> generation_pb2.StreamEnd:
    """The end of a stream.

    Args:
        finish: Of its text.
        tool_calls: The text called tools.
    """
    return generation_pb2.StreamEnd(
        finish_reason=reason(finish, tool_calls=tool_calls),
        stop_string=finish.stop_string,
        usage=usage([finish], [Output(None, finish.prompt_tokens)]),
    )


def reason(finish: Finish, *, tool_calls: bool = False) -> generation_pb2.FinishReason.ValueType:
    """Why a text ends, as the contract has it."""
    if tool_calls and finish.reason == "stop":
        return generation_pb2.FINISH_REASON_TOOL_CALL
    return REASONS[finish.reason]


def _stop_strings(strings: Sequence[str]) -> tuple[str, ...]:
    field = "stop_strings"
    check_limit(len(strings), field, "stop_strings", _MAX_STOP_STRINGS, field)
    for index, text in enumerate(strings):
        if not text:
            raise InvalidInputError("the stop string is empty", f"{field}[{index}]")
        check_limit(len(text), f"{field}[{index}]", "stop_string", _MAX_STOP_LENGTH, "characters")
    return tuple(strings)


def _constraint(message: generation_pb2.Constraint, limits: InputLimits) -> Constraint | None:
    """What the message asks for; whether it can be met, only a model's vocabulary tells."""
    form = message.WhichOneof("form")
    if form is None:
        return None
    if form == "choices":
        return Constraint("choices", choices=_choices(message.choices, limits))
    text: str = getattr(message, form)
    field = f"constraint.{form}"
    _check_form(text, field, form, limits)
    return Constraint(form, text)


def _check_form(text: str, field: str, what: str, limits: InputLimits) -> None:
    if not text:
        raise InvalidInputError(f"{what} is empty", field)
    check_text(text, field, limits)
    if "\0" in text:
        # openvino-genai's grammars end there: the text would be cut without a word.
        raise InvalidInputError(f"{what} holds the character U+0000, which a form can't have", field)


def _choices(message: generation_pb2.Choices, limits: InputLimits) -> tuple[str, ...]:
    field = "constraint.choices.texts"
    if not message.texts:
        raise InvalidInputError("there is nothing to choose from", field)
    check_limit(len(message.texts), field, "max_labels", limits.max_labels, "choices")
    for index, text in enumerate(message.texts):
        _check_form(text, f"{field}[{index}]", "the choice", limits)
    return tuple(message.texts)


def sequences(request: generation_pb2.GenerateTextRequest) -> int:
    """How many texts a request wants for each prompt.

    Raises:
        InvalidInputError: Fewer than one, or more than 16.
    """
    wanted = optional(request, "num_return_sequences", 1)
    if not 1 <= wanted <= _MAX_SEQUENCES:
        raise InvalidInputError(
            f"{wanted} isn't at least 1 and at most {_MAX_SEQUENCES}", "num_return_sequences"
        )
    return wanted


BRIEF = Writing(Generation(options=(("max_new_tokens", 4), ("do_sample", False))))
"""For warming up."""
