"""The tasks that see: what becomes of their requests, what they refuse, and how they answer."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message
from task_cases import decoded, encoded, exceeded, parameters_of, refusal, task_of

from media_files import films, picture, pictures, saved
from standpipe.v1 import common_pb2, vision_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Output, Written
from standpipe_server.media.images import EncodedImage
from standpipe_server.programs import Generation
from standpipe_server.tasks import InputLimits
from standpipe_server.tasks.candidates import tokens_within
from standpipe_server.tasks.classify_image import ClassifyImageParameters
from standpipe_server.tasks.classify_image_zero_shot import ClassifyImageZeroShotParameters
from standpipe_server.tasks.classify_video import ClassifyVideoParameters
from standpipe_server.tasks.detect_objects import DetectParameters
from standpipe_server.tasks.detect_objects_zero_shot import DetectZeroShotParameters
from standpipe_server.tasks.embed_image import EmbedImageHead, EmbedImageParameters
from standpipe_server.tasks.image_text import ImageText, each, together
from standpipe_server.tasks.images import image_warm_up, readable, sample_image
from standpipe_server.tasks.match_keypoints import MatchParameters
from standpipe_server.tasks.segment_image import SegmentParameters
from standpipe_server.tasks.vectors import normalize

Classify = vision_pb2.ClassifyImageRequest
ZeroShot = vision_pb2.ClassifyImageZeroShotRequest
Detect = vision_pb2.DetectObjectsRequest
DetectZeroShot = vision_pb2.DetectObjectsZeroShotRequest
Segment = vision_pb2.SegmentImageRequest
Masks = vision_pb2.GenerateMasksRequest
Depth = vision_pb2.EstimateDepthRequest
Embed = vision_pb2.EmbedImageRequest
Caption = vision_pb2.CaptionImageRequest
Ask = vision_pb2.AnswerImageQuestionRequest
Read = vision_pb2.AnswerDocumentQuestionRequest
Match = vision_pb2.MatchKeypointsRequest
Film = vision_pb2.ClassifyVideoRequest

UNKNOWN: Any = 99
NAN = float("nan")
PNG = pictures()["png"]
IMAGE = common_pb2.Image(content=PNG)
LABELS = ["cat"]


def with_images(request: Any, *images: common_pb2.Image) -> Any:
    """A request for these images, where its kind has them."""
    made = type(request)()
    made.CopyFrom(request)
    if "pairs" in made.DESCRIPTOR.fields_by_name:
        made.pairs.extend(vision_pb2.ImagePair(first=IMAGE, second=image) for image in images)
    elif "videos" in made.DESCRIPTOR.fields_by_name:
        made.videos.extend(vision_pb2.Video(content=image.content) for image in images)
    elif "inputs" in made.DESCRIPTOR.fields_by_name:
        for image in images:
            made.inputs.add(image=image, question="what?")
    else:
        made.images.extend(images)
    return made


# A request of each kind that lacks its images, and where they stand.
KINDS: list[tuple[Message, str, str]] = [
    (Classify(), "images", "images[{}].content"),
    (ZeroShot(candidate_labels=LABELS), "images", "images[{}].content"),
    (Detect(), "images", "images[{}].content"),
    (DetectZeroShot(candidate_labels=LABELS), "images", "images[{}].content"),
    (Segment(), "images", "images[{}].content"),
    (Masks(), "images", "images[{}].content"),
    (Depth(), "images", "images[{}].content"),
    (Embed(), "images", "images[{}].content"),
    (Caption(), "images", "images[{}].content"),
    (Ask(), "inputs", "inputs[{}].image.content"),
    (Read(), "inputs", "inputs[{}].image.content"),
    (Match(), "pairs", "pairs[{}].second.content"),
    (Film(), "videos", "videos[{}].content"),
]


@pytest.mark.parametrize(("request_", "items", "field"), KINDS)
def test_no_images_too_many_and_bad_ones_are_refused_by_their_fields(
    request_: Message, items: str, field: str
) -> None:
    none = refusal(request_)
    assert (items, f"{items} is empty: send at least one") == (none.field, str(none))
    three = with_images(request_, IMAGE, IMAGE, IMAGE)
    assert (items, "max_items", "2") == exceeded(three, InputLimits(max_items=2))
    empty = refusal(with_images(request_, IMAGE, common_pb2.Image()))
    assert field.format(1) == empty.field
    assert "is empty" in str(empty)
    small = InputLimits(max_media_bytes=len(PNG))
    large = with_images(request_, IMAGE, common_pb2.Image(content=PNG + b"\x00"))
    assert (field.format(1), "max_media_bytes", str(len(PNG))) == exceeded(large, small)


@pytest.mark.parametrize(("request_", "items", "field"), KINDS)
def test_each_image_becomes_a_call_of_one_key_that_names_its_place(
    request_: Message, items: str, field: str
) -> None:
    request = with_images(request_, IMAGE, IMAGE)
    calls = decoded(request)
    task = task_of(request)
    assert [f"{items}[0]", f"{items}[1]"] == [call.field for call in calls]
    assert [task.parameters] * 2 == [type(call.parameters) for call in calls]
    assert [task.key(calls[0])] * 2 == [task.key(call) for call in calls]
    assert all(task.cost(call) >= 1 for call in calls)


def test_an_image_is_a_file_that_knows_its_limits_and_its_place() -> None:
    (call,) = decoded(Classify(images=[IMAGE]), InputLimits(max_pixels=7))
    assert EncodedImage(PNG, "PNG", 7, "images[0].content") == call.input


def test_a_film_knows_its_limits_and_its_place() -> None:
    content = films()["mp4"]
    (call,) = decoded(Film(videos=[vision_pb2.Video(content=content)]), InputLimits(max_frames=3))
    assert (content, 3, "videos[0].content") == (
        call.input.content,
        call.input.limits.max_frames,
        call.input.field,
    )


@pytest.mark.parametrize(
    ("request_", "parameters"),
    [
        (Classify(), ClassifyImageParameters()),
        (Classify(top_k=2), ClassifyImageParameters(top_k=2)),
        (
            Classify(function_to_apply=common_pb2.CLASSIFICATION_FUNCTION_SIGMOID),
            ClassifyImageParameters(function="sigmoid"),
        ),
        (
            ZeroShot(candidate_labels=["cat", "dog"], hypothesis_template="a {} or a {}"),
            ClassifyImageZeroShotParameters(("cat", "dog"), ("a cat or a cat", "a dog or a dog")),
        ),
        (
            ZeroShot(candidate_labels=LABELS),
            ClassifyImageZeroShotParameters(("cat",), ("This is a photo of cat.",)),
        ),
        (Detect(), DetectParameters(0.5)),
        (Detect(threshold=0), DetectParameters(0.0)),
        (DetectZeroShot(candidate_labels=LABELS), DetectZeroShotParameters(("cat",), 0.1)),
        (
            DetectZeroShot(candidate_labels=LABELS, threshold=1, top_k=3),
            DetectZeroShotParameters(("cat",), 1.0, 3),
        ),
        (Segment(), SegmentParameters()),
        (
            Segment(
                subtask=vision_pb2.SEGMENTATION_SUBTASK_PANOPTIC,
                threshold=0.25,
                mask_format=vision_pb2.MASK_FORMAT_RUN_LENGTHS,
            ),
            SegmentParameters(
                "panoptic",
                (("threshold", 0.25), ("mask_threshold", 0.5), ("overlap_mask_area_threshold", 0.5)),
                runs=True,
            ),
        ),
        (Match(), MatchParameters()),
        (Match(threshold=0.5), MatchParameters(0.5)),
        (Film(), ClassifyVideoParameters()),
        (
            Film(top_k=1, num_frames=8, frame_sampling_rate=4),
            ClassifyVideoParameters(top_k=1, num_frames=8, rate=4),
        ),
    ],
)
def test_each_field_reaches_the_parameters(request_: Message, parameters: object) -> None:
    assert parameters == parameters_of(with_images(request_, IMAGE))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (Classify(top_k=0), "top_k"),
        (Classify(function_to_apply=UNKNOWN), "function_to_apply"),
        (ZeroShot(), "candidate_labels"),
        (ZeroShot(candidate_labels=LABELS, hypothesis_template="no place"), "hypothesis_template"),
        (Detect(threshold=1.5), "threshold"),
        (Detect(threshold=-0.1), "threshold"),
        (Detect(threshold=NAN), "threshold"),
        (DetectZeroShot(), "candidate_labels"),
        (DetectZeroShot(candidate_labels=LABELS, top_k=0), "top_k"),
        (DetectZeroShot(candidate_labels=LABELS, threshold=NAN), "threshold"),
        (Segment(subtask=UNKNOWN), "subtask"),
        (Segment(mask_format=UNKNOWN), "mask_format"),
        (Segment(mask_threshold=2), "mask_threshold"),
        (Segment(overlap_mask_area_threshold=-1), "overlap_mask_area_threshold"),
        (Masks(points_per_crop=0), "points_per_crop"),
        (Masks(points_per_crop=129), "points_per_crop"),
        (Masks(pred_iou_thresh=NAN), "pred_iou_thresh"),
        (Masks(crops_nms_thresh=1.5), "crops_nms_thresh"),
        (Masks(mask_format=UNKNOWN), "mask_format"),
        (Depth(format=UNKNOWN), "format"),
        (Embed(format=UNKNOWN), "format"),
        (Embed(pooling=UNKNOWN), "pooling"),
        (Ask(top_k=0), "top_k"),
        (Match(threshold=7), "threshold"),
        (Film(top_k=0), "top_k"),
        (Film(num_frames=0), "num_frames"),
        (Film(frame_sampling_rate=0), "frame_sampling_rate"),
        (Film(function_to_apply=UNKNOWN), "function_to_apply"),
    ],
)
def test_a_mistake_is_named_by_its_field(request_: Message, field: str) -> None:
    assert field == refusal(with_images(request_, IMAGE)).field


@pytest.mark.parametrize("kind", [ZeroShot, DetectZeroShot])
def test_labels_are_limited_in_number_and_length(kind: Any) -> None:
    two = with_images(kind(candidate_labels=["cat", "dog"]), IMAGE)
    assert ("candidate_labels", "max_labels", "1") == exceeded(two, InputLimits(max_labels=1))
    long = with_images(kind(candidate_labels=["cat", "d" * 50]), IMAGE)
    assert ("candidate_labels[1]", "max_text_bytes", "40") == exceeded(long, InputLimits(max_text_bytes=40))


def test_a_label_longer_than_the_model_reads_is_named() -> None:
    def tokenizer(text: str) -> dict[str, list[int]]:
        return {"input_ids": [0] * len(text.split())}

    inner = SimpleNamespace(max_position_embeddings=3)
    plain = SimpleNamespace(model=SimpleNamespace(config=inner), tokenizer=tokenizer)
    both = SimpleNamespace(
        model=SimpleNamespace(config=SimpleNamespace(text_config=inner)), tokenizer=tokenizer
    )
    unlimited = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace()), tokenizer=tokenizer)
    for pipeline in (plain, both):
        assert 5 == tokens_within(pipeline, ["a cat", "a red dog"])
        with pytest.raises(
            InvalidInputError, match=r"the label has 4 tokens .* than the model's 3"
        ) as caught:
            tokens_within(pipeline, ["a cat", "a very red dog"])
        assert "candidate_labels[1]" == caught.value.field
    assert 6 == tokens_within(unlimited, ["a cat", "a very red dog"])


def test_labels_come_with_their_scores() -> None:
    response = encoded(Classify(), [("cat", 0.75), ("dog", 0.25)], [])
    assert [[("cat", 0.75), ("dog", 0.25)], []] == [
        [(each.label, each.score) for each in result.labels] for result in response.results
    ]


def test_objects_come_with_their_boxes() -> None:
    box = {"xmin": -1, "ymin": 2, "xmax": 30, "ymax": 4}
    response = encoded(Detect(), [{"label": "cat", "score": 0.5, "box": box}], [])
    (found,) = response.results[0].objects
    assert ("cat", 0.5, vision_pb2.BoundingBox(**box)) == (found.label, found.score, found.box)
    assert 2 == len(response.results)


@pytest.mark.parametrize("packed", [False, True])
def test_vectors_travel_one_by_one_or_end_to_end(packed: bool) -> None:
    form = common_pb2.EMBEDDING_FORMAT_PACKED if packed else common_pb2.EMBEDDING_FORMAT_VALUES
    vectors = [np.array([1.5, -2.0], np.float32), np.array([0.0, 3.0], np.float32)]
    response = encoded(Embed(format=form), *vectors)
    together_ = np.frombuffer(response.packed, "<f4").reshape(-1, 2).tolist()
    apart = [list(each.values) for each in response.embeddings]
    assert [[1.5, -2.0], [0.0, 3.0]] == (together_ if packed else apart)
    assert (2, not packed) == (response.dimensions, response.packed == b"")


def test_vectors_are_brought_to_length_one_and_nought_stays() -> None:
    vectors = normalize(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose([[0.6, 0.8], [0.0, 0.0]], vectors, rtol=1e-6)


TOKENS = {"last_hidden_state": np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)}
MAP = {"last_hidden_state": np.arange(8, dtype=np.float32).reshape(2, 2, 2)}
POOLED = {"pooler_output": np.array([[[5.0]], [[7.0]]], np.float32)}
Pooling = vision_pb2


@pytest.mark.parametrize(
    ("pooling", "outputs", "vector"),
    [
        (Pooling.IMAGE_POOLING_UNSPECIFIED, TOKENS | POOLED, [5.0, 7.0]),
        (Pooling.IMAGE_POOLING_UNSPECIFIED, TOKENS, [1.0, 2.0]),
        (Pooling.IMAGE_POOLING_UNSPECIFIED, MAP, [1.5, 5.5]),
        (Pooling.IMAGE_POOLING_POOLER, MAP | POOLED, [5.0, 7.0]),
        (Pooling.IMAGE_POOLING_CLS, TOKENS | POOLED, [1.0, 2.0]),
        (Pooling.IMAGE_POOLING_MEAN, TOKENS | POOLED, [2.0, 4.0]),
        (Pooling.IMAGE_POOLING_MEAN, MAP | POOLED, [1.5, 5.5]),
    ],
)
def test_an_image_becomes_one_vector(pooling: Any, outputs: Any, vector: list[float]) -> None:
    parameters: EmbedImageParameters = parameters_of(Embed(images=[IMAGE], pooling=pooling))
    head = EmbedImageHead(SimpleNamespace(config=SimpleNamespace(hidden_size=2)))
    assert vector == head.answer(Call(None, parameters), outputs).tolist()


@pytest.mark.parametrize(
    ("pooling", "outputs"), [(Pooling.IMAGE_POOLING_POOLER, TOKENS), (Pooling.IMAGE_POOLING_CLS, MAP)]
)
def test_a_pooling_that_the_model_lacks_is_named(pooling: Any, outputs: Any) -> None:
    parameters: EmbedImageParameters = parameters_of(Embed(images=[IMAGE], pooling=pooling))
    with pytest.raises(InvalidInputError) as caught:
        parameters.pool(outputs)
    assert "pooling" == caught.value.field


def test_captions_come_with_what_they_took() -> None:
    response = encoded(Caption(), (Written("a cat", 4),))
    assert [("a cat", 4)] == [(each.generated_text, each.generated_tokens) for each in response.results]


def test_a_question_goes_with_its_image() -> None:
    question = vision_pb2.ImageQuestion(image=IMAGE, question="what?")
    (call,) = decoded(Ask(inputs=[question]))
    image = EncodedImage(PNG, "PNG", InputLimits().max_pixels, "inputs[0].image.content")
    assert ImageText(image, "what?") == call.input


@pytest.mark.parametrize("kind", [Ask, Read])
def test_an_empty_question_and_a_long_one_are_refused(kind: Any) -> None:
    empty, long = kind(), kind()
    empty.inputs.add(image=IMAGE, question=" \n")
    long.inputs.add(image=IMAGE, question="w" * 9)
    assert "inputs[0].question" == refusal(empty).field
    assert ("inputs[0].question", "max_text_bytes", "8") == exceeded(long, InputLimits(max_text_bytes=8))


def answering(answer: Callable[[Any, str], Output]) -> list[Any]:
    calls = [Call(ImageText(sample_image(), text), None) for text in ("good", "bad", "broken")]
    return each(answer, calls, ["image"] * 3)


def test_one_call_of_several_may_fail_by_itself() -> None:
    def answer(image: Any, text: str) -> Output:
        if text == "bad":
            raise ValueError("too narrow")
        if text == "broken":
            raise ZeroDivisionError
        return Output((image, text))

    good, bad, broken = answering(answer)
    assert Output(("image", "good")) == good
    assert isinstance(bad, InvalidInputError)
    assert "the model can't read it: too narrow" == str(bad)
    assert isinstance(broken, ZeroDivisionError)


@pytest.mark.parametrize(("seed", "beside"), [(None, True), (0, False), (7, False)])
def test_what_has_a_seed_is_written_by_itself(seed: int | None, beside: bool) -> None:
    assert beside == together(Generation(seed=seed))


def test_what_the_library_says_of_a_shape_is_the_callers_fault_and_nothing_else_is() -> None:
    with (
        pytest.raises(InvalidInputError, match="the model can't read 24 × 16 pixels: too narrow"),
        readable(picture()),
    ):
        raise ValueError("too narrow")
    with pytest.raises(KeyError), readable(picture()):
        raise KeyError("a bug")


def test_a_fresh_model_sees_a_small_picture_alone_and_among_others() -> None:
    batches = image_warm_up(ClassifyImageParameters())
    assert [1, 4, 1] == [len(batch) for batch in batches]
    image = batches[0][0].input.open()
    assert ("RGB", (64, 48)) == (image.mode, image.size)


def test_depths_that_no_message_could_hold_are_refused_before_they_are_made() -> None:
    file = common_pb2.Image(content=saved(picture(64, 64), "PNG"))
    request = Depth(images=[file] * 3)
    limits = InputLimits(max_message_bytes=3 * 64 * 64 * 4)
    assert 3 == len(decoded(request, limits))
    assert ("images", "max_message_bytes", "49151") == exceeded(
        request, InputLimits(max_message_bytes=3 * 64 * 64 * 4 - 1)
    )
