"""The cases of `cases/*.json`, ready to be sent. Not aware of languages, servers and what is answered."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from standpipe import contract

CASES = Path(__file__).parent / "cases"
EXAMPLES = Path(__file__).parents[2] / "protos" / "examples"
_KEYS = {"name", "rpc", "request", "with", "metadata", "timeout", "cancel_after"}
_KEYS |= {"server", "needs", "status", "holds"}


@dataclass(frozen=True, slots=True)
class Case:
    """A call, and what must come of it.

    Attributes:
        name: What it shows.
        rpc: Full name of the RPC.
        requests: In proto3's JSON: one, or a stream of them.
        metadata: What the call carries.
        timeout: Seconds that it may take.
        cancel_after: Messages after which its caller cancels; None where it doesn't.
        server: "main", or "narrow".
        needs: A program without which the server serves no model for it; None where it needs none.
        status: How it ends.
        holds: What must hold for what the client reported, as README.md says.
    """

    name: str
    rpc: str
    requests: tuple[Any, ...]
    metadata: Mapping[str, str]
    timeout: float
    cancel_after: int | None
    server: str
    needs: str | None
    status: str
    holds: tuple[Mapping[str, Any], ...]

    @property
    def streams_requests(self) -> bool:
        """Whether the RPC takes a stream of requests."""
        return contract.methods()[self.rpc].client_streaming

    def for_runners(self) -> dict[str, Any]:
        """What a runner is told: nothing of what is expected."""
        service, _, method = self.rpc.rpartition(".")
        return {
            "name": self.name,
            "service": service,
            "method": method,
            "requests": self.requests,
            "metadata": self.metadata,
            "timeout": self.timeout,
            "cancel_after": self.cancel_after,
        }


@cache
def cases() -> tuple[Case, ...]:
    """All of them, file by file."""
    found = [
        _case(one) for path in sorted(CASES.glob("*.json")) for one in json.loads(path.read_text("utf-8"))
    ]
    names = [case.name for case in found]
    assert len(names) == len(set(names)), "two cases have one name"
    return tuple(found)


def _case(written: Mapping[str, Any]) -> Case:
    assert not (unknown := written.keys() - _KEYS), f"{written['name']}: {unknown}"
    method = contract.find(written["rpc"])
    request = written.get("request")
    if request is None:
        request = json.loads((EXAMPLES / f"{method.name}.json").read_text(encoding="utf-8"))
    requests = request if isinstance(request, list) else [request]
    return Case(
        name=written["name"],
        rpc=method.full_name,
        requests=tuple(_expanded(_laid_over(one, written.get("with", {}))) for one in requests),
        metadata=written.get("metadata", {}),
        timeout=written.get("timeout", 30.0),
        cancel_after=written.get("cancel_after"),
        server=written.get("server", "main"),
        needs=written.get("needs"),
        status=written.get("status", "OK"),
        holds=tuple(written.get("holds", ())),
    )


def _laid_over(below: Any, above: Any) -> Any:
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}


def _expanded(value: Any) -> Any:
    """With what is said in short written out."""
    if isinstance(value, Mapping):
        for key, expand in _EXPANSIONS.items():
            if key in value:
                return expand(value)
        return {key: _expanded(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_expanded(one) for one in value]
    return value


def _picture(said: Mapping[str, Any]) -> str:
    """A file of three bytes a pixel: what it shows matters less than that it is large."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize(said["$picture"]).convert("RGB").save(file, "BMP")
    return base64.b64encode(file.getvalue()).decode("ascii")


_EXPANSIONS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "$text": lambda said: said["$text"] * said["times"],
    "$items": lambda said: _expanded(said["$items"]) * said["times"],
    "$picture": _picture,
}
