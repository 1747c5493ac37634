"""The runner of Python's clients, `python_runner.py sync|aio TARGET CASES`; README.md says more."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from standpipe import AsyncClient, CallError, Client, contract


class Outcome:
    """What came of a case.

    Args:
        name: Of the case.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._messages: list[Message] = []
        self._error: CallError | None = None

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Message) -> None:
        self._messages.append(message)

    def fail(self, error: CallError) -> None:
        self._error = error

    def line(self) -> str:
        error = self._error
        return json.dumps(
            {
                "name": self._name,
                "status": "OK" if error is None else error.code.name,
                "messages": [json_format.MessageToDict(message) for message in self._messages],
                "error": error
                and {
                    "message": error.message,
                    "reason": error.reason,
                    "domain": error.domain,
                    "metadata": error.metadata,
                    "fields": error.fields,
                    "retry_after": error.retry_after,
                },
            }
        )


def requests(case: Mapping[str, Any], method: MethodDescriptor) -> Any:
    """What ``call`` and ``stream`` take."""
    made = [json_format.ParseDict(one, GetMessageClass(method.input_type)()) for one in case["requests"]]
    return made if method.client_streaming else made[0]


def run(target: str, case: Mapping[str, Any]) -> Outcome:
    """A case on the synchronous client."""
    method = contract.find(f"{case['service']}.{case['method']}")
    outcome = Outcome(case["name"])
    with Client(target, timeout=case["timeout"], metadata=tuple(case["metadata"].items())) as client:
        rpc = contract.callable_on(client.channel, method)
        try:
            if not method.server_streaming:
                outcome.add(client.call(rpc, requests(case, method)))
                return outcome
            stream = client.stream(rpc, requests(case, method))
            for message in stream:
                outcome.add(message)
                if len(outcome) == case["cancel_after"]:
                    stream.cancel()
        except CallError as error:
            outcome.fail(error)
    return outcome


async def run_aio(target: str, case: Mapping[str, Any]) -> Outcome:
    """A case on the asynchronous client."""
    method = contract.find(f"{case['service']}.{case['method']}")
    outcome = Outcome(case["name"])
    async with AsyncClient(
        target, timeout=case["timeout"], metadata=tuple(case["metadata"].items())
    ) as client:
        # Both channels make calls in one way, and have no type in common.
        rpc = contract.callable_on(cast("Any", client.channel), method)
        try:
            if not method.server_streaming:
                outcome.add(await client.call(rpc, requests(case, method)))
                return outcome
            stream = client.stream(rpc, requests(case, method))
            async for message in stream:
                outcome.add(message)
                if len(outcome) == case["cancel_after"]:
                    stream.cancel()
        except CallError as error:
            outcome.fail(error)
    return outcome


_CLIENTS: Mapping[str, Callable[[str, Mapping[str, Any]], Outcome]] = {
    "sync": run,
    "aio": lambda target, case: asyncio.run(run_aio(target, case)),
}


def main() -> None:
    kind, target, path = sys.argv[1:]
    for case in json.loads(Path(path).read_text(encoding="utf-8")):
        try:
            line = _CLIENTS[kind](target, case).line()
        except Exception as error:
            failed = {"name": case["name"], "status": "RUNNER_FAILED", "messages": []}
            line = json.dumps({**failed, "error": {"message": repr(error)}})
        print(line, flush=True)


if __name__ == "__main__":
    main()
