"""Requests of the Python clients: each option lands in its field, and what isn't said stays unset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args, get_type_hints

import pytest
from google.protobuf.json_format import MessageToDict

from standpipe import options, requests
from standpipe.audio import options as audio_options
from standpipe.audio import requests as audio
from standpipe.fields import words as words_of
from standpipe.image_generation import options as drawing_options
from standpipe.image_generation import requests as drawing
from standpipe.pcm import EncodingName
from standpipe.v1 import (
    audio_pb2,
    common_pb2,
    generation_pb2,
    image_generation_pb2,
    text_pb2,
    vision_pb2,
)
from standpipe.vision import options as vision_options
from standpipe.vision import requests as vision

Request = Callable[..., Any]

# For each request: inputs as a caller gives them, the fields that they fill, and the options' declaration.
REQUESTS: dict[Request, tuple[tuple[Any, ...], set[str], Any]] = {
    requests.embed_text_request: ((["a"],), {"texts", "format"}, options.EmbedOptions),
    requests.rerank_text_request: (("q", ["a"]), {"query", "texts"}, options.RerankOptions),
    requests.classify_text_request: (
        (["a"], ["b"]),
        {"texts", "text_pairs"},
        options.ClassifyOptions,
    ),
    requests.classify_text_zero_shot_request: (
        (["a"], ["x"]),
        {"texts", "candidate_labels"},
        options.ZeroShotOptions,
    ),
    requests.classify_tokens_request: ((["a"],), {"texts"}, options.ClassifyTokensOptions),
    requests.answer_question_request: (([("q", "c")],), {"inputs"}, options.AnswerOptions),
    requests.answer_table_question_request: (
        ({"h": ["1"]}, ["q"]),
        {"table", "questions"},
        options.TableOptions,
    ),
    requests.fill_mask_request: ((["a"],), {"texts"}, options.FillOptions),
    requests.summarize_text_request: ((["a"],), {"texts"}, options.WriteOptions),
    requests.translate_text_request: ((["a"],), {"texts"}, options.TranslateOptions),
    requests.transform_text_request: ((["a"],), {"texts"}, options.WriteOptions),
    requests.generate_text_request: ((["a"],), {"prompts"}, options.GenerateTextOptions),
    requests.stream_generate_text_request: (("a",), {"prompt"}, options.StreamTextOptions),
    requests.chat_request: (([{"role": "user", "content": "a"}],), {"messages"}, options.ChatOptions),
    requests.stream_chat_request: (([{"role": "user", "content": "a"}],), {"messages"}, options.ChatOptions),
    requests.tokenize_request: ((["a"], ["b"]), {"texts", "text_pairs"}, options.TokenizeOptions),
    requests.detokenize_request: (([[1, 2]],), {"sequences"}, options.DetokenizeOptions),
    requests.apply_chat_template_request: (
        ([{"role": "user", "content": "a"}],),
        {"messages"},
        options.TemplateOptions,
    ),
    vision.classify_image_request: (([b"i"],), {"images"}, vision_options.ClassifyImageOptions),
    vision.classify_image_zero_shot_request: (
        ([b"i"], ["x"]),
        {"images", "candidate_labels"},
        vision_options.ClassifyImageZeroShotOptions,
    ),
    vision.detect_objects_request: (([b"i"],), {"images"}, vision_options.DetectObjectsOptions),
    vision.detect_objects_zero_shot_request: (
        ([b"i"], ["x"]),
        {"images", "candidate_labels"},
        vision_options.DetectObjectsZeroShotOptions,
    ),
    vision.segment_image_request: (
        ([b"i"],),
        {"images", "mask_format"},
        vision_options.SegmentImageOptions,
    ),
    vision.generate_masks_request: (
        ([b"i"],),
        {"images", "mask_format"},
        vision_options.GenerateMasksOptions,
    ),
    vision.estimate_depth_request: (([b"i"],), {"images", "format"}, vision_options.EstimateDepthOptions),
    vision.embed_image_request: (([b"i"],), {"images", "format"}, vision_options.EmbedImageOptions),
    vision.caption_image_request: (([b"i"],), {"images"}, vision_options.CaptionImageOptions),
    vision.answer_image_question_request: (
        ([(b"i", "q")],),
        {"inputs"},
        vision_options.AnswerImageQuestionOptions,
    ),
    vision.answer_document_question_request: (
        ([(b"i", "q")],),
        {"inputs"},
        vision_options.AnswerDocumentQuestionOptions,
    ),
    vision.match_keypoints_request: (([(b"i", b"j")],), {"pairs"}, vision_options.MatchKeypointsOptions),
    vision.classify_video_request: (([b"v"],), {"videos"}, vision_options.ClassifyVideoOptions),
    audio.transcribe_audio_request: (([b"s"],), {"audios"}, audio_options.TranscribeAudioOptions),
    audio.classify_audio_request: (([b"s"],), {"audios"}, audio_options.ClassifyAudioOptions),
    audio.classify_audio_zero_shot_request: (
        ([b"s"], ["x"]),
        {"audios", "candidate_labels"},
        audio_options.ClassifyAudioZeroShotOptions,
    ),
    audio.generate_audio_request: ((["a"],), {"prompts", "format"}, audio_options.GenerateAudioOptions),
    drawing.generate_image_request: (("a",), {"prompt"}, drawing_options.GenerateImageOptions),
    drawing.transform_image_request: (
        (b"i", "a"),
        {"image", "prompt"},
        drawing_options.TransformImageOptions,
    ),
    drawing.inpaint_image_request: (
        (b"i", b"m", "a"),
        {"image", "mask_image", "prompt"},
        drawing_options.TransformImageOptions,
    ),
    drawing.generate_video_request: (("a", b"i"), {"prompt", "image"}, drawing_options.GenerateVideoOptions),
}

# A value of each type that an option is declared with, and the same value in the request.
SAMPLES: dict[Any, tuple[Any, Any]] = {
    str | None: ("word", "word"),
    bool | None: (False, False),
    int | None: (0, 0),
    float | None: (0.0, 0.0),
    options.PoolingName | None: ("last_token", text_pb2.POOLING_LAST_TOKEN),
    options.SideName | None: ("left", common_pb2.TRUNCATION_DIRECTION_LEFT),
    options.FunctionName | None: ("sigmoid", common_pb2.CLASSIFICATION_FUNCTION_SIGMOID),
    options.AggregationName | None: ("first", text_pb2.AGGREGATION_STRATEGY_FIRST),
    vision_options.SubtaskName | None: ("panoptic", vision_pb2.SEGMENTATION_SUBTASK_PANOPTIC),
    vision_options.ImagePoolingName | None: ("cls", vision_pb2.IMAGE_POOLING_CLS),
    audio_options.AudioFormatName | None: ("ogg", audio_pb2.AUDIO_FORMAT_OGG),
    audio_options.TranscriptionTaskName | None: ("translate", audio_pb2.TRANSCRIPTION_TASK_TRANSLATE),
    audio_options.TimestampName | None: ("word", audio_pb2.TIMESTAMP_GRANULARITY_WORD),
    drawing_options.ImageFormatName | None: ("webp", image_generation_pb2.IMAGE_FORMAT_WEBP),
    drawing_options.VideoFormatName | None: ("gif", image_generation_pb2.VIDEO_FORMAT_GIF),
    get_type_hints(drawing_options.DiffusionOptions)["loras"]: (
        {"ink": 0.5, "wet": 0.0},
        [{"name": "ink", "weight": 0.5}, {"name": "wet", "weight": 0.0}],
    ),
    get_type_hints(options.FillOptions)["targets"]: (["x", "y"], ["x", "y"]),
    get_type_hints(options.ChatOptions)["tools"]: (
        [{"z": "ü", "a": [1, None]}, '{"b":2}'],
        ['{"z": "ü", "a": [1, null]}', '{"b":2}'],
    ),
    get_type_hints(options.ChatOptions)["json_schema"]: ({"z": "ü", "a": 1}, '{"z": "ü", "a": 1}'),
    get_type_hints(options.ChatOptions)["template_variables"]: ({"a": {"b": False}}, {"a": {"b": False}}),
}

# These have tests of their own.
OF_THEIR_OWN = {"ignore_labels", "generation_top_k", "preview_steps"}

OPTIONS = [
    pytest.param(request, name, kind, id=f"{request.__name__}-{name}")
    for request, (_, _, declared) in REQUESTS.items()
    for name, kind in get_type_hints(declared).items()
    if name not in OF_THEIR_OWN
]


def filled(message: Any) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


def plain(value: Any) -> Any:
    """A field's value, containers and structs as Python has them."""
    if isinstance(value, generation_pb2.Choices):
        return plain(value.texts)
    if hasattr(value, "DESCRIPTOR"):
        return MessageToDict(value)
    return value if isinstance(value, str | int | float) else [plain(one) for one in value]


