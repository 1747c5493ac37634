"""What the tasks that draw make of requests, and ask of a pipeline that notes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from task_cases import decoded, parameters_of

from standpipe.v1 import common_pb2, image_generation_pb2
from standpipe_server.errors import GoneError, InvalidInputError, LimitExceededError
from standpipe_server.interfaces import Call, Outcome, Output, Step
from standpipe_server.media.images import EncodedImage
from standpipe_server.media_programs import Drawing, DrawingTask, Drawn, Manner
from standpipe_server.tasks import TASKS, InputLimits
from standpipe_server.tasks.drawing import DrawingSteps

PROMPT = "a handwritten seven"
HEADS = {task.name: task.head for task in TASKS if task.steps}


def png(width: int, height: int) -> common_pb2.Image:
    file = BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return common_pb2.Image(content=file.getvalue())


def asked(**parameters: Any) -> image_generation_pb2.GenerateImageRequest:
    told = image_generation_pb2.DiffusionParameters(**parameters)
    return image_generation_pb2.GenerateImageRequest(prompt=PROMPT, parameters=told)


@dataclass(slots=True)
class Notes:
    """A pipeline that notes what it is asked, and gives grey pictures."""

    takes: dict[str, Any] = field(
        default_factory=lambda: (
            dict.fromkeys(("prompt", "image", "mask_image", "width", "height"))
            | {"strength": 0.3, "num_inference_steps": 50}
        )
    )
    needs: frozenset[str] = frozenset()
    name: str = "NotingPipeline"
    multiple: int = 8
    pixels: int = 4 * 64 * 64
    size: tuple[int, int] | None = (64, 64)
    schedulers: tuple[str, ...] = ("DDIM", "DDIMScheduler")
    loras: tuple[str, ...] = ("ink",)
    layers: int = 2
    previews: bool = True
    error: Exception | None = None
    poisoned: int | None = None
    asked: list[tuple[list[Drawing], Manner]] = field(default_factory=list)

    def tokens(self, prompt: str) -> int:
        return len(prompt.split())

    def artist(self, task: DrawingTask) -> Notes:
        return self

    def draw(self, drawings: Sequence[Drawing], manner: Manner) -> Sequence[Drawn]:
        self.asked.append((list(drawings), manner))
        if self.error:
            raise self.error
        if self.poisoned in [drawing.seed for drawing in drawings]:
            raise RuntimeError("poisoned")
        size = dict(manner.arguments).get("width", 64), dict(manner.arguments).get("height", 64)
        return [Drawn((Image.new("RGB", size, "grey"),)) for _ in drawings]


class Waiting:
    """Who waits, and is told."""

    def __init__(self, *, gone: bool = False) -> None:
        self.gone = gone
        self.told: list[Step] = []

    def tell(self, step: Step) -> None:
        self.told.append(step)


def answers(notes: Notes, calls: Sequence[Call], task: str = "text-to-image") -> Sequence[Outcome]:
    found: Sequence[Outcome] = HEADS[task](notes).answers(calls)
    return found


def sizes(outcomes: Sequence[Outcome]) -> list[tuple[int, int]]:
    values = [outcome.value for outcome in outcomes if isinstance(outcome, Output)]
    return [(value.width, value.height) for value in values]


def refusal(notes: Notes, calls: Sequence[Call], task: str = "text-to-image") -> str:
    """The field that a lone call's refusal names."""
    try:
        (outcome,) = answers(notes, calls, task)
    except InvalidInputError as error:
        outcome = error
    assert isinstance(outcome, InvalidInputError), outcome
    return outcome.field


def test_each_picture_of_a_prompt_has_the_next_seed_and_all_draw_alike() -> None:
    request = asked(seed=(1 << 64) - 2)
    request.num_images_per_prompt = 3
    assert [(1 << 64) - 2, (1 << 64) - 1, 0] == [call.input.seed for call in decoded(request)]
    assert (1 << 64) - 2 not in dict(parameters_of(request).arguments).values()


