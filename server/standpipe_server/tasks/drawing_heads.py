"""Heads that let a pipeline draw, and what they refuse that it can't.

Not aware of how a pipeline computes, nor of who waits for the pictures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from google.protobuf.message import Message
from PIL import Image

from standpipe.v1 import image_generation_pb2
from standpipe_server.errors import GoneError, InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Outcome, Output, Step
from standpipe_server.media.images import EncodedImage
from standpipe_server.media.pictures import picture
from standpipe_server.media_programs import Artist, DiffusionModel, Drawing, DrawingTask, Drawn, Manner
from standpipe_server.tasks.drawing import Sketch
from standpipe_server.tasks.drawing_parameters import DrawingParameters, argument_field

Size = tuple[int, int]
"""Width and height."""


class DrawingHead(ABC):
    """Lets a pipeline draw calls of equal parameters, those of one size together.

    Attributes:
        task: What the pipeline is there for.
    """

    task: ClassVar[DrawingTask]

    def __init__(self, model: DiffusionModel) -> None:
        self._artist = model.artist(self.task)

    @property
    def pixels(self) -> int | None:
        """That it draws where a call doesn't say; None where the model doesn't say either."""
        size = self._artist.size
        return size and size[0] * size[1]

    def answers(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        asked: DrawingParameters = calls[0].parameters
        manner = manner_of(asked, self._artist)
        outcomes: dict[int, Outcome] = {}
        drawings: dict[Size | None, dict[int, Drawing]] = {}
        for index, call in enumerate(calls):
            try:
                size, drawing = self._drawing(call)
            except Exception as error:
                outcomes[index] = error
            else:
                drawings.setdefault(size, {})[index] = drawing
        for size, group in drawings.items():
            at_size = sized(manner, size, self._artist.takes)
            for part in self._parts(size, group):
                outcomes |= self._drawn({index: calls[index] for index in part}, list(part.values()), at_size)
        return [outcomes[index] for index in range(len(calls))]

    def _parts(self, size: Size | None, drawings: Mapping[int, Drawing]) -> Iterator[Mapping[int, Drawing]]:
        """Drawings of a size, as many at a time as are drawn together."""
        pixels = size[0] * size[1] if size else self.pixels or self._artist.pixels
        count, items = max(1, self._artist.pixels // pixels), list(drawings.items())
        for start in range(0, len(items), count):
            yield dict(items[start : start + count])

    @abstractmethod
    def value(self, call: Call, drawn: Drawn) -> Message:
        """What becomes of a drawing: a message that holds it as a file."""

    def _drawn(
        self, calls: Mapping[int, Call], drawings: Sequence[Drawing], manner: Manner
    ) -> dict[int, Outcome]:
        try:
            drawn = self._draw(drawings, manner)
        except GoneError as error:
            # Not raised: the worker would try its halves.
            return dict.fromkeys(calls, error)
        return {
            index: self._output(call, one) for (index, call), one in zip(calls.items(), drawn, strict=True)
        }

    def _output(self, call: Call, drawn: Drawn) -> Outcome:
        try:
            return Output(self.value(call, drawn))
        except Exception as error:
            return error

    def _draw(self, drawings: Sequence[Drawing], manner: Manner) -> Sequence[Drawn]:
        try:
            return self._artist.draw(drawings, manner)
        except InvalidInputError as error:
            # The pipeline knows no fields; its words name what it means.
            raise InvalidInputError(str(error), "parameters") from error

    def _drawing(self, call: Call) -> tuple[Size | None, Drawing]:
        """A call's size, where it isn't the pipeline's own, and what is drawn."""
        if call.watcher and call.watcher.gone:
            raise GoneError("nobody waits any longer")
        sketch: Sketch = call.input
        artist, asked = self._artist, call.parameters
        check_inputs(sketch, artist, asked)
        image = sketch.image.open() if sketch.image and "image" in artist.takes else None
        size = size_of(asked, image, artist)
        if image is not None and size and image.size != size:
            image = image.resize(size, Image.Resampling.LANCZOS)
        drawing = Drawing(
            prompt=sketch.prompt,
            negative_prompt=sketch.negative_prompt,
            seed=sketch.seed,
            image=image,
            mask=_mask(sketch.mask, size),
            preview_steps=sketch.preview_steps,
            **_waiting(call),
        )
        return size, drawing


class PictureHead(DrawingHead):
    """Draws pictures."""

    def value(self, call: Call, drawn: Drawn) -> image_generation_pb2.GeneratedImage:
        (image,) = drawn.frames
        return image_generation_pb2.GeneratedImage(
            content=picture(image, call.input.format),
            width=image.width,
            height=image.height,
            seed=call.input.seed,
            nsfw_content_detected=drawn.harmful,
        )