@pytest.mark.parametrize(("request_of", "name", "kind"), OPTIONS)
def test_an_option_lands_in_its_field_and_in_no_other(request_of: Request, name: str, kind: Any) -> None:
    inputs, fields, _ = REQUESTS[request_of]
    given, expected = SAMPLES[kind]
    request = request_of(*inputs, **{name: given})
    if name in filled(request):
        assert fields | {name} == filled(request)
    else:
        # How to write is one message of its own, and so is the form that it must have.
        (part,) = filled(request) - fields
        assert part in {"parameters", "constraint"}
        request = getattr(request, part)
        assert {name} == filled(request)
    assert expected == plain(getattr(request, name))


@pytest.mark.parametrize(("request_of", "name", "kind"), OPTIONS)
def test_none_is_as_if_nothing_were_said(request_of: Request, name: str, kind: Any) -> None:
    inputs, fields, _ = REQUESTS[request_of]
    assert fields == filled(request_of(*inputs, **{name: None}))


@pytest.mark.parametrize("request_of", REQUESTS)
def test_every_field_of_a_request_can_be_said(request_of: Request) -> None:
    inputs, fields, declared = REQUESTS[request_of]
    # Where two fields have one name, the second has another one as an option.
    can_be_said = set(get_type_hints(declared)) - {"generation_top_k"}
    known = {field.name for field in request_of(*inputs).DESCRIPTOR.fields}
    if "parameters" in known:
        parameters = request_of(*inputs).DESCRIPTOR.fields_by_name["parameters"].message_type
        known = known - {"parameters"} | {field.name for field in parameters.fields}
    if "constraint" in known:
        known = known - {"constraint"} | {"json_schema", "regex", "choices"}
    assert known == fields | can_be_said


