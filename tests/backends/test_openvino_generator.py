"""Writing with openvino-genai: a tiny Llama in fp32 against the pipeline itself and against transformers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
import transformers

from generators import BLOCK, PROMPTS, SCHEMA, WILD, call, loaded, side_by_side, text, texts
from standpipe_server.backends.openvino.generator import PipelineSettings
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call
from standpipe_server.programs import Constraint


def by_the_pipeline(generator: Any, prompt: str, **options: Any) -> list[int]:
    """What openvino-genai writes, asked by itself."""
    settings: PipelineSettings = generator._engine._make.args[0]
    pipeline = settings.pipeline()
    config = pipeline.get_config()
    config.update_generation_config(**options)
    ids = generator._reader.fast.encode(prompt).ids
    handle = pipeline.add_request(0, openvino.Tensor(np.array([ids], np.int64)), config)
    written: list[int] = []
    while pipeline.has_non_finished_requests():
        pipeline.step()
        while handle.can_read():
            (output,) = handle.read().values()
            written += output.generated_ids
    return written


async def test_alone_and_side_by_side_it_is_what_the_pipeline_writes(generator: Any) -> None:
    oracles = [by_the_pipeline(generator, prompt, max_new_tokens=48) for prompt in PROMPTS]
    asked = [call(prompt, max_new_tokens=48, writing={"logprobs": True}) for prompt in PROMPTS]
    alone = [await text(generator, one) for one in asked]
    assert oracles == [one.ids for one in alone]
    assert len(set(map(tuple, oracles))) > 15
    together = await side_by_side(generator, asked)
    assert [(one.text, one.ids, one.finish) for one in alone] == [
        (one.text, one.ids, one.finish) for one in together
    ]
    decode = generator._reader.fast.decode
    assert [decode(ids) for ids in oracles] == [one.text for one in alone]


@pytest.fixture(scope="module")
def library(tiny_llama: Path) -> Iterator[tuple[Any, Any]]:
    """The same model in transformers, and its tokenizer."""
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
    threads = torch.get_num_threads()
    # More would only wait for each other.
    torch.set_num_threads(1)
    yield model, transformers.AutoTokenizer.from_pretrained(tiny_llama)
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("options", "sequences"),
    [
        ({}, 1),
        ({"repetition_penalty": 1.5}, 1),
        ({"min_new_tokens": 16}, 1),
        ({"do_sample": True, "top_k": 1}, 1),
        ({"do_sample": True, "top_p": 1e-6}, 1),
        ({"do_sample": True, "min_p": 1.0}, 1),
        ({"num_beams": 3}, 1),
        ({"num_beams": 3}, 2),
        ({"num_beams": 4, "early_stopping": True}, 4),
        ({"num_beams": 3, "min_new_tokens": 16}, 2),
        ({"num_beams": 3, "length_penalty": -2.0}, 2),
        ({"num_beams": 3, "length_penalty": 2.0, "no_repeat_ngram_size": 2}, 2),
    ],
    ids=str,
)
async def test_it_writes_what_transformers_writes(
    generator: Any, library: tuple[Any, Any], options: dict[str, Any], sequences: int
) -> None:
    model, tokenizer = library
    for prompt in PROMPTS[:6]:
        tokens = tokenizer(prompt, return_tensors="pt")
        ids = model.generate(**tokens, max_new_tokens=16, num_return_sequences=sequences, **options)
        length = tokens["input_ids"].shape[1]
        expected = [tokenizer.decode(row[length:], skip_special_tokens=True) for row in ids]
        asked = call(prompt, writing={"sequences": sequences}, max_new_tokens=16, **options)
        assert expected == [one.text for one in await texts(generator, asked)]


@pytest.mark.parametrize("options", [{}, WILD], ids=["greedy", "drawn"])
async def test_logprobs_are_what_the_model_finds_whatever_is_drawn(
    generator: Any, library: tuple[Any, Any], options: dict[str, Any]
) -> None:
    model, tokenizer = library
    asked = call("hello world", seed=1, writing={"logprobs": True}, max_new_tokens=32, **options)
    written = await text(generator, asked)
    prompt = tokenizer("hello world")["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([prompt + written.ids])).logits[0, len(prompt) - 1 : -1]
    expected = torch.log_softmax(logits, -1)[range(len(written.ids)), written.ids]
    np.testing.assert_allclose([one.logprob for one in written.logprobs], expected, atol=1e-3)
    assert [tokenizer.decode([token]) for token in written.ids] == [one.token for one in written.logprobs]


async def test_a_seed_means_the_same_alone_and_beside_others(generator: Any) -> None:
    asked = [call(prompt, seed=7, max_new_tokens=48, **WILD) for prompt in PROMPTS[:16]]
    alone = [await text(generator, one) for one in asked]
    assert alone == [await text(generator, one) for one in asked]
    assert alone == await side_by_side(generator, asked)
    others = [
        await text(generator, call(PROMPTS[0], seed=seed, max_new_tokens=48, **WILD)) for seed in range(4)
    ]
    assert 4 == len({one.text for one in others})


async def test_without_a_seed_each_text_is_drawn_anew(generator: Any) -> None:
    drawn = [await text(generator, call("hello", max_new_tokens=16, **WILD)) for _ in range(4)]
    assert 4 == len({one.text for one in drawn})


async def test_several_texts_are_drawn_each_with_a_seed_of_its_own(generator: Any) -> None:
    several = call("hello", seed=3, writing={"sequences": 4}, max_new_tokens=16, **WILD)
    drawn = [one.text for one in await texts(generator, several)]
    assert 4 == len(set(drawn))
    first = await text(generator, call("hello", seed=3, max_new_tokens=16, **WILD))
    assert first.text == drawn[0]
    assert drawn == [one.text for one in await texts(generator, several)]


async def test_a_stop_string_ends_the_text_before_itself(generator: Any) -> None:
    for prompt in PROMPTS[:8]:
        whole = await text(generator, call(prompt, max_new_tokens=48))
        stop = whole.text[12:15]
        place = whole.text.find(stop)
        written = await text(
            generator, call(prompt, writing={"stop_strings": ("none such", stop)}, max_new_tokens=48)
        )
        assert (whole.text[:place], "stop_string") == (written.text, written.reason)
        assert written.finish is not None
        assert stop == written.finish.stop_string
        assert written.finish.generated_tokens < 48


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("constraint", "pattern"),
    [
        (Constraint("regex", "[a-c]{2,5}(-[0-9]{2})?"), "[a-c]{2,5}(-[0-9]{2})?"),
        (Constraint("choices", choices=("red", "red wine", "a|b", "水")), r"red|red wine|a\|b|水"),
        (Constraint("choices", choices=("one",)), "one"),
        (
            Constraint("json_schema", json.dumps(SCHEMA)),
            r'\s*\{\s*"a"\s*:\s*[0-9]{1,2}\s*,\s*"b"\s*:\s*"(x|yes)"\s*\}\s*',
        ),
    ],
    ids=["regex", "choices", "choice", "json_schema"],
)
async def test_a_constraint_is_obeyed(
    generator: Any, constraint: Constraint, pattern: str, seed: int
) -> None:
    writing = {"constraint": constraint}
    written = await text(generator, call("hello", seed=seed, writing=writing, max_new_tokens=200, **WILD))
    assert re.fullmatch(pattern, written.text), written.text
    assert "stop" == written.reason
    if constraint.form == "json_schema":
        assert {"a", "b"} == json.loads(written.text).keys()


SHAPELESS = Constraint("json_schema", '{"type":')


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        (call("hello", typical_p=0.5, do_sample=True), "parameters.typical_p", "has no typical_p"),
        (
            call("hello", max_new_tokens=4, writing={"sequences": 2}),
            "num_return_sequences",
            "need do_sample or num_beams",
        ),
        (call("hello", no_repeat_ngram_size=2), "parameters.no_repeat_ngram_size", "with num_beams only"),
        (
            call("hello", max_new_tokens=4, num_beams=2, repetition_penalty=1.5),
            "parameters",
            "not currently supported",
        ),
        (
            call("hello", max_new_tokens=4, writing={"constraint": SHAPELESS}),
            "constraint.json_schema",
            "not JSON",
        ),
        (
            call("hello", max_new_tokens=4, writing={"constraint": Constraint("regex", "(")}),
            "constraint.regex",
            ".",
        ),
        (call("", max_new_tokens=4), "", "no tokens"),
        (call("hello " * 600, max_new_tokens=4), "", "the model holds 512"),
        (call("hello", max_new_tokens=128), "", "more than the 128 that the cache"),
        (call("hello", max_new_tokens=64, num_beams=2), "", "1 tokens and 128 new ones"),
    ],
)
async def test_what_it_cannot_do_is_refused(tiny_llama: Path, asked: Call, field: str, said: str) -> None:
    generator = loaded(tiny_llama, kv_cache_gb=4.5 * BLOCK / 1e9)
    with pytest.raises(InvalidInputError, match=said) as refusal:
        await text(generator, asked)
    assert field == refusal.value.field
    assert "length" == (await text(generator, call("hello", max_new_tokens=127, min_new_tokens=127))).reason
    generator.close()


@pytest.mark.parametrize("prefix_cache", [True, False])
async def test_many_long_texts_finish_in_a_cache_that_holds_one(
    tiny_llama: Path, generator: Any, prefix_cache: bool
) -> None:
    small = loaded(tiny_llama, kv_cache_gb=8.5 * BLOCK / 1e9, prefix_cache=prefix_cache)
    asked = [call(prompt, max_new_tokens=200, min_new_tokens=200) for prompt in PROMPTS]
    alone = [await text(generator, one) for one in asked]
    assert alone == await side_by_side(small, asked)
    small.close()