def test_without_a_seed_each_request_has_another() -> None:
    assert 20 == len({decoded(asked())[0].input.seed for _ in range(20)})


def test_only_what_is_asked_for_is_passed_on() -> None:
    told = parameters_of(asked(num_inference_steps=4, guidance_scale=2.5, eta=0.5, clip_skip=1))
    wanted = {"num_inference_steps": 4, "guidance_scale": 2.5, "eta": 0.5, "clip_skip": 1}
    assert wanted == dict(told.arguments)
    assert () == parameters_of(asked()).arguments


def test_an_empty_negative_prompt_is_another_than_none() -> None:
    assert parameters_of(asked(negative_prompt="")) != parameters_of(asked())
    assert parameters_of(asked(negative_prompt="")) == parameters_of(asked(negative_prompt="rain"))


def test_pictures_that_no_message_would_hold_are_refused_before_they_are_drawn() -> None:
    request = asked(width=512, height=512)
    request.num_images_per_prompt = 4
    with pytest.raises(LimitExceededError) as caught:
        decoded(request, InputLimits(max_message_bytes=2 << 20))
    assert "num_images_per_prompt" == caught.value.field
    assert 4 == len(decoded(request))


def test_calls_of_one_size_are_drawn_together_those_of_another_apart() -> None:
    request = image_generation_pb2.TransformImageRequest(prompt=PROMPT, strength=0.5)
    calls = []
    for side in (64, 32, 64):
        request.image.CopyFrom(png(side, side))
        calls += decoded(request)
    notes = Notes()
    assert [(64, 64), (32, 32), (64, 64)] == sizes(answers(notes, calls, "image-to-image"))
    assert [2, 1] == [len(drawings) for drawings, _ in notes.asked]


@pytest.mark.parametrize(("side", "parts"), [(32, [7]), (64, [4, 3]), (96, [1] * 7), (256, [1] * 7)])
def test_large_pictures_are_drawn_fewer_at_a_time(side: int, parts: list[int]) -> None:
    request = image_generation_pb2.TransformImageRequest(prompt=PROMPT, strength=0.5, image=png(side, side))
    notes = Notes()
    assert [(side, side)] * 7 == sizes(answers(notes, decoded(request) * 7, "image-to-image"))
    assert parts == [len(drawings) for drawings, _ in notes.asked]


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ({}, (64, 64)),
        ({"width": 32}, (32, 64)),
        ({"height": 128}, (64, 128)),
        ({"width": 32, "height": 48}, (32, 48)),
    ],
)
def test_a_side_that_is_left_out_is_the_model_s_own(
    parameters: dict[str, int], size: tuple[int, int]
) -> None:
    assert [size] == sizes(answers(Notes(), decoded(asked(**parameters))))


@pytest.mark.parametrize(
    ("sent", "parameters", "size"),
    [
        ((64, 32), {}, (64, 32)),
        ((70, 39), {}, (64, 32)),
        ((640, 320), {"width": 64}, (64, 320)),
        ((16, 16), {"width": 32, "height": 48}, (32, 48)),
    ],
)
def test_a_picture_keeps_its_size_as_far_as_the_model_can_draw_it(
    sent: tuple[int, int], parameters: dict[str, Any], size: tuple[int, int]
) -> None:
    told = image_generation_pb2.DiffusionParameters(**parameters)
    request = image_generation_pb2.InpaintImageRequest(
        prompt=PROMPT, image=png(*sent), mask_image=png(8, 8), parameters=told
    )
    notes = Notes()
    assert [size] == sizes(answers(notes, decoded(request), "inpainting"))
    ((drawing,), _) = notes.asked[0]
    assert (size, size, "L") == (drawing.image.size, drawing.mask.size, drawing.mask.mode)


