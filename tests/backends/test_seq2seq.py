"""Writing with a tiny T5, and round a model that only pretends to write."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from standpipe_server.backends.seq2seq import Seq2SeqRunner, SeqModel
from standpipe_server.backends.sources import Source
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Outcome, Output, Written
from standpipe_server.programs import DEFAULT_MAX_NEW_TOKENS, Generation, Prompt
from standpipe_server.tasks.summarize_text import SummarizeHead, SummarizeParameters
from standpipe_server.tasks.transform_text import TransformParameters
from standpipe_server.tasks.writing import PlainHead
from tiny_models import save_tiny_t5

TEXTS = ["hello world", "the quick brown fox jumps over the lazy dog", "", "one", "water stands ready " * 9]
BRIEF = {"max_new_tokens": 8}
WILD = {"max_new_tokens": 8, "do_sample": True, "temperature": 5.0, "top_k": 0}


@pytest.fixture(scope="module")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_t5(tmp_path_factory.mktemp("tiny-t5"))


def runner_of(folder: Path) -> Seq2SeqRunner:
    model = transformers.T5ForConditionalGeneration.from_pretrained(folder).eval()
    reader = SeqModel(Source(folder, ""), model.config)
    heads: dict[type, Any] = {
        TransformParameters: PlainHead(reader),
        SummarizeParameters: SummarizeHead(reader),
    }
    return Seq2SeqRunner(heads, reader, model, "cpu")


@pytest.fixture(scope="module")
def runner(tiny_t5: Path) -> Seq2SeqRunner:
    return runner_of(tiny_t5)


def calls(
    texts: Sequence[str], options: dict[str, Any], kind: type[Any] = TransformParameters, **generation: Any
) -> list[Call]:
    return [Call(text, kind(Generation(tuple(options.items()), **generation))) for text in texts]


def written(outcomes: Sequence[Outcome]) -> list[Written]:
    assert [] == [outcome for outcome in outcomes if not isinstance(outcome, Output)]
    return [outcome.value[0] for outcome in outcomes if isinstance(outcome, Output)]


@pytest.mark.parametrize(
    "options",
    [
        BRIEF,
        BRIEF | {"num_beams": 3},
        BRIEF | {"repetition_penalty": 1.5, "no_repeat_ngram_size": 1, "min_new_tokens": 3},
    ],
)
def test_texts_of_several_lengths_come_out_together_as_one_by_one(
    runner: Seq2SeqRunner, options: dict[str, Any]
) -> None:
    together = runner.run(calls(TEXTS, options), alone=True)
    alone = [runner.run([call], alone=False)[0] for call in calls(TEXTS, options)]
    assert len({one.text for one in written(together)}) > 1
    assert alone == list(together)


def test_the_same_seed_gives_the_same_text_and_others_give_others(runner: Seq2SeqRunner) -> None:
    def texts(seed: int) -> list[str]:
        return [one.text for one in written(runner.run(calls(TEXTS[:2], WILD, seed=seed), alone=True))]

    assert texts(1) == texts(1)
    assert 4 == len({tuple(texts(seed)) for seed in range(4)})


def test_a_seed_means_the_same_in_a_batch_and_alone(runner: Seq2SeqRunner) -> None:
    asked = calls([*TEXTS, TEXTS[0]], WILD, seed=7)
    together = written(runner.run(asked, alone=True))
    assert together == [written(runner.run([call], alone=True))[0] for call in asked]
    assert together[0] == together[-1]


def test_without_a_seed_each_answer_is_drawn_anew(runner: Seq2SeqRunner) -> None:
    drawn = [written(runner.run(calls(TEXTS[:1], WILD), alone=True))[0].text for _ in range(4)]
    assert len(set(drawn)) > 1


def test_a_seed_holds_while_other_models_draw_too(tiny_t5: Path) -> None:
    """Torch's generator is the whole process's."""
    runners = [runner_of(tiny_t5) for _ in range(3)]
    asked = [calls(TEXTS[:1], WILD, seed=seed) for seed in range(3)]
    alone = [written(one.run(part, alone=True)) for one, part in zip(runners, asked, strict=True)]

    def often(place: int) -> bool:
        return all(alone[place] == written(runners[place].run(asked[place], alone=False)) for _ in range(8))

    with ThreadPoolExecutor(3) as pool:
        assert [True] * 3 == list(pool.map(often, range(3)))


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_is_written_than_was_asked_for(runner: Seq2SeqRunner, most: int) -> None:
    outcomes = written(runner.run(calls(TEXTS, {"max_new_tokens": most, "min_new_tokens": most}), alone=True))
    assert [most] * len(TEXTS) == [one.tokens for one in outcomes]


def test_what_was_read_is_counted_without_padding(runner: Seq2SeqRunner, tiny_t5: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_t5)
    outcomes = runner.run(calls(TEXTS, BRIEF), alone=True)
    assert [len(tokenizer(text)["input_ids"]) for text in TEXTS] == [
        outcome.tokens for outcome in outcomes if isinstance(outcome, Output)
    ]


LONG = "the " * 500


def test_a_text_that_is_too_long_is_cut_at_the_models_limit(runner: Seq2SeqRunner) -> None:
    fine, long = runner.run(calls(["hello", LONG], BRIEF), alone=True)
    assert isinstance(fine, Output)
    assert isinstance(long, Output)
    assert 128 == long.tokens


def test_where_nothing_may_be_cut_a_text_that_is_too_long_is_refused_alone(runner: Seq2SeqRunner) -> None:
    fine, long, also_fine = runner.run(calls(["hello", LONG, "one"], BRIEF, truncate=False), alone=True)
    assert isinstance(long, InvalidInputError)
    assert "more than the model's 128" in str(long)
    expected = written(runner.run(calls(["hello", "one"], BRIEF), alone=True))
    assert expected == written([fine, also_fine])
    (alone,) = runner.run(calls([LONG], BRIEF, truncate=False), alone=True)
    assert str(long) == str(alone)


def test_each_task_reads_what_its_own_head_says(runner: Seq2SeqRunner) -> None:
    (summary,) = runner.run(calls(["hello"], BRIEF, SummarizeParameters), alone=True)
    (spelled_out,) = runner.run(calls(["summarize: hello"], BRIEF), alone=True)
    (plain,) = runner.run(calls(["hello"], BRIEF), alone=True)
    assert spelled_out == summary
    assert plain != summary


class Writer:
    """A model that writes prepared ids, and notes what it was told.

    Args:
        ids: What it writes for each text.
        config: Its generation config.
    """

    def __init__(self, ids: list[list[int]], **config: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.generation_config = SimpleNamespace(
            **{
                "pad_token_id": 0,
                "max_new_tokens": None,
                "max_length": None,
                "do_sample": False,
                **config,
            }
        )
        self._ids = ids

    def generate(self, **options: Any) -> torch.Tensor:
        self.told.append(options)
        return torch.tensor(self._ids[: len(options["input_ids"])])


def pretending(folder: Path, writer: Writer, head: Any = None) -> Seq2SeqRunner:
    reader = SeqModel(Source(folder, ""), SimpleNamespace())
    return Seq2SeqRunner({TransformParameters: head or PlainHead(reader)}, reader, writer, "cpu")


def test_what_was_written_is_counted_to_the_end_token_and_without_start_and_padding(tiny_t5: Path) -> None:
    writer = Writer([[0, 7, 8, 9, 2], [0, 7, 2, 0, 0], [0, 2, 0, 0, 0], [0, 7, 8, 9, 10]])
    outcomes = written(pretending(tiny_t5, writer).run(calls(["a"] * 4, {}), alone=True))
    assert [4, 2, 1, 4] == [one.tokens for one in outcomes]
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_t5)
    assert [tokenizer.decode(ids) for ids in ([7, 8, 9], [7], [], [7, 8, 9, 10])] == [
        one.text for one in outcomes
    ]


def test_a_start_that_is_the_end_token_too_is_not_counted(tiny_t5: Path) -> None:
    """As BART's is."""
    writer = Writer([[2, 7, 8, 2], [2, 2, 0, 0]])
    outcomes = written(pretending(tiny_t5, writer).run(calls(["a"] * 2, {}), alone=True))
    assert [3, 1] == [one.tokens for one in outcomes]


