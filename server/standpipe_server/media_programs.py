"""What tasks and backends share of models that see, hear and speak: what a head may ask, and what it brings.

Beside ``programs``, which has the same for texts. Not aware of gRPC, of messages, or of any model library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from standpipe_server.interfaces import Call, Outcome, Output, Written
from standpipe_server.programs import Floats, Generation


class ImageModel(Protocol):
    """What a head may ask of its model. Runners share it: nothing changes it.

    Attributes:
        config: Its transformers config.
    """

    config: Any


class ImageHead(Protocol):
    """What one task does round a forward pass over images; shared by the model's runners."""

    def picture(self, call: Call) -> Any:
        """What the model's processor reads of a call: an upright RGB image, or the frames of a video.

        Raises:
            InvalidInputError: It can't be read.
        """
        ...

    def answer(self, call: Call, outputs: Mapping[str, Floats]) -> Any:
        """The value of the call's output.

        Args:
            call: What is answered.
            outputs: Those of the kind's that the model has, without the batch's axis; the next pass
                overwrites them.

        Raises:
            InvalidInputError: The call is at fault.
        """
        ...


class ImageTextModel(Protocol):
    """A model that reads an image and a text; it belongs to one thread.

    Attributes:
        config: Its transformers config.
        writes: It writes; else it scores the answers that its config lists.
        chats: It has a template for conversations.
    """

    config: Any
    writes: bool
    chats: bool

    def write(
        self, images: Sequence[Any], texts: Sequence[str] | None, generation: Generation
    ) -> Sequence[tuple[Written, int]]:
        """A text for each image, and the tokens that were read for it.

        Args:
            images: Upright RGB images.
            texts: One for each image; None where the model is to begin with nothing.
            generation: How it writes.
        """
        ...

    def chat(self, image: Any, text: str, generation: Generation) -> tuple[Written, int]:
        """What it answers to an image and a text, and the tokens that were read for that."""
        ...

    def scores(self, image: Any, text: str) -> Floats:
        """A score between 0 and 1 for each answer that its config lists, (labels,)."""
        ...


class ImageTextHead(Protocol):
    """What one task asks of an ImageTextModel."""

    def answers(self, calls: Sequence[Call], images: Sequence[Any]) -> Sequence[Outcome]:
        """One outcome for each call.

        Args:
            calls: Of equal parameters, where the task's calls don't mix.
            images: Theirs, upright and RGB.
        """
        ...


class SoundModel(Protocol):
    """A model that makes sound of text; it belongs to one thread.

    Attributes:
        folder: Of its files.
        config: Its transformers config.
        writes: It makes sound token by token; else at once.
        rate: Samples a second.
    """

    folder: Path
    config: Any
    writes: bool
    rate: int

    def tokens(self, text: str) -> int:
        """How many tokens a text has; letters that the model doesn't know have none."""
        ...

    def sound(
        self,
        text: str,
        *,
        seed: int | None,
        generate: Mapping[str, Any] | None = None,
        forward: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Floats:
        """Samples, (n,) or (channels, n).

        Args:
            text: In the model's own letters.
            seed: For the same sound each time; None for whatever comes.
            generate: Keyword arguments of ``generate``, where it writes.
            forward: Keyword arguments of its forward pass, where it doesn't.
            attributes: Of the model that say how it sounds, for this call.
        """
        ...


class SoundHead(Protocol):
    """A task that asks its model for a sound."""

    def answer(self, call: Call) -> Output:
        """The call's output.

        Raises:
            InvalidInputError: The call is at fault.
        """
        ...