@pytest.mark.parametrize(
    ("steps", "strength", "field"),
    [(3, None, "parameters.num_inference_steps"), (None, 0.01, "strength"), (3, 0.1, "strength")],
)
def test_a_pipeline_that_fails_for_want_of_steps_is_asked_too_little(
    steps: int | None, strength: float | None, field: str
) -> None:
    told = image_generation_pb2.DiffusionParameters(num_inference_steps=steps)
    request = image_generation_pb2.TransformImageRequest(
        prompt=PROMPT, image=png(64, 64), strength=strength, parameters=told
    )
    failing = Notes(error=RuntimeError("no elements"))
    assert field == refusal(failing, decoded(request), "image-to-image")
    assert [(64, 64)] == sizes(answers(Notes(), decoded(request), "image-to-image"))
    request.strength = 1
    (outcome,) = answers(failing, decoded(request), "image-to-image")
    assert isinstance(outcome, RuntimeError)


def test_numbers_are_what_was_sent_and_not_what_a_float_of_32_bits_makes_of_it() -> None:
    request = image_generation_pb2.TransformImageRequest(prompt=PROMPT, image=png(8, 8), strength=0.7)
    request.parameters.guidance_scale = 7.1
    assert {"strength": 0.7, "guidance_scale": 7.1} == dict(parameters_of(request).arguments)


def call_of(seed: int) -> Call:
    (call,) = decoded(asked(seed=seed))
    return call


def test_what_fails_together_is_drawn_apart_and_what_is_drawn_is_kept() -> None:
    notes = Notes(poisoned=3)
    outcomes = answers(notes, [call_of(seed) for seed in range(8)])
    assert [seed == 3 for seed in range(8)] == [isinstance(outcome, Exception) for outcome in outcomes]
    # Four at a time; of the first four the halves, and of the second half each one.
    assert [4, 2, 2, 1, 1, 4] == [len(drawings) for drawings, _ in notes.asked]


def test_a_picture_that_several_are_drawn_from_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    plain = EncodedImage.open

    def counting(image: EncodedImage) -> Image.Image:
        opened.append(image.field)
        return plain(image)

    monkeypatch.setattr(EncodedImage, "open", counting)
    request = image_generation_pb2.InpaintImageRequest(
        prompt=PROMPT, image=png(64, 64), mask_image=png(8, 8), num_images_per_prompt=5
    )
    assert 5 == len(sizes(answers(Notes(), decoded(request), "inpainting")))
    assert ["image.content", "mask_image.content"] == opened


def test_a_preview_that_can_t_be_written_is_left_out() -> None:
    notes, waiting = Notes(), Waiting()
    (call,) = decoded(asked())
    answers(notes, [Call(call.input, call.parameters, call.field, waiting)])
    ((drawing,), _) = notes.asked[0]
    drawing.tell(1, 4, "no picture")
    assert [Step(1, 4)] == waiting.told


@pytest.mark.parametrize(
    ("form", "longest"), [("JPEG", 65_496), ("WEBP", 16_376), ("PNG", None)], ids=lambda value: str(value)
)
def test_a_side_that_a_form_can_t_hold_is_refused_before_it_is_drawn(form: str, longest: int | None) -> None:
    request = asked(width=8, height=(longest or 200_000) + 8)
    request.format = image_generation_pb2.ImageFormat.Value(f"IMAGE_FORMAT_{form}")
    notes = Notes()
    if longest:
        assert "format" == refusal(notes, decoded(request))
        assert [] == notes.asked
        request.parameters.height = longest
    assert 1 == len(sizes(answers(notes, decoded(request))))


def test_a_film_takes_its_model_s_size_and_not_its_picture_s() -> None:
    notes = Notes(size=(96, 64))
    notes.takes |= {"num_frames": 9}
    request = image_generation_pb2.GenerateVideoRequest(prompt=PROMPT, image=png(640, 480))
    request.format = image_generation_pb2.VIDEO_FORMAT_GIF
    assert [(96, 64)] == sizes(answers(notes, decoded(request), "text-to-video"))
    notes.size = None
    request.image.CopyFrom(png(43, 50))
    assert [(40, 48)] == sizes(answers(notes, decoded(request), "text-to-video"))


