"""VisionService's methods of both clients, on a channel that answers from a table, and their requests."""

from __future__ import annotations

import threading
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client_fakes import ANSWERS, FakeChannel, fake_client, put_on
from numpy.typing import NDArray

from standpipe import (
    AsyncClient,
    Box,
    DetectedObject,
    DocumentAnswer,
    GeneratedMask,
    ImageAnswer,
    Keypoint,
    KeypointMatch,
    Label,
    Segment,
    contract,
)
from standpipe.v1 import common_pb2, vision_pb2
from standpipe.vision import calls, requests
from standpipe_server.media.masks import run_lengths

LABELS = [Label("wet", 0.75), Label("dry", 0.25)]
OBJECTS = [DetectedObject("hose", 0.75, Box(-1, 2, 30, 4))]
MASK = np.array([[False, True, False], [True, True, False]])
WORDS = [("12", (0, 0, 100, 50)), ("bar", (110, 0, 200, 50))]

# For each method: what it is called with, and what it makes of the answer in ANSWERS.
METHODS: dict[str, tuple[tuple[Any, ...], dict[str, Any], Any]] = {
    "classify_image": (([b"a", b"b"],), {"function_to_apply": "sigmoid"}, [LABELS, []]),
    "classify_image_zero_shot": (
        ([b"a"], ["wet", "dry"]),
        {"hypothesis_template": "a photo of a {} wall"},
        [LABELS],
    ),
    "detect_objects": (([b"a", b"b"],), {"threshold": 0.5}, [OBJECTS, []]),
    "detect_objects_zero_shot": (([b"a"], ["hose"]), {"top_k": 3}, [OBJECTS]),
    "segment_image": (
        ([b"a", b"b"],),
        {"subtask": "panoptic"},
        [[Segment("hose", 0.0, MASK), Segment("wall", None, MASK)], []],
    ),
    "generate_masks": (([b"a", b"b"],), {"points_per_crop": 8}, [[GeneratedMask(1.25, MASK)], []]),
    "estimate_depth": (([b"a"],), {"model": "m"}, [np.array([[0, 1, 2], [3, 4, 5]], np.float32)]),
    "embed_image": (([b"a", b"b"],), {"pooling": "cls"}, np.array([[1, 0], [0.5, 0.25]], np.float32)),
    "caption_image": (([b"a"],), {"prompt": "a photo of", "max_new_tokens": 9}, ["a hose"]),
    "answer_image_question": (
        ([(b"a", "how many?"), (b"b", "why?")],),
        {"top_k": 2},
        [[ImageAnswer("two", 0.0), ImageAnswer("a few", None)], []],
    ),
    "answer_document_question": (
        ([(b"a", "what pressure?", WORDS), (b"b", "why?")],),
        {"lang": "deu"},
        [[DocumentAnswer("12 bar", 0.5, 0, 1), DocumentAnswer("12", None, None, None)], []],
    ),
    "match_keypoints": (
        ([(b"a", b"b"), (b"c", b"d")],),
        {"threshold": 0.25},
        [[KeypointMatch(Keypoint(1.5, 2.0), Keypoint(3.0, 0.25), 0.5)], []],
    ),
    "classify_video": (([b"v"],), {"num_frames": 8}, [LABELS]),
}


def rpc_of(method: str) -> str:
    return "".join(word.capitalize() for word in method.split("_"))


def plain(value: Any) -> Any:
    """A result as lists, so that arrays in it can be compared: each with its type."""
    if isinstance(value, np.ndarray):
        return (value.dtype, value.tolist())
    if is_dataclass(value):
        return (type(value), [plain(getattr(value, field.name)) for field in fields(value)])
    return [plain(one) for one in value] if isinstance(value, list) else value


def test_every_rpc_has_a_method() -> None:
    rpcs = vision_pb2.DESCRIPTOR.services_by_name["VisionService"].methods
    assert [rpc.name for rpc in rpcs] == [rpc_of(method) for method in METHODS]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_calls_its_rpc_and_returns_what_was_asked_for(method: str) -> None:
    given, options, expected = METHODS[method]
    client, channel = fake_client(ANSWERS)
    assert plain(expected) == plain(getattr(client, method)(*given, **options))
    ((path, request, timeout, metadata),) = channel.calls
    rpc = contract.find(path)
    assert (rpc_of(method), rpc.input_type) == (rpc.name, request.DESCRIPTOR)
    assert (7.0, (("x-key", "1"),)) == (timeout, metadata)


