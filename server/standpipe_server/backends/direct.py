"""Tasks that ask their model call by call: a tokenizer by itself, or one of the library's pipeline objects.

Not aware of tasks' messages, nor of what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from standpipe_server.interfaces import Call, Outcome, Output
from standpipe_server.programs import DirectHead


class DirectRunner:
    """Answers calls one after the other, on one thread.

    Args:
        heads: By the class of a call's parameters.
    """

    def __init__(self, heads: Mapping[type, DirectHead]) -> None:
        self._heads = heads

    def run(self, calls: Sequence[Call], *, alone: bool) -> Sequence[Outcome]:
        return [self._answer(call) for call in calls]

    def _answer(self, call: Call) -> Outcome:
        try:
            value, tokens = self._heads[type(call.parameters)].answer(call)
        except Exception as error:
            return error
        return Output(value, tokens)