@pytest.mark.parametrize(
    ("declared", "enum"),
    [
        (options.PoolingName, text_pb2.Pooling),
        (options.SideName, common_pb2.TruncationDirection),
        (options.FunctionName, common_pb2.ClassificationFunction),
        (options.AggregationName, text_pb2.AggregationStrategy),
        (vision_options.SubtaskName, vision_pb2.SegmentationSubtask),
        (vision_options.ImagePoolingName, vision_pb2.ImagePooling),
        (audio_options.AudioFormatName, audio_pb2.AudioFormat),
        (audio_options.TranscriptionTaskName, audio_pb2.TranscriptionTask),
        (audio_options.TimestampName, audio_pb2.TimestampGranularity),
        (EncodingName, audio_pb2.AudioEncoding),
        (drawing_options.ImageFormatName, image_generation_pb2.ImageFormat),
        (drawing_options.VideoFormatName, image_generation_pb2.VideoFormat),
    ],
)
def test_every_value_of_an_enum_has_its_word(declared: Any, enum: Any) -> None:
    words = words_of(enum.DESCRIPTOR)
    assert list(get_args(declared)) == list(words)
    assert set(enum.values()) - {0} == set(words.values())


@pytest.mark.parametrize(
    ("request_of", "option", "words"),
    [
        (requests.embed_text_request, "pooling", "mean, cls, max, last_token"),
        (requests.tokenize_request, "truncation_direction", "left, right"),
        (requests.classify_text_request, "function_to_apply", "softmax, sigmoid, none"),
        (requests.classify_tokens_request, "aggregation_strategy", "none, simple, first, average, max"),
    ],
)
def test_an_unknown_word_is_refused_with_those_there_are(
    request_of: Request, option: str, words: str
) -> None:
    with pytest.raises(ValueError, match=f"{option} is 'centre'; it may be: {words}$"):
        request_of(["a"], **{option: "centre"})