def manner_of(asked: DrawingParameters, artist: Artist) -> Manner:
    """How a pipeline is to draw.

    Raises:
        InvalidInputError: It doesn't have what is asked of it, naming the field.
    """
    scheduler = asked.scheduler
    if scheduler and scheduler not in artist.schedulers:
        full = ", ".join(name for name in artist.schedulers if name.endswith("Scheduler"))
        raise InvalidInputError(
            f"{artist.name} has no scheduler {scheduler!r}; it has: {full}", "parameters.scheduler"
        )
    for place, (name, _) in enumerate(asked.loras):
        if name not in artist.loras:
            there = ", ".join(artist.loras) or "none"
            raise InvalidInputError(
                f"the model has no adapter {name!r}; it has: {there}", f"parameters.loras[{place}].name"
            )
    for name, value in asked.arguments:
        if name == "clip_skip" and name in artist.takes and value > artist.layers:
            raise InvalidInputError(
                f"{artist.name} has {artist.layers} layers that may be left out", argument_field(name)
            )
        if name not in artist.takes and not asked.brief:
            raise InvalidInputError(f"{artist.name} takes no {name}", argument_field(name))
    taken = tuple((name, value) for name, value in asked.arguments if name in artist.takes)
    check_steps(dict(artist.takes) | dict(taken))
    return Manner(taken, scheduler, asked.loras)


def check_steps(arguments: Mapping[str, Any]) -> None:
    """Refuse to take none of the steps.

    Raises:
        InvalidInputError: The share that a strength asks for is less than one.
    """
    steps, strength = arguments.get("num_inference_steps"), arguments.get("strength")
    if steps and strength and int(steps * strength) < 1:
        raise InvalidInputError(f"a share of {strength:g} of {steps} steps is none", "strength")


def sized(manner: Manner, size: Size | None, takes: Container[str]) -> Manner:
    """The same for pictures of a size."""
    if size is None:
        return manner
    sides = zip(("width", "height"), size, strict=True)
    taken = tuple((name, side) for name, side in sides if name in takes)
    return Manner((*manner.arguments, *taken), manner.scheduler, manner.loras)


def size_of(asked: DrawingParameters, image: Image.Image | None, artist: Artist) -> Size | None:
    """The size to draw in; None for the pipeline's own.

    Raises:
        InvalidInputError: The pipeline can't draw it, or may not.
    """
    multiple = artist.multiple
    for name, side in (("width", asked.width), ("height", asked.height)):
        if side and side % multiple:
            raise InvalidInputError(f"{side} isn't a multiple of {multiple}", f"parameters.{name}")
    usual = artist.size
    if image is not None:
        usual = (image.width - image.width % multiple, image.height - image.height % multiple)
        if not all(usual):
            raise InvalidInputError(
                f"the model draws from {multiple} pixels a side up; {image.width} × {image.height} were sent",
                "image",
            )
    if not (asked.width or asked.height or image):
        return None
    if usual is None and not (asked.width and asked.height):
        raise InvalidInputError("send width and height, or neither", "parameters.width")
    width, height = asked.width or (usual or (0, 0))[0], asked.height or (usual or (0, 0))[1]
    field = "parameters.width" if asked.width or asked.height else "image"
    check_limit(width * height, field, "max_drawn_pixels", asked.max_pixels, "pixels of one picture")
    return width, height


def check_inputs(sketch: Sketch, artist: Artist, asked: DrawingParameters) -> None:
    """Refuse what a pipeline doesn't read, and what lacks something that it needs.

    Raises:
        InvalidInputError: Naming the field.
    """
    given = {"prompt": sketch.prompt, "image": sketch.image, "negative_prompt": sketch.negative_prompt}
    for name, value in given.items():
        if value and name not in artist.takes and not asked.brief:
            raise InvalidInputError(f"{artist.name} takes no {name}", argument_field(name))
        if not value and name in artist.needs:
            raise InvalidInputError(f"{artist.name} needs a {name}: send one", argument_field(name))
    if sketch.preview_steps and not artist.previews:
        raise InvalidInputError(f"{artist.name} has no previews", "preview_steps")


def _mask(mask: EncodedImage | None, size: Size | None) -> Image.Image | None:
    if mask is None:
        return None
    opened = mask.open().convert("L")
    return opened if size is None or opened.size == size else opened.resize(size, Image.Resampling.LANCZOS)


def _waiting(call: Call) -> dict[str, Callable[..., Any]]:
    """How whoever waits for a call is told, and asked."""
    watcher = call.watcher
    if watcher is None:
        return {}

    def tell(number: int, count: int, preview: Any) -> None:
        content = b"" if preview is None else picture(preview, call.input.format)
        watcher.tell(Step(number, count, content))

    return {"tell": tell, "gone": lambda: watcher.gone}
