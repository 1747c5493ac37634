"""The tasks that label: ClassifyText, ClassifyTextZeroShot, RerankText, ClassifyTokens."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message
from task_cases import decoded, encoded, exceeded, parameters_of, refusal

from standpipe.v1 import common_pb2, text_pb2
from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import Call
from standpipe_server.programs import Cut, Floats
from standpipe_server.tasks import InputLimits
from standpipe_server.tasks.classify_text import ClassifyHead, ClassifyParameters
from standpipe_server.tasks.classify_text_zero_shot import ZeroShotHead, ZeroShotParameters
from standpipe_server.tasks.classify_tokens import TokenParameters
from standpipe_server.tasks.entities import Entity
from standpipe_server.tasks.labels import FunctionName, sigmoid, softmax, usual_function
from standpipe_server.tasks.rerank_text import RerankHead, RerankParameters

Classify = text_pb2.ClassifyTextRequest
ZeroShot = text_pb2.ClassifyTextZeroShotRequest
Rerank = text_pb2.RerankTextRequest
Tokens = text_pb2.ClassifyTokensRequest
LEFT, RIGHT = common_pb2.TRUNCATION_DIRECTION_LEFT, common_pb2.TRUNCATION_DIRECTION_RIGHT


@pytest.mark.parametrize(
    ("request_", "parameters"),
    [
        (Classify(), ClassifyParameters()),
        (Classify(top_k=2), ClassifyParameters(top_k=2)),
        (Classify(truncate=True), ClassifyParameters()),
        (Classify(truncate=False), ClassifyParameters(Cut(truncate=False))),
        (Classify(truncation_direction=LEFT), ClassifyParameters(Cut(side="left"))),
        (Classify(truncation_direction=RIGHT), ClassifyParameters(Cut(side="right"))),
        (
            Classify(function_to_apply=common_pb2.CLASSIFICATION_FUNCTION_SOFTMAX),
            ClassifyParameters(function="softmax"),
        ),
        (
            Classify(function_to_apply=common_pb2.CLASSIFICATION_FUNCTION_SIGMOID),
            ClassifyParameters(function="sigmoid"),
        ),
        (
            Classify(function_to_apply=common_pb2.CLASSIFICATION_FUNCTION_NONE),
            ClassifyParameters(function="none"),
        ),
        (Rerank(), RerankParameters()),
        (Rerank(truncate=False), RerankParameters(Cut(truncate=False))),
        (Rerank(truncation_direction=LEFT), RerankParameters(Cut(side="left"))),
        (Rerank(truncation_direction=RIGHT), RerankParameters(Cut(side="right"))),
        (Rerank(raw_scores=True), RerankParameters(raw=True)),
        (Rerank(raw_scores=False), RerankParameters()),
        # How many and in what form is no matter of the model.
        (Rerank(top_k=1, return_texts=True), RerankParameters()),
        (Tokens(), TokenParameters("none", frozenset({"O"}))),
        (Tokens(aggregation_strategy=text_pb2.AGGREGATION_STRATEGY_NONE), TokenParameters("none")),
        (Tokens(aggregation_strategy=text_pb2.AGGREGATION_STRATEGY_SIMPLE), TokenParameters("simple")),
        (Tokens(aggregation_strategy=text_pb2.AGGREGATION_STRATEGY_FIRST), TokenParameters("first")),
        (Tokens(aggregation_strategy=text_pb2.AGGREGATION_STRATEGY_AVERAGE), TokenParameters("average")),
        (Tokens(aggregation_strategy=text_pb2.AGGREGATION_STRATEGY_MAX), TokenParameters("max")),
        (
            Tokens(ignore_labels=text_pb2.LabelList(labels=["B", "A", "B"])),
            TokenParameters(ignored=frozenset({"A", "B"})),
        ),
        (Tokens(ignore_labels=text_pb2.LabelList()), TokenParameters(ignored=frozenset())),
        (
            Tokens(aggregation_strategy=text_pb2.AGGREGATION_STRATEGY_MAX, stride=0),
            TokenParameters("max", stride=0),
        ),
        (
            Tokens(aggregation_strategy=text_pb2.AGGREGATION_STRATEGY_MAX, stride=7),
            TokenParameters("max", stride=7),
        ),
    ],
)
def test_each_field_reaches_the_parameters(request_: Any, parameters: object) -> None:
    request_.texts.append("text")
    assert parameters == parameters_of(request_)


def test_texts_of_a_classifier_may_have_seconds() -> None:
    plain = ClassifyParameters()
    assert [Call("a", plain, "texts[0]"), Call("", plain, "texts[1]")] == decoded(Classify(texts=["a", ""]))
    # An empty second makes no pair.
    assert [Call(("a", "x"), plain, "texts[0]"), Call("b", plain, "texts[1]")] == decoded(
        Classify(texts=["a", "b"], text_pairs=["x", ""])
    )


@pytest.mark.parametrize("pairs", [["x"], ["x", "y", "z"]])
def test_seconds_that_are_not_as_many_as_texts_are_refused(pairs: list[str]) -> None:
    error = refusal(Classify(texts=["a", "b"], text_pairs=pairs))
    assert "text_pairs" == error.field
    assert f"{len(pairs)} text_pairs don't go with 2 texts" in str(error)


def test_a_query_goes_before_each_text() -> None:
    calls = decoded(Rerank(query="q", texts=["a", "b"]))
    assert [(("q", "a"), "texts[0]"), (("q", "b"), "texts[1]")] == [
        (call.input, call.field) for call in calls
    ]
    assert ("", "a") == decoded(Rerank(texts=["a"]))[0].input


LONG = "b" * 30


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (Classify(texts=["a", "b"], text_pairs=["c", LONG]), "text_pairs[1]"),
        (Rerank(query=LONG, texts=["a"]), "query"),
        (ZeroShot(texts=["a"], candidate_labels=["c", LONG]), "candidate_labels[1]"),
    ],
)
def test_a_second_text_of_too_many_bytes_is_refused_with_its_place(request_: Message, field: str) -> None:
    assert (field, "max_text_bytes", "29") == exceeded(request_, InputLimits(max_text_bytes=29))


def test_each_text_is_asked_about_each_label_text_by_text() -> None:
    calls = decoded(ZeroShot(texts=["a", "b"], candidate_labels=["x", "y", "x"]))
    asked = [f"This example is {label}." for label in "xyx"]
    plain = ZeroShotParameters()
    assert [
        Call((text, hypothesis), plain, f"texts[{index}]")
        for index, text in enumerate("ab")
        for hypothesis in asked
    ] == calls


def test_a_label_stands_wherever_the_template_has_braces_even_if_it_has_some_itself() -> None:
    request = ZeroShot(texts=["a"], candidate_labels=["{}", "{x}"], hypothesis_template="{} or not {}")
    assert ["{} or not {}", "{x} or not {x}"] == [call.input[1] for call in decoded(request)]


@pytest.mark.parametrize("template", ["", "This is it.", "{", "{ }", "{0}"])
def test_a_template_without_a_place_for_the_label_is_refused(template: str) -> None:
    error = refusal(ZeroShot(texts=["a"], candidate_labels=["x"], hypothesis_template=template))
    assert "hypothesis_template" == error.field
    assert f'{template!r} has no "{{}}"' in str(error)


def test_no_labels_are_refused() -> None:
    assert "candidate_labels" == refusal(ZeroShot(texts=["a"])).field


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ZeroShot(texts=["a"], candidate_labels=["x"] * 1001), "candidate_labels"),
        (Tokens(texts=["a"], ignore_labels=text_pb2.LabelList(labels=["x"] * 1001)), "ignore_labels"),
    ],
)
def test_more_labels_than_a_call_may_name_are_refused(request_: Message, field: str) -> None:
    assert (field, "max_labels", "1000") == exceeded(request_)
    assert decoded(request_, InputLimits(max_labels=1001))


def test_more_texts_with_labels_than_a_queue_holds_are_refused() -> None:
    limits = InputLimits(max_queue=6)
    labels = ["x", "y", "z"]
    assert 6 == len(decoded(ZeroShot(texts=["a"] * 2, candidate_labels=labels), limits))
    request = ZeroShot(texts=["a"] * 3, candidate_labels=labels)
    assert ("candidate_labels", "max_queue", "6") == exceeded(request, limits)
    assert "3 texts × 3 labels" in str(refusal(request, limits))


@pytest.mark.parametrize("stride", [0, 8])
def test_windows_that_overlap_need_entities_to_be_joined(stride: int) -> None:
    for strategy in (text_pb2.AGGREGATION_STRATEGY_UNSPECIFIED, text_pb2.AGGREGATION_STRATEGY_NONE):
        error = refusal(Tokens(texts=["a"], aggregation_strategy=strategy, stride=stride))
        assert "stride" == error.field
        assert "need an aggregation_strategy" in str(error)


def scores_of(response: Any) -> list[list[tuple[str, float]]]:
    return [[(scored.label, scored.score) for scored in result.labels] for result in response.results]


def test_labels_travel_in_their_order_text_by_text() -> None:
    first, second = [("b", 0.75), ("a", 0.25)], [("a", 1.0)]
    assert [first, second, []] == scores_of(encoded(Classify(texts=["x", "y", "z"]), first, second, []))


def test_texts_are_ranked_best_first_and_equals_keep_their_order() -> None:
    response = encoded(Rerank(texts=["a", "b", "c", "d"]), 0.25, 0.5, 0.75, 0.5)
    ranked = [(result.index, result.score, result.text) for result in response.results]
    assert [(2, 0.75, ""), (1, 0.5, ""), (3, 0.5, ""), (0, 0.25, "")] == ranked


@pytest.mark.parametrize(("top_k", "indices"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 0]), (9, [1, 2, 0])])
def test_top_k_keeps_the_best_with_their_texts_where_asked_for(top_k: int, indices: list[int]) -> None:
    request = Rerank(texts=["a", "b", "c"], top_k=top_k, return_texts=True)
    results = encoded(request, -3.0, 4.0, -2.0).results
    assert [(index, "abc"[index]) for index in indices] == [(result.index, result.text) for result in results]


# For each text and label: the logits of "it doesn't follow" and "it follows".
LOGITS = np.array([[[1, 0], [-2, 3], [0.5, 1]], [[0, 0], [4, -4], [1, 2]]], np.float32)
ZERO_SHOT = ZeroShot(texts=["s", "t"], candidate_labels=["x", "y", "z"])


def by_hand(logits: Floats, *, each: bool) -> list[float]:
    """Scores of the labels of one text."""
    if each:
        return [math.exp(yes) / (math.exp(yes) + math.exp(no)) for no, yes in logits.tolist()]
    total = sum(math.exp(yes) for _, yes in logits.tolist())
    return [math.exp(yes) / total for _, yes in logits.tolist()]


@pytest.mark.parametrize("each", [False, True])
def test_zero_shot_labels_exclude_each_other_unless_each_is_judged_by_itself(each: bool) -> None:
    request = ZeroShot()
    request.CopyFrom(ZERO_SHOT)
    request.multi_label = each
    results = scores_of(encoded(request, *LOGITS.reshape(-1, 2)))
    for logits, found in zip(LOGITS, results, strict=True):
        expected = dict(zip("xyz", by_hand(logits, each=each), strict=True))
        assert sorted(expected, key=lambda label: -expected[label]) == [label for label, _ in found]
        assert dict(found) == pytest.approx(expected, rel=1e-6)
        assert each or sum(score for _, score in found) == pytest.approx(1)


def test_a_lone_zero_shot_label_is_judged_by_itself() -> None:
    request = ZeroShot(texts=["s", "t"], candidate_labels=["x"])
    results = scores_of(encoded(request, LOGITS[0, 0], LOGITS[1, 1]))
    expected = [by_hand(LOGITS[0, :1], each=True), by_hand(LOGITS[1, 1:2], each=True)]
    np.testing.assert_allclose([[score for _, score in found] for found in results], expected, rtol=1e-6)


def test_equal_zero_shot_labels_are_all_answered_the_last_one_first() -> None:
    """The library sorts upwards and turns the order round."""
    equal = np.zeros((3, 2), np.float32)
    (found,) = scores_of(encoded(ZeroShot(texts=["s"], candidate_labels=["x", "y", "z"]), *equal))
    assert ["z", "y", "x"] == [label for label, _ in found]
    assert [1 / 3] * 3 == pytest.approx([score for _, score in found])


def test_a_token_has_an_entity_and_an_index_and_a_group_has_neither() -> None:
    found = [Entity("B-PER", 0.5, "Ada", 0, 3, 1), Entity("O", 0.25, "##s", 3, 4, 2)]
    single, none = encoded(Tokens(texts=["a", "b"]), found, []).results
    assert [] == list(none.entities)
    assert [("B-PER", "", 0.5, "Ada", 0, 3, 1), ("O", "", 0.25, "##s", 3, 4, 2)] == [
        (one.entity, one.entity_group, one.score, one.word, one.start, one.end, one.index)
        for one in single.entities
    ]
    request = Tokens(texts=["a"], aggregation_strategy=text_pb2.AGGREGATION_STRATEGY_SIMPLE)
    (group,) = encoded(request, [Entity("PER", 0.5, "Ada", 0, 3)]).results
    (one,) = group.entities
    assert ("", "PER", 0) == (one.entity, one.entity_group, one.index)


@pytest.mark.parametrize(
    "logits", [[0.0, 0.0, 0.0], [1.0, -2.0, 3.5], [-1000.0, 1000.0, 0.0], [88.0, 89.0, -90.0]]
)
def test_softmax_and_sigmoid_are_those_of_the_books_for_logits_of_any_size(logits: list[float]) -> None:
    array, exact = np.array(logits, np.float32), np.array(logits, np.longdouble)
    np.testing.assert_allclose(softmax(array), np.exp(exact) / np.exp(exact).sum(), atol=1e-6)
    np.testing.assert_allclose(sigmoid(array), 1 / (1 + np.exp(-exact)), atol=1e-6)
    assert {np.dtype(np.float32)} == {softmax(array).dtype, sigmoid(array).dtype}


@pytest.mark.parametrize(
    ("problem", "labels", "function"),
    [
        ("regression", 1, "none"),
        ("regression", 3, "none"),
        ("multi_label_classification", 3, "sigmoid"),
        ("single_label_classification", 3, "softmax"),
        ("single_label_classification", 1, "sigmoid"),
        (None, 2, "softmax"),
        (None, 1, "sigmoid"),
    ],
)
def test_a_models_files_say_how_its_logits_become_scores(
    problem: str | None, labels: int, function: str
) -> None:
    assert function == usual_function(SimpleNamespace(problem_type=problem, num_labels=labels))


def labelled(*labels: str, **config: object) -> Any:
    """A model of these labels, as far as a head looks at it."""
    named = dict(enumerate(labels))
    return SimpleNamespace(
        folder=SimpleNamespace(name="m"),
        config=SimpleNamespace(
            id2label=named,
            label2id={label: i for i, label in named.items()},
            num_labels=len(labels),
            **config,
        ),
    )


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none", None])
def test_a_text_gets_its_best_labels_first_and_equals_in_the_models_order(
    function: FunctionName | None,
) -> None:
    head = ClassifyHead(labelled("a", "b", "c", "d"))
    logits = np.array([0, 1, 2, 1], np.float32)
    found = head.answer(Call("x", ClassifyParameters(function=function)), (), [logits])
    assert ["c", "b", "d", "a"] == [label for label, _ in found]
    scores = {"none": logits, "sigmoid": sigmoid(logits)}.get(function or "", softmax(logits))
    assert [scores[index] for index in (2, 1, 3, 0)] == [score for _, score in found]
    assert found[:2] == head.answer(Call("x", ClassifyParameters(function=function, top_k=2)), (), [logits])


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (("contradiction", "neutral", "entailment"), [0, 2]),
        (("ENTAILMENT", "neutral", "contradiction"), [2, 0]),
        (("not", "Entails", "perhaps"), [0, 1]),
        (("entailment", "not_entailment"), [1, 0]),
        (("LABEL_0", "LABEL_1", "LABEL_2"), [0, 2]),
    ],
)
def test_zero_shot_finds_the_logits_of_what_follows_and_what_contradicts(
    labels: tuple[str, ...], columns: list[int]
) -> None:
    logits = np.arange(len(labels), dtype=np.float32)
    found = ZeroShotHead(labelled(*labels)).answer(Call(("x", "y"), ZeroShotParameters()), (), [logits])
    assert columns == found.tolist()


def test_a_ranker_has_one_label_and_a_score_between_0_and_1_unless_raw() -> None:
    head = RerankHead(labelled("LABEL_0"))
    row = [np.array([3], np.float32)]
    assert 3.0 == head.answer(Call(("q", "t"), RerankParameters(raw=True)), (), row)
    score = head.answer(Call(("q", "t"), RerankParameters()), (), row)
    assert 1 / (1 + math.exp(-3)) == pytest.approx(score)
    with pytest.raises(ModelLoadError, match="its 2 labels don't rank"):
        RerankHead(labelled("a", "b"))