def test_labels_to_ignore_may_be_none_at_all() -> None:
    def ignored(labels: Sequence[str] | None) -> text_pb2.ClassifyTokensRequest:
        return requests.classify_tokens_request(["a"], ignore_labels=labels)

    assert not ignored(None).HasField("ignore_labels")
    assert ignored([]).HasField("ignore_labels")
    assert ["O", "MISC"] == ignored(["O", "MISC"]).ignore_labels.labels


@pytest.mark.parametrize(
    ("request_of", "inputs", "name"),
    [
        (requests.embed_text_request, ("water",), "texts"),
        (requests.rerank_text_request, ("q", "water"), "texts"),
        (requests.classify_text_request, (["a"], "water"), "text_pairs"),
        (requests.classify_text_zero_shot_request, (["a"], "water"), "candidate_labels"),
        (requests.answer_table_question_request, ({"h": ["1"]}, "water?"), "questions"),
        (requests.answer_table_question_request, ({"h": "12"}, ["water?"]), "column 'h'"),
        (requests.answer_question_request, (("q", "c"),), "inputs"),
        (requests.detokenize_request, ([1, 2],), "sequences"),
        (requests.apply_chat_template_request, ({"role": "user"},), "messages"),
        (requests.generate_text_request, ("water",), "prompts"),
        (requests.chat_request, ({"role": "user"},), "messages"),
        (requests.stream_chat_request, ("water?",), "messages"),
    ],
)
def test_one_where_several_are_meant_is_refused(
    request_of: Request, inputs: tuple[Any, ...], name: str
) -> None:
    with pytest.raises(TypeError, match=rf"^{name} .*send a list"):
        request_of(*inputs)


@pytest.mark.parametrize(
    ("request_of", "option"),
    [
        (requests.fill_mask_request, "targets"),
        (requests.classify_tokens_request, "ignore_labels"),
        (requests.generate_text_request, "stop_strings"),
        (requests.generate_text_request, "choices"),
    ],
)
def test_one_string_as_an_option_is_refused_too(request_of: Request, option: str) -> None:
    with pytest.raises(TypeError, match=f"{option} is one string"):
        request_of(["a"], **{option: "water"})


def test_pairs_and_tables_keep_their_order() -> None:
    pairs = requests.answer_question_request([("q", "c"), ("r", "d")]).inputs
    assert [("q", "c"), ("r", "d")] == [(pair.question, pair.context) for pair in pairs]
    table = requests.answer_table_question_request({"b": ["1", "2"], "a": ["3", "4"]}, ["q"]).table
    assert [("b", ["1", "2"]), ("a", ["3", "4"])] == [(one.name, list(one.cells)) for one in table.columns]


def test_sequences_may_be_empty() -> None:
    rows = requests.detokenize_request([[7, 8], []]).sequences
    assert [[7, 8], []] == [list(row.ids) for row in rows]


