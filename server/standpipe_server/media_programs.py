"""What tasks and backends share of models that see, hear and speak: what a head may ask, and what it brings.

Beside ``programs``, which has the same for texts. Not aware of gRPC, of messages, or of any model library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

from standpipe_server.interfaces import Call, Outcome, Output, Written
from standpipe_server.programs import Floats, Generation


def _never() -> bool:
    return False


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


SoundWay = Literal["writing", "at once", "diffusion"]
"""Token by token, in one forward pass, or out of noise, step by step."""


class SoundModel(Protocol):
    """A model that makes sound of text; it belongs to one thread.

    Attributes:
        folder: Of its files.
        config: Its library's config.
        way: How it makes sound.
        rate: Samples a second.
    """

    folder: Path
    config: Any
    way: SoundWay
    rate: int

    def tokens(self, text: str) -> int:
        """How many tokens a text has; letters that the model doesn't know have none."""
        ...

    def sound(
        self,
        text: str,
        *,
        seed: int | None,
        options: Mapping[str, Any] = MappingProxyType({}),
        attributes: Mapping[str, Any] = MappingProxyType({}),
        gone: Callable[[], bool] = _never,
    ) -> Floats:
        """Samples, (n,) or (channels, n).

        Args:
            text: In the model's own letters.
            seed: For the same sound each time; None for whatever comes.
            options: Keyword arguments of ``generate``, or of its forward pass; of diffusion what it makes its
                sound after, by the request's fields.
            attributes: Of a model of transformers that say how it sounds, for this call.
            gone: Nobody waits for the sound any longer; asked at each step of diffusion.

        Raises:
            GoneError: Nobody waits.
            InvalidInputError: Diffusion doesn't take an option; the error names the field.
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


DrawingTask = Literal["text-to-image", "image-to-image", "inpainting", "text-to-video"]


def _heedless(number: int, count: int, preview: Any) -> None:
    """For whoever needn't be told."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture, or a film, to draw.

    Attributes:
        prompt: What it shows.
        negative_prompt: What it doesn't; None for whatever the pipeline takes then.
        seed: Of its noise.
        image: Upright and RGB: what it begins with; None where it begins with noise alone.
        mask: As large as the image, white where it is drawn anew.
        preview_steps: Make a preview after each so many steps; 0 for none.
        tell: Told how many steps are done, how many it takes, and the preview, an image, or None.
        gone: Nobody waits for it any longer.
    """

    prompt: str
    negative_prompt: str | None = None
    seed: int = 0
    image: Any = None
    mask: Any = None
    preview_steps: int = 0
    tell: Callable[[int, int, Any], None] = _heedless
    gone: Callable[[], bool] = _never


@dataclass(frozen=True, slots=True)
class Drawn:
    """What became of a drawing.

    Attributes:
        frames: One image, or those of a film; RGB.
        harmful: The pipeline's own checker found it so.
    """

    frames: Sequence[Any]
    harmful: bool = False


@dataclass(frozen=True, slots=True)
class Manner:
    """How pictures of one batch are drawn.

    Attributes:
        arguments: Of the pipeline's call, by name; none that the pipeline doesn't take.
        scheduler: By its class's name; empty for the model's own.
        loras: Adapters by name, and how much of each.
    """

    arguments: tuple[tuple[str, Any], ...] = ()
    scheduler: str = ""
    loras: tuple[tuple[str, float], ...] = ()


class Artist(Protocol):
    """A diffusion pipeline for one task; it belongs to one thread.

    Attributes:
        takes: Names of what its call takes, and what it takes where nothing is given.
        needs: Of these, those that it can't do without.
        name: Of its class, for errors.
        multiple: What both sides of a picture must be multiples of.
        pixels: That it draws together, at most; a lone picture may have more.
        size: Width and height that it draws where none are asked for; None where its files don't say.
        schedulers: Names of the classes of those that it can be led by.
        loras: Names of its adapters.
        layers: Of its text encoder; 0 where it isn't known to have one.
        previews: It can make them.
    """

    takes: dict[str, Any]
    needs: frozenset[str]
    name: str
    multiple: int
    pixels: int
    size: tuple[int, int] | None
    schedulers: tuple[str, ...]
    loras: tuple[str, ...]
    layers: int
    previews: bool

    def tokens(self, prompt: str) -> int:
        """How many tokens of a prompt it reads: what is too long is cut."""
        ...

    def draw(self, drawings: Sequence[Drawing], manner: Manner) -> Sequence[Drawn]:
        """Draw all in one batch.

        Args:
            drawings: At least one; images of one size.
            manner: How.

        Raises:
            GoneError: Nobody waits any longer for any of them.
        """
        ...


class DiffusionModel(Protocol):
    """The weights of a diffusion model, and pipelines for what can be done with them."""

    def artist(self, task: DrawingTask) -> Artist:
        """Its pipeline for a task.

        Raises:
            ModelLoadError: It has none.
        """
        ...


class DrawingHead(Protocol):
    """What one task asks of an Artist.

    Attributes:
        pixels: That it draws for a call that says nothing of its size; None where they aren't known.
    """

    @property
    def pixels(self) -> int | None: ...

    def answers(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        """One outcome for each call.

        Args:
            calls: Of equal parameters.
        """
        ...
