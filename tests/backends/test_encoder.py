"""The short way, round a forward pass that notes what it was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig

from standpipe_server.backends.encoder import EmbedRunner, Encoder, Inputs, read_encoder
from standpipe_server.backends.sentence import Floats
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, EmbedParameters, Output

NAMES = frozenset({"input_ids", "attention_mask"})


class Recorder:
    """A forward pass whose every token vector is the token's id."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, inputs: Inputs) -> Floats:
        assert NAMES == set(inputs)
        ids = inputs["input_ids"]
        self.shapes.append(ids.shape)
        return np.repeat(ids[:, :, None].astype(np.float32), 32, axis=2)


@pytest.fixture
def encoder(tiny_bert: Path) -> Encoder:
    return read_encoder(tiny_bert, AutoConfig.from_pretrained(tiny_bert), NAMES)


def calls(texts: list[str], **parameters: object) -> list[Call]:
    return [Call(text, EmbedParameters(**parameters)) for text in texts]  # type: ignore[arg-type]


def test_a_batch_longer_than_was_estimated_runs_in_parts_within_the_bound(encoder: Encoder) -> None:
    forward = Recorder()
    bounded = Encoder(**{**vars(encoder), "max_padded": 100})
    texts = ["the dog " * n for n in (1, 20, 2, 40, 3, 1, 30, 2)]
    outcomes = EmbedRunner(bounded, forward).run(calls(texts), alone=True)
    assert 8 == sum(rows for rows, _ in forward.shapes)
    assert all(rows * length <= 100 for rows, length in forward.shapes)
    alone = [EmbedRunner(encoder, Recorder()).run([call], alone=True)[0] for call in calls(texts)]
    for together, single in zip(outcomes, alone, strict=True):
        assert isinstance(together, Output)
        assert isinstance(single, Output)
        np.testing.assert_allclose(together.value, single.value, rtol=1e-6)


def test_a_lone_batch_takes_the_wide_form_and_others_the_narrow_one(encoder: Encoder) -> None:
    narrow, wide = Recorder(), Recorder()
    runner = EmbedRunner(encoder, narrow, wide)
    runner.run(calls(["a"]), alone=True)
    assert (0, 1) == (len(narrow.shapes), len(wide.shapes))
    runner.run(calls(["a"]), alone=False)
    assert (1, 1) == (len(narrow.shapes), len(wide.shapes))


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "lasttoken"])
def test_an_answer_outlives_the_memory_that_the_next_batch_is_written_into(
    encoder: Encoder, pooling: str
) -> None:
    """OpenVINO's requests give out their own memory."""
    memory = np.zeros((4, 64, 32), np.float32)

    def forward(inputs: Inputs) -> Floats:
        rows, length = inputs["input_ids"].shape
        memory[:rows, :length] = inputs["input_ids"][:, :, None]
        return memory[:rows, :length]

    runner = EmbedRunner(encoder, forward)
    (first,) = runner.run(calls(["water"], pooling=pooling, normalize=False), alone=False)
    assert isinstance(first, Output)
    before = first.value.copy()
    memory[:] = -1
    np.testing.assert_array_equal(before, first.value)


def test_only_the_text_that_is_too_long_fails_where_truncating_is_off(encoder: Encoder) -> None:
    fine, long, also_fine = EmbedRunner(encoder, Recorder()).run(
        calls(["water", "the dog " * 64, "pipe"], truncate=False), alone=False
    )
    assert isinstance(long, InvalidInputError)
    assert "64 tokens" in str(long)
    assert isinstance(fine, Output)
    assert isinstance(also_fine, Output)


def test_tokens_count_what_was_read_and_not_the_padding(encoder: Encoder) -> None:
    outcomes = EmbedRunner(encoder, Recorder()).run(
        calls(["the dog", "the lazy dog", "the " * 500]), alone=False
    )
    assert [4, 5, 64] == [outcome.tokens for outcome in outcomes if isinstance(outcome, Output)]


def test_a_prompt_of_the_model_goes_before_each_text(encoder: Encoder) -> None:
    recipe = type(encoder.recipe)(prompts={"query": "the ", "none": ""}, default_prompt="none")
    prompted = EmbedRunner(Encoder(**{**vars(encoder), "recipe": recipe}), Recorder())
    plain = EmbedRunner(encoder, Recorder())
    (with_prompt,) = prompted.run(calls(["dog"], prompt_name="query"), alone=False)
    (without,) = prompted.run(calls(["dog"]), alone=False)
    (spelled_out,) = plain.run(calls(["the dog"]), alone=False)
    assert isinstance(with_prompt, Output)
    assert isinstance(without, Output)
    assert isinstance(spelled_out, Output)
    np.testing.assert_array_equal(with_prompt.value, spelled_out.value)
    assert without.tokens == spelled_out.tokens - 1
