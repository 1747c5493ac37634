"""Whether what a client reported is what its case expects. Not aware of languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jmespath
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass
from jmespath.exceptions import JMESPathError

from conformance.cases import Case
from standpipe import contract

_CHECKS: Mapping[str, Callable[[Any, Any, Mapping[str, Any]], bool]] = {
    "is": lambda found, wanted, _: bool(found == wanted),
    "near": lambda found, wanted, held: (
        isinstance(found, float | int) and abs(found - wanted) <= held["within"]
    ),
    "at_least": lambda found, wanted, _: isinstance(found, float | int) and found >= wanted,
    "at_most": lambda found, wanted, _: isinstance(found, float | int) and found <= wanted,
}


def faults(case: Case, reported: Mapping[str, Any]) -> list[str]:
    """What is wrong with what a runner reported of a case; nothing where it is as it should be."""
    if reported["status"] != case.status:
        error = (reported.get("error") or {}).get("message", "")
        return [f"status is {reported['status']}, not {case.status}: {error[:500]}"]
    try:
        outcome = {**reported, "messages": [_as_read(case, message) for message in reported["messages"]]}
    except json_format.ParseError as error:
        return [f"a message isn't one of the RPC's: {error}"]
    if case.status == "OK" and reported["error"] is not None:
        return [f"an answer with an error: {reported['error']}"]
    method = contract.methods()[case.rpc]
    if case.status == "OK" and not method.server_streaming and len(outcome["messages"]) != 1:
        return [f"{len(outcome['messages'])} answers to one request"]
    return [fault for held in case.holds if (fault := _fault(held, outcome))]


def _as_read(case: Case, message: Any) -> Any:
    """A message with the defaults that some languages leave out of JSON; what is unset stays away."""
    read = json_format.ParseDict(message, GetMessageClass(contract.methods()[case.rpc].output_type)())
    return json_format.MessageToDict(read, always_print_fields_with_no_presence=True)


def _fault(held: Mapping[str, Any], outcome: Mapping[str, Any]) -> str:
    try:
        found = jmespath.search(held["of"], outcome)
    except JMESPathError as error:
        return f"{held['of']}: {error}"
    (kind,) = _CHECKS.keys() & held.keys()
    wanted = held[kind]
    if _CHECKS[kind](found, wanted, held):
        return ""
    return f"{held['of']} {kind} {wanted!r:.300}, but was {found!r:.300}"