def test_a_message_of_a_conversation_may_be_a_mapping_or_a_message() -> None:
    ready = common_pb2.ChatMessage(role="system", content="s")
    said: dict[str, Any] = {"role": "tool", "content": "42", "tool_call_id": "c1", "name": "sum"}
    messages = requests.apply_chat_template_request([ready, said]).messages
    assert [ready, common_pb2.ChatMessage(**said)] == list(messages)


@pytest.mark.parametrize("request_of", [requests.chat_request, requests.apply_chat_template_request])
def test_what_a_message_says_may_come_in_parts(request_of: Request) -> None:
    content = [{"type": "text", "text": "What "}, {"type": "text", "text": "is it?"}]
    (message,) = request_of([{"role": "user", "content": content}]).messages
    assert "" == message.content
    assert ["What ", "is it?"] == [part.text for part in message.parts]


def test_a_part_may_be_an_image() -> None:
    content = [{"type": "image", "image": b"\x89PNG"}, {"type": "text", "text": "What is it?"}]
    (message,) = requests.chat_request([{"role": "user", "content": content}]).messages
    assert [b"\x89PNG", b""] == [part.image.content for part in message.parts]


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ({"type": "audio", "audio": "a.wav"}, "is of type 'audio'; it may be: text, image"),
        ({"text": "a"}, "is of type 'None'; it may be: text, image"),
        ("a", "is of type 'str'; it may be: text, image"),
        ({"type": "image"}, "is of type 'image' and has no 'image'"),
        ({"type": "text"}, "is of type 'text' and has no 'text'"),
    ],
)
def test_a_part_that_the_contract_does_not_have_is_refused(part: Any, problem: str) -> None:
    said: list[dict[str, Any]] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, part]},
    ]
    with pytest.raises(ValueError, match=rf"^messages\[1\]\.content\[1\] {problem}$"):
        requests.chat_request(said)


def test_a_json_schema_that_is_text_stays_as_it_is() -> None:
    schema = '{"type":"object"}'
    assert schema == requests.generate_text_request(["a"], json_schema=schema).constraint.json_schema


def test_a_text_has_one_form_only() -> None:
    with pytest.raises(ValueError, match="regex and choices exclude each other"):
        requests.stream_generate_text_request("a", regex="b+", choices=["b"])
    assert requests.chat_request([], choices=[]).constraint.HasField("choices")


@pytest.mark.parametrize("tool", [{"name": "open"}, '{"name": "open"}'])
def test_one_tool_where_a_list_is_meant_is_refused(tool: Any) -> None:
    with pytest.raises(TypeError, match="tools is one tool; send a list"):
        requests.chat_request([{"role": "user", "content": "a"}], tools=tool)


@pytest.mark.parametrize(
    "call",
    [
        {"id": "c1", "name": "sum", "arguments": {"b": 1, "a": 2}},
        {"id": "c1", "type": "function", "function": {"name": "sum", "arguments": {"b": 1, "a": 2}}},
        {"id": "c1", "type": "function", "function": {"name": "sum", "arguments": '{"b": 1, "a": 2}'}},
    ],
)
def test_calls_of_tools_come_in_the_forms_that_templates_know(call: dict[str, Any]) -> None:
    messages = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    (made,) = requests.apply_chat_template_request(messages).messages[0].tool_calls
    assert common_pb2.ToolCall(id="c1", name="sum", arguments='{"b": 1, "a": 2}') == made


def test_a_call_without_arguments_has_an_empty_object() -> None:
    messages = [{"role": "assistant", "tool_calls": [{"name": "now"}]}]
    (made,) = requests.apply_chat_template_request(messages).messages[0].tool_calls
    assert common_pb2.ToolCall(name="now", arguments="{}") == made


def test_batches_hold_all_in_order_the_last_one_shorter() -> None:
    assert [["a", "b"], ["c"]] == list(requests.batches(iter("abc"), 2))