@pytest.mark.parametrize("method", METHODS)
async def test_the_async_client_sends_and_returns_the_same(method: str) -> None:
    given, options, expected = METHODS[method]
    client, channel = fake_client(ANSWERS)
    getattr(client, method)(*given, **options, timeout=2.0)
    async with AsyncClient("127.0.0.1:1", metadata=[("x-key", "1")]) as aio:
        real = aio.channel
        later = FakeChannel(ANSWERS, asynchronous=True)
        put_on(aio, later)
        assert plain(expected) == plain(await getattr(aio, method)(*given, **options, timeout=2.0))
        assert channel.calls == later.calls
        aio.channel = real


async def test_the_event_loop_waits_for_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[threading.Thread] = []

    def read(_: Path) -> bytes:
        readers.append(threading.current_thread())
        return b"a"

    monkeypatch.setattr(Path, "read_bytes", read)
    async with AsyncClient("127.0.0.1:1") as aio:
        real = aio.channel
        put_on(aio, FakeChannel(ANSWERS, asynchronous=True))
        await aio.caption_image(["a.png"])
        aio.channel = real
    (reader,) = readers
    assert threading.current_thread() is not reader


@pytest.mark.parametrize("method", ["estimate_depth", "segment_image", "generate_masks", "embed_image"])
def test_arrays_can_be_written_to_and_lie_row_by_row(method: str) -> None:
    client, _ = fake_client(ANSWERS)
    result: Any = getattr(client, method)([b"a"])
    while isinstance(result, list):
        result = result[0]
    array = getattr(result, "mask", result)
    assert array.flags.writeable
    assert array.flags.c_contiguous


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (Box, vision_pb2.BoundingBox),
        (DetectedObject, vision_pb2.DetectedObject),
        (Segment, vision_pb2.Segment),
        (GeneratedMask, vision_pb2.GeneratedMask),
        (ImageAnswer, vision_pb2.ImageAnswer),
        (DocumentAnswer, vision_pb2.DocumentAnswer),
        (Keypoint, vision_pb2.Keypoint),
        (KeypointMatch, vision_pb2.KeypointMatch),
    ],
)
def test_a_result_has_every_field_of_its_message(result: type[Any], message: Any) -> None:
    assert [field.name for field in message.DESCRIPTOR.fields] == [field.name for field in fields(result)]


def test_what_holds_an_array_is_equal_to_itself_only_and_can_be_counted() -> None:
    segment, other = Segment("hose", 0.5, MASK), Segment("hose", 0.5, MASK)
    assert segment == segment
    assert segment != other
    assert 2 == len({segment, other})


def of_numbers(seed: int, share: float, shape: tuple[int, int]) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((2, 3), bool),
        np.ones((2, 3), bool),
        np.eye(4, 3, dtype=bool),
        MASK,
        of_numbers(1, 0.5, (7, 5)),
        of_numbers(2, 0.1, (1, 9)),
        of_numbers(3, 0.9, (9, 1)),
    ],
    ids=["nothing", "all", "diagonal", "few", "many", "row", "column"],
)
def test_a_mask_comes_back_as_the_server_had_it(mask: NDArray[np.bool_]) -> None:
    runs = vision_pb2.RunLengths(counts=run_lengths(mask))
    height, width = mask.shape
    np.testing.assert_array_equal(
        mask, calls.mask_of(vision_pb2.Mask(width=width, height=height, run_lengths=runs))
    )


@pytest.mark.parametrize("counts", [[], [5], [2, 5], [0, 4_000_000_000, 4_000_000_000]])
def test_runs_that_do_not_sum_up_to_the_pixels_are_refused(counts: list[int]) -> None:
    mask = vision_pb2.Mask(width=3, height=2, run_lengths=vision_pb2.RunLengths(counts=counts))
    problem = f"^the runs of a mask of 3 × 2 pixels sum up to {sum(counts)}$"
    with pytest.raises(ValueError, match=problem):
        calls.mask_of(mask)


def test_masks_depth_and_vectors_are_asked_for_as_what_is_cheapest() -> None:
    runs = vision_pb2.MASK_FORMAT_RUN_LENGTHS
    assert runs == requests.segment_image_request([b"a"]).mask_format
    assert runs == requests.generate_masks_request([b"a"]).mask_format
    assert vision_pb2.DEPTH_FORMAT_FLOAT32 == requests.estimate_depth_request([b"a"]).format
    assert common_pb2.EMBEDDING_FORMAT_PACKED == requests.embed_image_request([b"a"]).format


def test_both_fields_of_one_name_can_be_said() -> None:
    request = requests.answer_image_question_request([(b"a", "q")], top_k=2, generation_top_k=50)
    assert (2, 50) == (request.top_k, request.parameters.top_k)
    request = requests.answer_image_question_request([(b"a", "q")], generation_top_k=50)
    assert (False, 50) == (request.HasField("top_k"), request.parameters.top_k)


