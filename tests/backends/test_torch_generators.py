"""Both of torch's engines with a tiny Llama, held against the library's own ``generate``."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from standpipe_server.backends.causal import ThreadGenerator
from standpipe_server.backends.torch.causal import FirstAble, engine
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Finish
from standpipe_server.programs import Constraint
from tiny_torch import GREEDY, PROMPTS, SPEC, WILD, Tiny, call, chunks, generator_of, text, texts


@pytest.fixture(scope="module")
def tiny(tiny_llama: Path) -> Iterator[Tiny]:
    with Tiny.of(tiny_llama) as tiny:
        yield tiny


@pytest.fixture(scope="module", params=["plain", "continuous"])
def generator(tiny: Tiny, request: pytest.FixtureRequest) -> Iterator[ThreadGenerator]:
    """Plain generate alone, and both engines as they are served."""
    made = tiny.plain(tiny.model) if request.param == "plain" else engine(tiny.model, tiny.reader(), SPEC)
    assert (request.param == "continuous") == isinstance(made, FirstAble)
    with generator_of(tiny, made) as generator:
        yield generator


async def test_greedy_texts_are_generates_own_alone_and_side_by_side(
    tiny: Tiny, generator: ThreadGenerator
) -> None:
    written = [tiny.generate(prompt, **GREEDY)[0] for prompt in PROMPTS]
    expected = [
        (
            tiny.decode(ids),
            Finish("stop" if ids[-1] == 2 else "length", len(tiny.ids(prompt)), len(ids)),
        )
        for prompt, ids in zip(PROMPTS, written, strict=True)
    ]
    assert {"stop", "length"} == {finish.reason for _, finish in expected}
    alone = [await texts(generator, call(prompt, **GREEDY)) for prompt in PROMPTS]
    assert expected == [result[0] for result in alone]
    together: list[list[tuple[str, Finish]]] = []
    for part in (PROMPTS[:16], PROMPTS[4:]):
        together += await asyncio.gather(*(texts(generator, call(prompt, **GREEDY)) for prompt in part))
    assert expected[:16] + expected[4:] == [result[0] for result in together]


async def test_a_text_is_told_as_it_is_written(generator: ThreadGenerator) -> None:
    told = await chunks(generator, call("3 water", max_new_tokens=200))
    # A step of the tiny model may be over before the last one's chunk is made.
    assert len(told) > 3
    assert [None] * (len(told) - 1) == [chunk.finish for chunk in told[:-1]]


async def test_a_seed_means_the_same_alone_and_beside_others(tiny: Tiny, generator: ThreadGenerator) -> None:
    seeded = call("water", seed=7, **WILD)
    alone = await texts(generator, seeded)
    with generator_of(tiny, tiny.plain(tiny.fresh())) as other:
        others = [texts(each, call("water", **WILD)) for each in (generator, other) for _ in range(8)]
        results = await asyncio.gather(*others, texts(generator, seeded), texts(other, seeded))
    assert alone == results[-1] == results[-2]
    assert len({result[0][0] for result in results}) > 5
    assert alone != await texts(generator, call("water", seed=8, **WILD))


async def test_what_has_no_seed_is_drawn_anew_also_after_what_has_one(generator: ThreadGenerator) -> None:
    drawn = set()
    for _ in range(3):
        await text(generator, "water", seed=7, **WILD)
        drawn.add(await text(generator, "water", **WILD))
    assert 3 == len(drawn)


async def test_several_texts_are_drawn_independently(generator: ThreadGenerator) -> None:
    first, second = await texts(generator, call("water", seed=7, sequences=2, **WILD))
    assert first[0] != second[0]
    assert [first, second] == await texts(generator, call("water", seed=7, sequences=2, **WILD))


async def test_a_text_of_several_may_end_before_the_others(tiny: Tiny, generator: ThreadGenerator) -> None:
    several = await texts(
        generator, call("water", seed=3, sequences=8, stops=("e", "o"), **WILD | {"max_new_tokens": 60})
    )
    assert len({finish.generated_tokens for _, finish in several}) > 3
    for written, finish in several:
        assert finish.reason == "stop_string" or not {"e", "o"} & set(written)


async def test_beams_are_generates_own_the_best_first(tiny: Tiny, generator: ThreadGenerator) -> None:
    options: dict[str, Any] = {"max_new_tokens": 12, "num_beams": 4, "length_penalty": 0.5}
    expected = tiny.generate("water", num_return_sequences=3, **options)
    found = await texts(generator, call("water", sequences=3, **options))
    assert [tiny.decode(ids) for ids in expected] == [written for written, _ in found]


async def test_beams_end_at_stop_strings_and_tell_logprobs(tiny: Tiny, generator: ThreadGenerator) -> None:
    options: dict[str, Any] = {"max_new_tokens": 20, "num_beams": 3}
    stop = "e"
    expected = tiny.decode(
        tiny.generate("water", stop_strings=[stop], tokenizer=tiny.tokenizer, **options)[0]
    )
    told = await chunks(generator, call("water", stops=(stop,), logprobs=True, **options))
    assert [1, stop] == [len(told), told[0].finish.stop_string if told[0].finish else None]
    assert expected == told[0].text + stop
    ids = [said.id for said in told[0].logprobs]
    assert logprobs_of(tiny, "water", ids) == pytest.approx(
        [said.logprob for said in told[0].logprobs], abs=1e-4
    )


def logprobs_of(tiny: Tiny, prompt: str, written: list[int]) -> list[float]:
    ids = tiny.ids(prompt)
    with torch.inference_mode():
        logits = tiny.model(torch.tensor([ids + written])).logits[0, len(ids) - 1 : -1]
    found: list[float] = logits.log_softmax(-1)[range(len(written)), written].tolist()
    return found


@pytest.mark.parametrize(
    "options",
    [{}, {"repetition_penalty": 1.5}, {"do_sample": True, "temperature": 0.3, "top_k": 3}],
    ids=["greedy", "penalized", "drawn"],
)
async def test_logprobs_are_the_models_own_whatever_is_done_to_them(
    tiny: Tiny, generator: ThreadGenerator, options: dict[str, Any]
) -> None:
    told = await chunks(generator, call("water", logprobs=True, max_new_tokens=12, **options))
    said = [one for chunk in told for one in chunk.logprobs]
    assert logprobs_of(tiny, "water", [one.id for one in said]) == pytest.approx(
        [one.logprob for one in said], abs=1e-4
    )
    assert [tiny.tokenizer.decode([one.id]) for one in said] == [one.token for one in said]
    assert told[-1].finish is not None
    assert len(said) == told[-1].finish.generated_tokens


async def test_every_string_of_a_text_can_stop_it(tiny: Tiny, generator: ThreadGenerator) -> None:
    whole = tiny.text("3 water", 40)
    stops = sorted({whole[start : start + size] for size in (1, 3, 8) for start in range(0, len(whole), 3)})
    for stop in (stop for stop in stops if "\ufffd" not in stop):
        [(written, finish)] = await texts(generator, call("3 water", stops=(stop, "never"), **GREEDY))
        assert (whole[: whole.index(stop)], "stop_string", stop) == (
            written,
            finish.reason,
            finish.stop_string,
        )


async def test_the_models_own_words_for_options_are_taken(tiny: Tiny, generator: ThreadGenerator) -> None:
    for options in (
        {"repetition_penalty": 1.7},
        {"no_repeat_ngram_size": 2},
        {"min_new_tokens": 40},
    ):
        expected = tiny.decode(tiny.generate("1 é日", **GREEDY, **options)[0])
        assert expected == await text(generator, "1 é日", **GREEDY, **options)


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}, "age": {"type": "integer", "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ASKED: list[dict[str, Any]] = [
    {"do_sample": False},
    {"do_sample": True, "temperature": 5.0, "top_k": 0, "sequences": 4},
    {"num_beams": 3, "sequences": 3},
    {"min_new_tokens": 60},
]


@pytest.mark.parametrize("options", ASKED, ids=["greedy", "drawn", "beams", "least"])
@pytest.mark.parametrize(
    "constraint",
    [
        Constraint("json_schema", json.dumps(SCHEMA)),
        Constraint("regex", "(yes|no), [0-9]{2}"),
        Constraint("choices", choices=("alpha", "be|ta", "alphabet")),
    ],
    ids=lambda constraint: constraint.form,
)
async def test_what_is_written_has_the_form(
    generator: ThreadGenerator, constraint: Constraint, options: dict[str, Any]
) -> None:
    found = await texts(generator, call("water", constraint=constraint, max_new_tokens=80, **options))
    for written, finish in found:
        assert "stop" == finish.reason
        if constraint.form == "json_schema":
            person = json.loads(written)
            assert ["name", "age"] == list(person)
            assert len(person["name"]) <= 5
            assert person["age"] <= 99
        elif constraint.form == "regex":
            assert re.fullmatch(constraint.value, written)
        else:
            assert written in constraint.choices


@pytest.mark.parametrize(
    ("wrong", "message", "field"),
    [
        (call(""), "no tokens", ""),
        (call("water " * 600), "the model holds 512", ""),
        (call("a", sequences=2, do_sample=False), "need do_sample or num_beams", "num_return_sequences"),
        (call("a", sequences=3, num_beams=2), "2 beams don't give 3 texts", "num_return_sequences"),
        (call("a", constraint=Constraint("regex", "(")), "unclosed group", "constraint.regex"),
    ],
)
async def test_what_cant_be_done_is_refused_by_name(
    generator: ThreadGenerator, wrong: Call, message: str, field: str
) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        await chunks(generator, wrong)
    assert field == caught.value.field
