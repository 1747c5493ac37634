"""Heads that let a pipeline draw, and what they refuse that it can't.

Not aware of how a pipeline computes, nor of who waits for the pictures.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar

from google.protobuf.message import Message
from PIL import Image

from standpipe.v1 import image_generation_pb2
from standpipe_server.errors import GoneError, InvalidInputError, check_limit
from standpipe_server.interfaces import Call, Outcome, Output, Step
from standpipe_server.media.films import LONGEST_FILM_SIDES
from standpipe_server.media.pictures import LONGEST_SIDES, picture
from standpipe_server.media_programs import Artist, DiffusionModel, Drawing, DrawingTask, Drawn, Manner
from standpipe_server.tasks.drawing import Sketch
from standpipe_server.tasks.drawing_files import Files, Size
from standpipe_server.tasks.drawing_parameters import DrawingParameters, argument_field

log = logging.getLogger(__name__)

_LONGEST: Mapping[str, int] = {**LONGEST_SIDES, **LONGEST_FILM_SIDES}


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
        files = Files(lambda image: self._size(asked, image))
        outcomes: dict[int, Outcome] = {}
        drawings: dict[Size | None, dict[int, Drawing]] = {}
        for index, call in enumerate(calls):
            try:
                size, drawing = self._drawing(call, files)
            except Exception as error:
                outcomes[index] = error
            else:
                drawings.setdefault(size, {})[index] = drawing
        for size, group in drawings.items():
            at_size = sized(manner, size, self._artist.takes)
            for part in self._parts(size, group):
                for index, drawn in self._drawn(part, at_size).items():
                    outcomes[index] = self._output(calls[index], drawn)
        return [outcomes[index] for index in range(len(calls))]

    @abstractmethod
    def value(self, call: Call, drawn: Drawn) -> Message:
        """What becomes of a drawing: a message that holds it as a file."""

    def _size(self, asked: DrawingParameters, image: Image.Image | None) -> Size | None:
        """The size to draw in; None for the pipeline's own.

        Raises:
            InvalidInputError: The pipeline can't draw it, or may not.
        """
        usual = self._artist.size if image is None else size_from(image, self._artist.multiple)
        return size_of(asked, usual, self._artist.multiple, "image" if image else "parameters.width")

    def _parts(self, size: Size | None, drawings: Mapping[int, Drawing]) -> Iterator[dict[int, Drawing]]:
        """Drawings of a size, as many at a time as are drawn together."""
        pixels = size[0] * size[1] if size else self.pixels or self._artist.pixels
        count, items = max(1, self._artist.pixels // pixels), list(drawings.items())
        for start in range(0, len(items), count):
            yield dict(items[start : start + count])

    def _drawn(self, drawings: Mapping[int, Drawing], manner: Manner) -> dict[int, Drawn | Exception]:
        """What becomes of drawings; where they fail together, of their halves.

        Nothing is raised: the worker would have what is drawn already drawn again.
        """
        try:
            return dict(zip(drawings, self._artist.draw(list(drawings.values()), manner), strict=True))
        except GoneError as error:
            return dict.fromkeys(drawings, error)
        except Exception as error:
            if len(drawings) == 1:
                return dict.fromkeys(drawings, _fault(error, manner, self._artist))
        items = list(drawings.items())
        middle = len(items) // 2
        return self._drawn(dict(items[:middle]), manner) | self._drawn(dict(items[middle:]), manner)

    def _output(self, call: Call, drawn: Drawn | Exception) -> Outcome:
        if isinstance(drawn, Exception):
            return drawn
        try:
            return Output(self.value(call, drawn), self._artist.tokens(call.input.prompt))
        except Exception as error:
            return error

    def _drawing(self, call: Call, files: Files) -> tuple[Size | None, Drawing]:
        """A call's size, where it isn't the pipeline's own, and what is drawn."""
        if call.watcher.gone:
            raise GoneError("nobody waits any longer")
        sketch: Sketch = call.input
        check_inputs(sketch, self._artist, call.parameters)
        image = sketch.image if "image" in self._artist.takes else None
        size, opened = files.sized(image)
        check_sides(sketch.format, size or self._artist.size)
        drawing = Drawing(
            prompt=sketch.prompt,
            negative_prompt=sketch.negative_prompt,
            seed=sketch.seed,
            image=opened,
            mask=files.mask(sketch.mask, size),
            preview_steps=sketch.preview_steps,
            tell=partial(_tell, call),
            gone=lambda: call.watcher.gone,
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
    return Manner(taken, scheduler, asked.loras)


def sized(manner: Manner, size: Size | None, takes: Container[str]) -> Manner:
    """The same for pictures of a size."""
    if size is None:
        return manner
    sides = zip(("width", "height"), size, strict=True)
    taken = tuple((name, side) for name, side in sides if name in takes)
    return Manner((*manner.arguments, *taken), manner.scheduler, manner.loras)


def size_of(asked: DrawingParameters, usual: Size | None, multiple: int, source: str) -> Size | None:
    """The size to draw in; None for the pipeline's own.

    Args:
        asked: May have both sides, one, or none.
        usual: Where they aren't asked for; None where nobody knows.
        multiple: What both must be multiples of.
        source: Field that the usual size comes from.

    Raises:
        InvalidInputError: The pipeline can't draw it, or may not.
    """
    for name, side in (("width", asked.width), ("height", asked.height)):
        if side and side % multiple:
            raise InvalidInputError(f"{side} isn't a multiple of {multiple}", f"parameters.{name}")
    if not (asked.width or asked.height) and source != "image":
        return None
    if usual is None and not (asked.width and asked.height):
        raise InvalidInputError("send width and height, or neither", "parameters.width")
    width, height = asked.width or (usual or (0, 0))[0], asked.height or (usual or (0, 0))[1]
    field = "parameters.width" if asked.width or asked.height else source
    check_limit(width * height, field, "max_drawn_pixels", asked.max_pixels, "pixels of one picture")
    return width, height


def size_from(image: Image.Image, multiple: int) -> Size:
    """A picture's size, as nearly as a pipeline can draw it that draws multiples only.

    Raises:
        InvalidInputError: The picture is too small.
    """
    width, height = image.width - image.width % multiple, image.height - image.height % multiple
    if not width or not height:
        size = f"{image.width} × {image.height}"
        raise InvalidInputError(
            f"the model draws from {multiple} pixels a side up; {size} were sent", "image"
        )
    return width, height


def check_sides(form: str, size: Size | None) -> None:
    """Refuse sides that a form can't hold.

    Raises:
        InvalidInputError: One is longer.
    """
    longest = _LONGEST.get(form)
    if size and longest and max(size) > longest:
        raise InvalidInputError(
            f"{form} holds sides of {longest} pixels; {max(size)} are asked for", "format"
        )


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


def _fault(error: Exception, manner: Manner, artist: Artist) -> Exception:
    """Whose fault it is that a pipeline failed: its words, and what was asked of it, tell."""
    asked = dict(manner.arguments)
    used = artist.takes | asked
    steps, strength = used.get("num_inference_steps"), used.get("strength")
    if isinstance(steps, int) and isinstance(strength, float) and int(steps * strength) < 1:
        field = "strength" if "strength" in asked else "parameters.num_inference_steps"
        return InvalidInputError(f"a share of {strength:g} of {steps} steps is none", field)
    if not isinstance(error, InvalidInputError):
        return error
    sides = "width" in str(error) or "height" in str(error)
    # The pipeline knows no fields.
    return InvalidInputError(str(error), "parameters.width" if sides else "parameters")


def _tell(call: Call, number: int, count: int, preview: Image.Image | None) -> None:
    """Tell whoever waits for a call how far it is."""
    call.watcher.tell(Step(number, count, b"" if preview is None else _shown(preview, call.input.format)))


def _shown(preview: Image.Image, form: str) -> bytes:
    """A preview as a file; nothing where that can't be: the picture, and others, go on."""
    try:
        return picture(preview, form)  # type: ignore[arg-type] # a picture's form
    except Exception:
        log.exception("a preview couldn't be written as %s", form)
        return b""