@pytest.mark.parametrize(
    ("request_of", "option", "words"),
    [
        (requests.segment_image_request, "subtask", "semantic, instance, panoptic"),
        (requests.embed_image_request, "pooling", "pooler, cls, mean"),
        (requests.classify_video_request, "function_to_apply", "softmax, sigmoid, none"),
    ],
)
def test_an_unknown_word_is_refused_with_those_there_are(request_of: Any, option: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"{option} is 'centre'; it may be: {words}$"):
        request_of([b"a"], **{option: "centre"})


@pytest.mark.parametrize(
    ("request_of", "inputs", "name"),
    [
        (requests.classify_image_zero_shot_request, ([b"a"], "water"), "candidate_labels"),
        (requests.detect_objects_zero_shot_request, ([b"a"], "water"), "candidate_labels"),
        (requests.answer_image_question_request, (("a.png", "why?"),), "inputs"),
        (requests.answer_image_question_request, ((np.zeros((4, 4), np.uint8), "why?"),), "inputs"),
        (requests.answer_document_question_request, (("a.png", "why?", []),), "inputs"),
        (requests.match_keypoints_request, (("a.png", "b.png"),), "pairs"),
    ],
)
def test_one_where_several_are_meant_is_refused(request_of: Any, inputs: tuple[Any, ...], name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} .*send a list"):
        request_of(*inputs)


@pytest.mark.parametrize(
    ("request_of", "count", "form"),
    [
        (requests.answer_image_question_request, 3, r"\(image, question\)"),
        (requests.answer_document_question_request, 1, r".* or \(image, question, words\)"),
        (requests.answer_document_question_request, 4, r".* or \(image, question, words\)"),
        (requests.match_keypoints_request, 3, r"\(image, image\)"),
    ],
)
def test_too_many_parts_or_too_few_are_refused(request_of: Any, count: int, form: str) -> None:
    with pytest.raises(TypeError, match=rf"^\w+\[1\] has {count} parts; it may be: {form}$"):
        request_of([(b"a", b"b"), (b"a",) * count])


@pytest.mark.parametrize(
    ("request_of", "inputs", "place"),
    [
        (requests.answer_image_question_request, [(b"a", "q"), (7, "q")], "inputs[1].image"),
        (requests.answer_document_question_request, [(b"a", "q"), (7, "q")], "inputs[1].image"),
        (requests.match_keypoints_request, [(7, b"a")], "pairs[0].first"),
        (requests.match_keypoints_request, [(b"a", 7)], "pairs[0].second"),
    ],
)
def test_an_image_within_is_named_by_its_place(request_of: Any, inputs: list[Any], place: str) -> None:
    with pytest.raises(TypeError) as raised:
        request_of(inputs)
    assert str(raised.value).startswith(f"{place} is of type 'int'; ")


def test_pairs_keep_their_order_and_may_come_from_zip() -> None:
    pairs: Any = zip([b"a", b"c"], [b"b", b"d"], strict=True)
    made = requests.match_keypoints_request(pairs).pairs
    assert [(b"a", b"b"), (b"c", b"d")] == [(pair.first.content, pair.second.content) for pair in made]


def test_the_words_of_a_document_keep_their_order_and_may_be_left_out() -> None:
    given: list[Any] = [(b"a", "q", WORDS), (b"b", "r"), (b"c", "s", None)]
    inputs = requests.answer_document_question_request(given).inputs
    expected = [
        vision_pb2.DocumentWord(text="12", box=vision_pb2.BoundingBox(xmin=0, ymin=0, xmax=100, ymax=50)),
        vision_pb2.DocumentWord(text="bar", box=vision_pb2.BoundingBox(xmin=110, ymin=0, xmax=200, ymax=50)),
    ]
    assert [expected, [], []] == [list(one.words) for one in inputs]
    assert [(b"a", "q"), (b"b", "r"), (b"c", "s")] == [(one.image.content, one.question) for one in inputs]


@pytest.mark.parametrize(
    "word", ["bar", ("bar", (1, 2, 3)), ("bar", (0.5, 0, 1, 1)), ("bar", (0, 0, 1, 2**40))]
)
def test_what_is_no_word_of_a_document_is_named(word: Any) -> None:
    with pytest.raises(TypeError) as raised:
        requests.answer_document_question_request([(b"a", "q", [WORDS[0], word])])
    problem = f"inputs[0].words[1] is {word!r}; it may be: (text, (xmin, ymin, xmax, ymax)), "
    assert str(raised.value).startswith(problem)
