"""The short ways through models that read images, with heads and passes that only pretend."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from standpipe_server.backends.image_text import ImageTextRunner
from standpipe_server.backends.images import ImageReader, ImageRunner
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Outcome, Output
from standpipe_server.programs import Floats


@dataclass(frozen=True)
class Dots:
    """Parameters of calls whose pictures are rows of a number."""


class DotsHead:
    """A call's input is a number and how often it comes; -1 can't be opened, and 13 can't be answered."""

    def __init__(self) -> None:
        self.threads: set[str] = set()

    def picture(self, call: Call) -> NDArray[np.float32]:
        self.threads.add(threading.current_thread().name)
        number, size = call.input
        if number == -1:
            raise InvalidInputError("broken", "images[0].content")
        return np.full((1, size), number, np.float32)

    def answer(self, call: Call, outputs: Mapping[str, Floats]) -> list[float]:
        if call.input[0] == 13:
            raise ZeroDivisionError
        values: list[float] = outputs["sums"].tolist()
        return values


class Processor:
    """Takes a picture as it is; one of a single dot is refused, as the library does it."""

    def __call__(self, picture: NDArray[np.float32], return_tensors: str) -> dict[str, Any]:
        assert "np" == return_tensors
        if picture.shape[1] == 1:
            raise ValueError("mean must have 1 elements")
        # The library gives lists where it can't make an array.
        return {"pixel_values": picture[None], "marks": [[int(picture[0, 0])]]}


class Pass:
    """Sums up, notes what it was given, and uses its memory again."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
        assert {"pixel_values", "marks"} == set(inputs)
        assert inputs["pixel_values"][:, 0, 0].tolist() == inputs["marks"][:, 0].tolist()
        self.shapes.append(inputs["pixel_values"].shape)
        return {"sums": inputs["pixel_values"].sum(2)}


def reader() -> ImageReader:
    made = object.__new__(ImageReader)
    made._processor = Processor()
    return made


def run(
    inputs: Sequence[tuple[int, int]], *, alone: bool = False, wide: Pass | None = None, helpers: Any = None
) -> tuple[Sequence[Outcome], Pass, DotsHead]:
    forward, head = Pass(), DotsHead()
    runner = ImageRunner({Dots: head}, reader(), forward, wide, helpers)
    return runner.run([Call(each, Dots()) for each in inputs], alone=alone), forward, head


def test_images_of_one_shape_share_a_pass_and_each_gets_its_own_row() -> None:
    outcomes, forward, _ = run([(1, 3), (2, 5), (4, 3), (7, 5), (9, 2)])
    assert [Output([3.0]), Output([10.0]), Output([12.0]), Output([35.0]), Output([18.0])] == outcomes
    assert [(1, 1, 2), (2, 1, 3), (2, 1, 5)] == sorted(forward.shapes, key=lambda shape: shape[2])


def test_an_image_that_is_at_fault_fails_alone() -> None:
    outcomes, forward, _ = run([(1, 3), (-1, 3), (4, 1), (13, 3), (2, 3)])
    broken, narrow, unanswered = outcomes[1:4]
    assert [Output([3.0]), Output([6.0])] == [outcomes[0], outcomes[4]]
    assert isinstance(broken, InvalidInputError)
    assert "images[0].content" == broken.field
    assert isinstance(narrow, InvalidInputError)
    assert "the model can't read a picture of that shape: mean must have 1 elements" == str(narrow)
    assert isinstance(unanswered, ZeroDivisionError)
    assert [(3, 1, 3)] == forward.shapes


def test_where_no_image_can_be_read_nothing_runs() -> None:
    outcomes, forward, _ = run([(-1, 3), (-1, 3)])
    assert [InvalidInputError] * 2 == [type(outcome) for outcome in outcomes]
    assert [] == forward.shapes


@pytest.mark.parametrize("alone", [True, False])
def test_a_batch_that_runs_alone_takes_the_whole_device(alone: bool) -> None:
    wide = Pass()
    _, forward, _ = run([(1, 3)], alone=alone, wide=wide)
    assert (int(not alone), int(alone)) == (len(forward.shapes), len(wide.shapes))


@pytest.mark.parametrize(
    ("alone", "images", "helped"), [(True, 3, True), (True, 1, False), (False, 3, False)]
)
def test_helpers_read_images_of_a_batch_that_runs_alone(alone: bool, images: int, helped: bool) -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="helper") as helpers:
        outcomes, _, head = run([(place, 3) for place in range(images)], alone=alone, helpers=helpers)
    assert [Output([3.0 * place]) for place in range(images)] == outcomes
    assert {helped} == {name.startswith("helper") for name in head.threads}


@dataclass(frozen=True)
class File:
    """A file that opens as its name, or not."""

    name: str

    max_pixels = 100

    def pixels(self) -> int:
        return 30

    def open(self) -> str:
        if self.name == "broken":
            raise InvalidInputError("broken")
        return self.name


@dataclass(frozen=True)
class Shown:
    """What a call brings whose model reads a text too."""

    image: File


class EchoHead:
    """Answers with what it was given."""

    def answers(self, calls: Sequence[Call], images: Sequence[Any]) -> Sequence[Outcome]:
        return [Output((call.field, image)) for call, image in zip(calls, images, strict=True)]


def test_images_that_open_are_asked_about_together_and_the_others_fail_alone() -> None:
    calls = [Call(Shown(File(name)), Dots(), name) for name in ("a", "broken", "b")]
    outcomes = ImageTextRunner({Dots: EchoHead()}).run(calls, alone=True)
    assert [Output(("a", "a")), Output(("b", "b"))] == [outcomes[0], outcomes[2]]
    assert isinstance(outcomes[1], InvalidInputError)


def test_where_no_image_opens_nobody_is_asked() -> None:
    (outcome,) = ImageTextRunner({}).run([Call(Shown(File("broken")), Dots())], alone=True)
    assert isinstance(outcome, InvalidInputError)


class CountingHead:
    """Notes how many images it gets at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def answers(self, calls: Sequence[Call], images: Sequence[Any]) -> list[Outcome]:
        self.sizes.append(len(images))
        return [Output(image) for image in images]


def test_images_that_are_open_together_have_no_more_pixels_than_one_may_have() -> None:
    head = CountingHead()
    fit = File.max_pixels // File("").pixels()
    calls = [Call(Shown(File(str(place))), Dots()) for place in range(2 * fit + 1)]
    outcomes = ImageTextRunner({Dots: head}).run(calls, alone=True)
    assert [fit, fit, 1] == head.sizes
    assert [Output(str(place)) for place in range(2 * fit + 1)] == outcomes
