"""Calls of tools, found in what a model writes while it writes it.

Two forms are known: ``<tool_call>{…}</tool_call>`` anywhere in the text (Hermes, Qwen and those trained like
them), and an answer that is nothing but such JSON (Llama 3 and others), ``[TOOL_CALLS]`` before it or not
(Mistral). What calls no tool of the request is text. Not aware of messages or models.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_LIST = "[TOOL_CALLS]"


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a tool.

    Attributes:
        name: The tool's.
        arguments: A JSON object, as text.
    """

    name: str
    arguments: str


Found = tuple[str, list[Called]]
"""What is text, and the calls after it."""


class ToolCallFinder:
    """Tells text from calls, holding back only what may still become a call.

    Args:
        tools: Names of the tools that may be called; none for text that is passed on as it is.
    """

    def __init__(self, tools: Sequence[str]) -> None:
        self._tools = frozenset(tools)
        self._held = ""
        self._begun = False
        self._found = False

    def add(self, text: str) -> Found:
        """What can be told after more text."""
        if not self._tools:
            return text, []
        self._held += text
        if not self._begun and self._held.lstrip()[:1] in ("", "{", "["):
            # Perhaps nothing but JSON: only the end tells.
            return "", []
        self._begun = True
        return self._tagged()

    def rest(self) -> Found:
        """What was held back, at the end of the text."""
        called = [] if self._begun else self._read(self._held.strip().removeprefix(_LIST))
        if called:
            self._held = ""
            return "", called
        text, called = self._tagged()
        held, self._held = self._held, ""
        # Space after the last call isn't text.
        return text + ("" if self._found and held.isspace() else held), called

    def _tagged(self) -> Found:
        """What can be told of what is held, where it isn't nothing but JSON."""
        said, calls = "", list[Called]()
        while _OPEN in self._held:
            before, _, rest = self._held.partition(_OPEN)
            inside, close, after = rest.partition(_CLOSE)
            if not close:
                break
            called = self._read(inside)
            # Nor is space before a call.
            said += before.rstrip() if called else f"{before}{_OPEN}{inside}{_CLOSE}"
            calls += called
            self._held = after
        self._found |= bool(calls)
        return said + self._safe(), calls

    def _safe(self) -> str:
        """Take from what is held what can't be part of a call."""
        place = self._held.find(_OPEN)
        if place < 0:
            ends = (length for length in range(len(_OPEN) - 1, 0, -1) if self._held.endswith(_OPEN[:length]))
            place = len(self._held) - next(ends, 0)
        # Space before a call isn't text; whether one follows isn't known yet.
        safe = self._held[:place].rstrip()
        self._held = self._held[len(safe) :]
        return safe

    def _read(self, text: str) -> list[Called]:
        """The calls that a JSON text holds; none where it is anything else."""
        try:
            parsed = json.loads(text)
            # What can't be sent as JSON, NaN or half a surrogate pair, is no call.
            json.dumps(parsed, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            return []
        calls = [self._called(one) for one in (parsed if isinstance(parsed, list) else [parsed])]
        known = [call for call in calls if call is not None]
        return known if len(known) == len(calls) else []

    def _called(self, value: Any) -> Called | None:
        if not isinstance(value, dict):
            return None
        name, arguments = value.get("name"), value.get("arguments", value.get("parameters", {}))
        if not isinstance(name, str) or name not in self._tools or not isinstance(arguments, dict):
            return None
        return Called(name, json.dumps(arguments, ensure_ascii=False))