@pytest.mark.parametrize(
    ("config", "options", "told"),
    [
        ({}, {}, DEFAULT_MAX_NEW_TOKENS),
        # The library's own default, which no model means.
        ({"max_length": 20}, {}, DEFAULT_MAX_NEW_TOKENS),
        # Its decoder's start token is one of the 142.
        ({"max_length": 142}, {}, 141),
        ({"max_new_tokens": 60}, {}, 60),
        ({"max_new_tokens": 60}, {"max_new_tokens": 7}, 7),
        ({}, {"max_new_tokens": 7}, 7),
    ],
)
def test_where_neither_the_call_nor_the_model_says_so_much_is_written_as_the_library_has_it(
    tiny_t5: Path, config: dict[str, Any], options: dict[str, Any], told: int
) -> None:
    writer = Writer([[0, 2]], **config)
    pretending(tiny_t5, writer).run(calls(["a"], options), alone=True)
    assert told == writer.told[0].get("max_new_tokens")


class Languages(PlainHead):
    """Names languages, in whatever text."""

    def prompt(self, call: Call) -> Prompt:
        return Prompt(call.input, "en", 5)


def test_languages_reach_the_tokenizer_and_the_answers_first_token(tiny_t5: Path) -> None:
    writer = Writer([[0, 2]])
    runner = pretending(tiny_t5, writer, Languages(None))
    # Some tokenizers give segments, which no model that writes knows.
    runner._reader.tokenizer.model_input_names = ["input_ids", "attention_mask", "token_type_ids"]
    runner.run(calls(["a"], {"num_beams": 2}), alone=True)
    assert "en" == runner._reader.tokenizer.src_lang
    assert (5, 2) == (writer.told[0]["forced_bos_token_id"], writer.told[0]["num_beams"])
    assert {"input_ids", "attention_mask"} == {
        name for name, value in writer.told[0].items() if isinstance(value, torch.Tensor)
    }


class Refusing(PlainHead):
    """Refuses texts that say so."""

    def prompt(self, call: Call) -> Prompt:
        if call.input == "no":
            raise InvalidInputError("no", "target_language")
        return Prompt(call.input)


@pytest.mark.parametrize("seed", [None, 3])
def test_a_text_that_the_head_refuses_fails_alone_and_nothing_runs_for_it(
    tiny_t5: Path, seed: int | None
) -> None:
    writer = Writer([[0, 7, 2], [0, 8, 2]])
    runner = pretending(tiny_t5, writer, Refusing(None))
    outcomes = runner.run(calls(["no", "a", "no", "b"], {}, seed=seed), alone=True)
    assert [InvalidInputError, Output, InvalidInputError, Output] == [type(outcome) for outcome in outcomes]
    assert 2 == sum(len(told["input_ids"]) for told in writer.told)
    writer.told.clear()
    runner.run(calls(["no"], {}, seed=seed), alone=True)
    assert [] == writer.told