def test_a_film_s_frames_are_bounded_together() -> None:
    notes = Notes()
    notes.takes |= {"num_frames": 9}
    request = image_generation_pb2.GenerateVideoRequest(prompt=PROMPT)
    limits = InputLimits(max_film_pixels=9 * 64 * 64 - 1)
    assert "num_frames" == refusal(notes, decoded(request, limits), "text-to-video")


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"width": 36}, "parameters.width"),
        ({"width": 4096}, "parameters.width"),
        ({"eta": 0.5}, "parameters.eta"),
        ({"scheduler": "Euler"}, "parameters.scheduler"),
        ({"loras": [image_generation_pb2.LoraAdapter(name="oil")]}, "parameters.loras[0].name"),
    ],
)
def test_what_the_pipeline_does_not_have_is_refused_by_its_field(
    parameters: dict[str, Any], field: str
) -> None:
    calls = decoded(asked(**parameters), InputLimits(max_drawn_pixels=100_000))
    assert field == refusal(Notes(), calls)


def test_a_pipeline_that_needs_a_picture_says_so() -> None:
    request = image_generation_pb2.GenerateVideoRequest(prompt=PROMPT)
    assert "image" == refusal(Notes(needs=frozenset({"image"})), decoded(request), "text-to-video")


def test_a_pipeline_that_has_no_previews_says_so() -> None:
    request = asked()
    request.preview_steps = 2
    assert "preview_steps" == refusal(Notes(previews=False), decoded(request))


def test_what_the_pipeline_refuses_is_the_parameters_fault() -> None:
    assert "parameters" == refusal(Notes(error=InvalidInputError("six isn't eight")), decoded(asked()))


def test_nothing_is_drawn_for_who_is_gone() -> None:
    notes = Notes()
    here, gone = (
        Call(call.input, call.parameters, call.field, Waiting(gone=gone))
        for call, gone in zip(decoded(asked()) * 2, (False, True), strict=True)
    )
    drawn, left = answers(notes, [here, gone])
    assert isinstance(drawn, Output)
    assert isinstance(left, GoneError)
    assert [1] == [len(drawings) for drawings, _ in notes.asked]


def test_a_pipeline_that_stops_since_all_are_gone_is_no_failure_to_try_again() -> None:
    assert ["NOBODY_WAITS"] * 2 == [
        getattr(outcome, "reason", "")
        for outcome in answers(Notes(error=GoneError("nobody")), decoded(asked()) * 2)
    ]


def test_each_call_is_told_of_its_steps_and_previews_in_the_form_it_asked_for() -> None:
    notes, waiting = Notes(), Waiting()
    request = asked()
    request.format = image_generation_pb2.IMAGE_FORMAT_JPEG
    (call,) = decoded(request)
    answers(notes, [Call(call.input, call.parameters, call.field, waiting)])
    ((drawing,), _) = notes.asked[0]
    drawing.tell(1, 4, None)
    drawing.tell(2, 4, Image.new("RGB", (8, 8)))
    plain, shown = waiting.told
    assert (Step(1, 4), (2, 4)) == (plain, (shown.number, shown.count))
    with Image.open(BytesIO(shown.preview)) as preview:
        assert ("JPEG", (8, 8)) == (preview.format, preview.size)


def test_progress_is_the_mean_of_the_pictures_and_never_goes_back() -> None:
    steps = DrawingSteps(image_generation_pb2.GenerateImageResponse, 2)
    told = [(0, 1), (1, 1), (0, 3), (0, 2), (1, 3), (1, 4), (0, 4)]
    messages: list[Any] = [message for index, number in told for message in steps.add(index, Step(number, 4))]
    found = [(message.progress.step, message.progress.num_steps) for message in messages]
    assert [(1, 4), (2, 4), (3, 4), (4, 4)] == found


def test_a_preview_says_whose_it_is() -> None:
    steps = DrawingSteps(image_generation_pb2.GenerateImageResponse, 2)
    message: Any
    (message,) = steps.add(1, Step(1, 4, b"a picture"))
    assert (1, 1, b"a picture") == (message.preview.index, message.preview.step, message.preview.content)
