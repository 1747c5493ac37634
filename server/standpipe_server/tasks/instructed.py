"""Summaries and translations by chat models: the instruction that goes with each text.

The library dropped these pipelines in favour of prompting a chat model; this is the prompt. Not aware of
messages of the contract, nor of how a model computes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call
from standpipe_server.programs import DEFAULT_MAX_NEW_TOKENS, CausalPrompt, Writing
from standpipe_server.tasks.conversation import Conversation, render
from standpipe_server.tasks.writing import WriteParameters


class InstructedHead(ABC):
    """Asks a chat model: an instruction, an empty line, the text; greedy unless the call says otherwise."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @abstractmethod
    def instruction(self, parameters: Any) -> str:
        """What to do with the text.

        Raises:
            InvalidInputError: The parameters don't say.
        """

    def prompt(self, call: Call) -> CausalPrompt:
        parameters: WriteParameters = call.parameters
        instruction = self.instruction(parameters)
        text: str = call.input
        if parameters.generation.truncate:
            frame = self._model.count(self._render(instruction, ""))
            room = self._model.max_tokens - frame
            wanted = dict(parameters.generation.options).get("max_new_tokens", DEFAULT_MAX_NEW_TOKENS)
            # Kept free for the answer, but of a small model's room no more than half: a short text must fit.
            text = self._model.cut(text, room - min(wanted, room // 2))
        return CausalPrompt(self._render(instruction, text), special_tokens=False)

    def writing(self, call: Call) -> Writing:
        generation = call.parameters.generation
        if generation.clean_up:
            raise InvalidInputError("a chat model's text isn't cleaned up", "clean_up_tokenization_spaces")
        # The order matters: what the call says comes last.
        return Writing(replace(generation, options=(("do_sample", False), *generation.options)))

    def _render(self, instruction: str, text: str) -> str:
        talk = Conversation([{"role": "user", "content": f"{instruction}\n\n{text}"}], [], {})
        return render(self._model.template, talk, add_generation_prompt=True, continue_final_message=False)
