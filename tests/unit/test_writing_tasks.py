"""The tasks that write: SummarizeText, TranslateText, TransformText."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from task_cases import decoded, encoded, exceeded, parameters_of, refusal, task_of

from standpipe.v1 import common_pb2, text_pb2
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Written
from standpipe_server.programs import Generation, Prompt
from standpipe_server.tasks import InputLimits
from standpipe_server.tasks.summarize_text import SummarizeHead, SummarizeParameters
from standpipe_server.tasks.transform_text import TransformParameters
from standpipe_server.tasks.translate_text import TranslateHead, TranslateParameters
from standpipe_server.tasks.writing import PlainHead, WriteParameters

Parameters = common_pb2.GenerationParameters
Request = text_pb2.SummarizeTextRequest | text_pb2.TranslateTextRequest | text_pb2.TransformTextRequest
REQUESTS: dict[type[Request], type[WriteParameters]] = {
    text_pb2.SummarizeTextRequest: SummarizeParameters,
    text_pb2.TranslateTextRequest: TranslateParameters,
    text_pb2.TransformTextRequest: TransformParameters,
}
each = pytest.mark.parametrize("request_", REQUESTS)
Transform = text_pb2.TransformTextRequest
Translate = text_pb2.TranslateTextRequest

OPTIONS: dict[str, Any] = {
    "max_new_tokens": 7,
    "min_new_tokens": 3,
    "do_sample": True,
    "temperature": 0.5,
    "top_k": 9,
    "top_p": 0.25,
    "typical_p": 0.75,
    "min_p": 0.125,
    "num_beams": 4,
    "early_stopping": True,
    "length_penalty": -1.5,
    "repetition_penalty": 1.25,
    "no_repeat_ngram_size": 2,
}


@each
def test_what_is_left_out_is_left_to_the_model(request_: type[Request]) -> None:
    assert REQUESTS[request_](Generation()) == parameters_of(request_(texts=["a"]))
    assert REQUESTS[request_](Generation()) == parameters_of(
        request_(texts=["a"], parameters=Parameters(), truncate=True)
    )


@each
@pytest.mark.parametrize(
    ("fields", "generation"),
    [
        *(
            ({"parameters": Parameters(**{name: value})}, Generation(((name, value),)))
            for name, value in OPTIONS.items()
        ),
        ({"parameters": Parameters(do_sample=False)}, Generation((("do_sample", False),))),
        ({"parameters": Parameters(top_k=0)}, Generation((("top_k", 0),))),
        ({"parameters": Parameters(seed=0)}, Generation(seed=0)),
        ({"parameters": Parameters(seed=2**64 - 1)}, Generation(seed=2**64 - 1)),
        ({"truncate": False}, Generation(truncate=False)),
        ({"clean_up_tokenization_spaces": True}, Generation(clean_up=True)),
        ({"clean_up_tokenization_spaces": False}, Generation(clean_up=False)),
    ],
)
def test_each_field_reaches_the_generation(
    request_: type[Request], fields: dict[str, Any], generation: Generation
) -> None:
    assert generation == parameters_of(request_(texts=["a"], **fields)).generation


def test_all_parameters_may_be_given_together() -> None:
    request = Transform(texts=["a"], parameters=Parameters(**OPTIONS, seed=1))
    generation = parameters_of(request).generation
    assert (OPTIONS, 1) == (dict(generation.options), generation.seed)
    assert {*OPTIONS, "seed"} == {field.name for field in Parameters.DESCRIPTOR.fields}


def test_calls_of_other_parameters_run_in_another_batch() -> None:
    task = task_of(Transform())
    plain, sampled = (
        decoded(Transform(texts=["a"], parameters=Parameters(do_sample=sample)))[0]
        for sample in (False, True)
    )
    assert task.key(plain) != task.key(sampled)
    assert task.key(plain) == task.key(
        decoded(Transform(texts=["b"], parameters=Parameters(do_sample=False)))[0]
    )


def test_languages_reach_the_parameters() -> None:
    assert TranslateParameters(Generation(), "en", "fr") == parameters_of(
        Translate(texts=["a"], source_language="en", target_language="fr")
    )
    assert TranslateParameters(Generation(), "en", None) == parameters_of(
        Translate(texts=["a"], source_language="en")
    )
    assert TranslateParameters(Generation(), None, "fr") == parameters_of(
        Translate(texts=["a"], target_language="fr")
    )


@each
@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("max_new_tokens", 0, "0 isn't at least 1"),
        ("temperature", 0.0, "0 isn't at least 0.01 and at most 100"),
        ("temperature", -1.0, "-1 isn't at least 0.01"),
        ("temperature", math.nan, "nan isn't at least 0.01"),
        ("temperature", math.inf, "inf isn't at least 0.01"),
        ("top_p", 0.0, "0 isn't above 0 and at most 1"),
        ("top_p", 1.5, "1.5 isn't above 0 and at most 1"),
        ("typical_p", 0.0, "0 isn't above 0 and at most 1"),
        ("typical_p", 2.0, "2 isn't above 0 and at most 1"),
        ("min_p", -0.5, "-0.5 isn't at least 0 and at most 1"),
        ("min_p", 1.5, "1.5 isn't at least 0 and at most 1"),
        ("min_p", math.nan, "nan isn't at least 0"),
        ("num_beams", 0, "0 isn't at least 1 and at most 16"),
        ("num_beams", 17, "17 isn't at least 1 and at most 16"),
        ("length_penalty", math.nan, "nan isn't"),
        ("length_penalty", -math.inf, "-inf isn't"),
        ("length_penalty", 10.5, "10.5 isn't at least -10 and at most 10"),
        ("repetition_penalty", 0.0, "0 isn't at least 0.01"),
        ("repetition_penalty", -2.0, "-2 isn't at least 0.01"),
    ],
)
def test_a_parameter_out_of_its_range_is_refused_by_its_name(
    request_: type[Request], name: str, value: float, problem: str
) -> None:
    parameters = Parameters()
    setattr(parameters, name, value)
    error = refusal(request_(texts=["a"], parameters=parameters))
    assert f"parameters.{name}" == error.field
    assert problem in str(error)


def test_an_end_that_no_float_holds_is_part_of_its_range_too() -> None:
    request = Transform(texts=["a"], parameters=Parameters(temperature=0.01))
    (call,) = decoded(request)
    assert [("temperature", pytest.approx(0.01))] == list(call.parameters.generation.options)


@pytest.mark.parametrize(
    ("name", "value"),
    [("top_p", 1.0), ("typical_p", 1.0), ("min_p", 0.0), ("min_p", 1.0), ("num_beams", 16), ("num_beams", 1)],
)
def test_the_ends_of_a_range_are_part_of_it(name: str, value: Any) -> None:
    request = Transform(texts=["a"], parameters=Parameters(**{name: value}))
    assert ((name, value),) == parameters_of(request).generation.options


@each
@pytest.mark.parametrize("name", ["max_new_tokens", "min_new_tokens"])
def test_more_tokens_than_a_call_may_have_written_are_refused(request_: type[Request], name: str) -> None:
    def asking(count: int) -> Request:
        parameters = Parameters()
        setattr(parameters, name, count)
        return request_(texts=["a"], parameters=parameters)

    assert decoded(asking(1024))
    assert (f"parameters.{name}", "max_new_tokens", "1024") == exceeded(asking(1025))
    assert (f"parameters.{name}", "max_new_tokens", "9") == exceeded(
        asking(10), InputLimits(max_new_tokens=9)
    )


def test_a_least_length_above_the_greatest_is_refused() -> None:
    error = refusal(Transform(texts=["a"], parameters=Parameters(min_new_tokens=6, max_new_tokens=5)))
    assert "parameters.min_new_tokens" == error.field
    assert decoded(Transform(texts=["a"], parameters=Parameters(min_new_tokens=5, max_new_tokens=5)))


@pytest.mark.parametrize("field", ["source_language", "target_language"])
def test_what_is_longer_than_a_name_is_no_language(field: str) -> None:
    def asking(language: str) -> Request:
        request = Translate(texts=["a"])
        setattr(request, field, language)
        return request

    assert decoded(asking("é" * 64))
    assert (field, "language", "64") == exceeded(asking("é" * 65))


@each
def test_what_was_written_travels_in_order_with_its_tokens(request_: type[Request]) -> None:
    results = encoded(request_(texts=["a", "b"]), (Written("one", 3),), (Written("", 1),)).results
    name = {"Summarize": "summary_text", "Translate": "translation_text", "Transform": "generated_text"}[
        request_.DESCRIPTOR.name.removesuffix("TextRequest")
    ]
    assert [("one", 3), ("", 1)] == [(getattr(one, name), one.generated_tokens) for one in results]


def model(specific: dict[str, Any] | None = None, words: tuple[str, ...] = (), **tokenizer: object) -> Any:
    """A model, as far as a head looks at it."""
    return SimpleNamespace(
        config=SimpleNamespace(task_specific_params=specific),
        tokenizer=SimpleNamespace(get_vocab=lambda: dict.fromkeys(words, 0), **tokenizer),
    )


@pytest.mark.parametrize(
    ("specific", "prefix"),
    [
        ({"summarization": {"prefix": "summarize: "}}, "summarize: "),
        ({"summarization": {"prefix": ""}}, ""),
        ({"summarization": {}}, ""),
        ({"translation_en_to_de": {"prefix": "x"}}, ""),
        (None, ""),
    ],
)
def test_a_summary_begins_with_what_the_models_files_ask_for(
    specific: dict[str, dict[str, str]] | None, prefix: str
) -> None:
    head = SummarizeHead(model(specific))
    assert Prompt(prefix + "text") == head.prompt(Call("text", SummarizeParameters()))


def test_a_transformation_reads_the_text_as_it_is() -> None:
    generation = Generation((("num_beams", 2),), seed=3)
    call = Call("summarize: text", TransformParameters(generation))
    head = PlainHead(model({"summarization": {"prefix": "x"}}))
    assert (Prompt("summarize: text"), generation) == (head.prompt(call), head.generation(call))


# A tokenizer like M2M100's, with names like NLLB's too.
IDS = {"</s>": 2, "__en__": 5, "__fr__": 6, "deu_Latn": 7}
KNOWS_TOKENS = model(
    src_lang="en", all_special_tokens=list(IDS), convert_tokens_to_ids=lambda token: IDS[token]
)
KNOWS_PREFIXES = model(
    {
        "summarization": {"prefix": "s: "},
        "translation_en_to_de": {"prefix": "translate English to German: "},
        "translation_en_to_fr": {"prefix": None},
    }
)
KNOWS_WORDS = model(words=("a", ">>fra<<", ">>deu<<", ">>"))
KNOWS_NOTHING = model(words=("a",))


def prompt(model_: Any, source: str | None = None, target: str | None = None) -> Prompt:
    return TranslateHead(model_).prompt(Call("text", TranslateParameters(Generation(), source, target)))


@pytest.mark.parametrize(
    ("model_", "source", "target", "expected"),
    [
        # The tokenizer keeps what the call before said, so the usual language is stated too.
        (KNOWS_TOKENS, None, None, Prompt("text", "en")),
        (KNOWS_TOKENS, "fr", None, Prompt("text", "fr")),
        (KNOWS_TOKENS, None, "fr", Prompt("text", "en", 6)),
        (KNOWS_TOKENS, "fr", "deu_Latn", Prompt("text", "fr", 7)),
        (KNOWS_PREFIXES, None, None, Prompt("text")),
        (KNOWS_PREFIXES, "en", "de", Prompt("translate English to German: text")),
        (KNOWS_PREFIXES, "en", "fr", Prompt("text")),
        (KNOWS_WORDS, None, None, Prompt("text")),
        (KNOWS_WORDS, None, "fra", Prompt(">>fra<< text")),
        (KNOWS_WORDS, "eng", "deu", Prompt(">>deu<< text")),
        (KNOWS_NOTHING, None, None, Prompt("text")),
    ],
)
def test_a_model_is_told_the_languages_in_its_own_way(
    model_: Any, source: str | None, target: str | None, expected: Prompt
) -> None:
    assert expected == prompt(model_, source, target)


@pytest.mark.parametrize(
    ("model_", "source", "target", "field", "problem"),
    [
        (KNOWS_TOKENS, "tlh", None, "source_language", "doesn't know the language 'tlh'; it knows"),
        (KNOWS_TOKENS, "en", "tlh", "target_language", "doesn't know the language 'tlh'; it knows"),
        (KNOWS_TOKENS, "__en__", None, "source_language", "it knows deu_Latn, en, fr"),
        (KNOWS_TOKENS, None, "</s>", "target_language", "it knows deu_Latn, en, fr"),
        (KNOWS_PREFIXES, "en", "tlh", "target_language", "it translates en to de, en to fr"),
        (KNOWS_PREFIXES, "en", None, "target_language", "it translates en to de"),
        (KNOWS_PREFIXES, None, "de", "source_language", "it translates en to de"),
        (KNOWS_WORDS, None, "tlh", "target_language", "it knows deu, fra"),
        (KNOWS_NOTHING, "en", None, "source_language", "leave source_language out"),
        (KNOWS_NOTHING, None, "fr", "target_language", "leave target_language out"),
    ],
)
def test_a_language_that_a_model_does_not_know_is_refused(
    model_: Any, source: str | None, target: str | None, field: str, problem: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        prompt(model_, source, target)
    assert field == caught.value.field
    assert problem in str(caught.value)


def test_of_many_languages_a_few_are_told() -> None:
    many = model(words=tuple(f">>l{n:02}<<" for n in range(20)))
    with pytest.raises(InvalidInputError, match=r"l00, l01, .*, l07 and 12 more$"):
        prompt(many, None, "x")
