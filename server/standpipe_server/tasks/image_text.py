"""What the tasks share whose models read an image and a text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Outcome, Output
from standpipe_server.media.images import EncodedImage
from standpipe_server.programs import CausalPrompt, Generation, Writing
from standpipe_server.tasks.base import InputLimits, optional
from standpipe_server.tasks.conversation import Conversation, render
from standpipe_server.tasks.writing import options


@dataclass(frozen=True, slots=True)
class ImageText:
    """What one call brings.

    Attributes:
        image: The file.
        text: What goes with it; None where nothing does.
    """

    image: EncodedImage
    text: str | None = None


class ImageInstructedHead(ABC):
    """Asks a model that chats about an image; greedy unless the call says otherwise."""

    def __init__(self, model: Any) -> None:
        self._template = model.template

    @abstractmethod
    def instruction(self, call: Call) -> str:
        """What the model is asked."""

    def prompt(self, call: Call) -> CausalPrompt:
        content = [{"type": "image"}, {"type": "text", "text": self.instruction(call)}]
        talk = Conversation([{"role": "user", "content": content}], [], {})
        text = render(self._template, talk, add_generation_prompt=True, continue_final_message=False)
        return CausalPrompt(text, special_tokens=False, images=(call.input.image,))

    def writing(self, call: Call) -> Writing:
        generation: Generation = call.parameters.generation
        # The order matters: what the call says comes last.
        return Writing(replace(generation, options=(("do_sample", False), *generation.options)))


def each(answer: Callable[[Any, str], Output], calls: Sequence[Call], images: Sequence[Any]) -> list[Outcome]:
    """The outcome of each call by itself."""
    outcomes: list[Outcome] = []
    for call, image in zip(calls, images, strict=True):
        try:
            outcomes.append(answer(image, call.input.text))
        # What the library says of a picture's shape, or of a text's length.
        except ValueError as error:
            outcomes.append(InvalidInputError(f"the model can't read it: {error}"))
        except Exception as error:
            outcomes.append(error)
    return outcomes


def generation(request: Any, limits: InputLimits) -> Generation:
    """The generation parameters of a request; what it asks is never cut.

    Raises:
        InvalidInputError: A value is out of its range; the message says which that is.
    """
    return Generation(
        options=options(request.parameters, limits),
        max_new_tokens=limits.max_new_tokens,
        seed=optional(request.parameters, "seed", None),
    )


def together(generation: Generation) -> bool:
    """Whether calls may be written side by side: a seed must mean the same whatever runs beside it."""
    return generation.seed is None
