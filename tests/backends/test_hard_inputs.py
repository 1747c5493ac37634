"""Inputs and files that once got through, or failed in the wrong words: each is refused or answered now."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from task_cases import decoded, refusal

from standpipe.v1 import common_pb2, text_pb2, tokenizers_pb2
from standpipe_server.backends.load import load
from standpipe_server.backends.reading import TextReader
from standpipe_server.backends.sampling import LOCK
from standpipe_server.backends.seq2seq import Seq2SeqRunner, SeqModel
from standpipe_server.backends.sources import Source
from standpipe_server.errors import InvalidInputError, LimitExceededError, ModelLoadError
from standpipe_server.interfaces import Call, ModelSpec, Output
from standpipe_server.programs import Generation
from standpipe_server.tasks import TOKENIZER_TASKS, InputLimits, program_for
from standpipe_server.tasks.answer_question import QuestionHead, QuestionParameters
from standpipe_server.tasks.transform_text import TransformParameters
from standpipe_server.tasks.writing import PlainHead
from tiny_models import byte_pairs, save_tiny_encoder, save_tiny_t5, save_tiny_tapas, word_pieces

Chat = tokenizers_pb2.ApplyChatTemplateRequest
HELLO = common_pb2.ChatMessage(role="user", content="hello")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_variable_that_is_no_json_number_is_refused(value: float) -> None:
    request = Chat(messages=[HELLO])
    request.template_variables.fields["a"].number_value = value
    assert "template_variables" == refusal(request).field


def test_json_with_half_a_character_is_refused() -> None:
    assert "tools[0]" == refusal(Chat(messages=[HELLO], tools=['{"a": "\\ud800"}'])).field


def test_a_hypothesis_of_too_many_bytes_is_refused() -> None:
    request = text_pb2.ClassifyTextZeroShotRequest(
        texts=["a"], candidate_labels=["a" * 1000], hypothesis_template="{}" * 2000
    )
    with pytest.raises(LimitExceededError):
        decoded(request)


def test_windows_that_would_read_a_text_over_and_over_are_refused(tmp_path: Path) -> None:
    word_pieces(64).save_pretrained(tmp_path)
    reader = TextReader(tmp_path, SimpleNamespace())
    with pytest.raises(InvalidInputError, match="more than 8 times") as caught:
        reader.windows("the dog " * 1000, stride=61, max_tokens=64)
    assert "stride" == caught.value.field
    # One window is one reading, however much it would share with a second.
    assert 1 == len(reader.windows("the dog", stride=61, max_tokens=64))


def test_corrupt_weights_are_a_model_load_error(tmp_path: Path) -> None:
    save_tiny_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing like it")
    with pytest.raises(ModelLoadError, match="model 'm': torch can't load it"):
        load(
            ModelSpec("m", str(tmp_path), ("feature-extraction",), backend="torch"),
            program_for(["feature-extraction"]),
            lambda _: None,
        )


class Writer:
    def __init__(self, **config: Any) -> None:
        self.generation_config = SimpleNamespace(
            **{"pad_token_id": 0, "max_new_tokens": None, "max_length": None, **config}
        )
        self.locked: list[bool] = []
        self.told: list[dict[str, Any]] = []

    def generate(self, **options: Any) -> torch.Tensor:
        self.locked.append(LOCK.locked())
        self.told.append(options)
        return torch.tensor([[0, 7, 2]])


def written_by(folder: Path, writer: Writer, *options: tuple[str, Any], seed: int | None = None) -> None:
    save_tiny_t5(folder)
    reader = SeqModel(Source(folder, ""), SimpleNamespace())
    runner = Seq2SeqRunner({TransformParameters: PlainHead(reader)}, reader, writer, "cpu")
    runner.run([Call("a", TransformParameters(Generation(options, seed)))], alone=True)


def test_a_model_that_samples_by_its_own_files_draws_alone(tmp_path: Path) -> None:
    writer = Writer(do_sample=True)
    written_by(tmp_path, writer, seed=5)
    assert [True] == writer.locked


def test_a_seed_without_sampling_leaves_the_generator_of_others_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    writer = Writer(do_sample=False)
    written_by(tmp_path, writer, seed=5)
    assert writer.locked == [True] or torch.initial_seed() == 0


def test_a_least_length_above_the_default_greatest_is_written(tmp_path: Path) -> None:
    writer = Writer(do_sample=False)
    written_by(tmp_path, writer, ("min_new_tokens", 300))
    assert writer.told[0]["max_new_tokens"] >= 300


@pytest.mark.parametrize(
    ("name", "value", "also"),
    [
        ("temperature", 0.01, {"do_sample": True}),
        ("temperature", 100.0, {"do_sample": True}),
        ("repetition_penalty", 0.01, {"do_sample": True}),
        ("repetition_penalty", 100.0, {"do_sample": True}),
        ("length_penalty", -10.0, {"num_beams": 2}),
        ("length_penalty", 10.0, {"num_beams": 2}),
    ],
)
def test_the_ends_of_the_ranges_can_be_written_with(
    tmp_path: Path, name: str, value: float, also: dict[str, Any]
) -> None:
    """Beyond them the arithmetic overflows: 1e-38 as a temperature, 1000 as a length penalty."""
    parameters = common_pb2.GenerationParameters(max_new_tokens=6, **also)
    setattr(parameters, name, value)
    tasks = ("text2text-generation",)
    model = load(
        ModelSpec("m", str(save_tiny_t5(tmp_path)), tasks, backend="torch", dtype="fp32", device="cpu"),
        program_for(tasks),
        lambda _: None,
    )
    calls = decoded(text_pb2.TransformTextRequest(texts=["hello world"], parameters=parameters))
    assert isinstance(model.runners[0].run(calls, alone=True)[0], Output)


@pytest.mark.parametrize(
    "columns", [[("", [""])], [(f"the{n}", ["1"]) for n in range(500)]], ids=["blank", "too wide"]
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_table_that_tapas_can_not_read_is_the_callers_fault(
    tmp_path: Path, columns: list[tuple[str, list[str]]]
) -> None:
    tasks = ("table-question-answering",)
    model = load(
        ModelSpec("m", str(save_tiny_tapas(tmp_path)), tasks, backend="torch", device="cpu"),
        program_for(tasks),
        lambda _: None,
    )
    table = text_pb2.Table(columns=[text_pb2.TableColumn(name=n, cells=c) for n, c in columns])
    request = text_pb2.AnswerTableQuestionRequest(table=table, questions=["the pipe?"])
    (outcome,) = model.runners[0].run(decoded(request), alone=True)
    assert isinstance(outcome, InvalidInputError)


def test_a_window_without_room_names_what_makes_it_small(tmp_path: Path) -> None:
    word_pieces(64).save_pretrained(tmp_path)
    head = QuestionHead(TextReader(tmp_path, SimpleNamespace()))
    (error,) = head.read(
        [Call(("the dog", "a"), QuestionParameters(max_seq_len=5, doc_stride=0))], spread=False
    )
    assert isinstance(error, InvalidInputError)
    assert ("max_seq_len", True) == (error.field, "no room" in str(error))


@pytest.mark.parametrize("config", [{}, {"max_new_tokens": 60}])
def test_the_servers_limit_of_new_tokens_holds_where_the_call_says_nothing(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    (call,) = decoded(text_pb2.TransformTextRequest(texts=["a"]), InputLimits(max_new_tokens=9))
    writer = Writer(do_sample=False, **config)
    save_tiny_t5(tmp_path)
    reader = SeqModel(Source(tmp_path, ""), SimpleNamespace())
    Seq2SeqRunner({TransformParameters: PlainHead(reader)}, reader, writer, "cpu").run([call], alone=True)
    assert writer.told[0].get("max_new_tokens", math.inf) <= 9


@pytest.mark.parametrize("name", ["messages", "conversations", "self"])
def test_a_variable_that_the_template_can_not_have_is_named(name: str) -> None:
    request = Chat(messages=[HELLO])
    request.template_variables[name] = "x"
    assert "template_variables" == refusal(request).field


def test_a_whole_number_reaches_the_template_as_one() -> None:
    """A Struct has floats only, and a template that prints one means 3."""
    request = Chat(messages=[HELLO])
    request.template_variables["mood"] = 3
    (call,) = decoded(request)
    (text, _), _ = TOKENIZER_TASKS["apply-chat-template"].head(byte_pairs()).answer(call)
    assert "mood 3\n" in text


def test_more_proposals_than_a_text_can_carry_are_refused(tmp_path: Path) -> None:
    tasks = ("fill-mask",)
    folder = save_tiny_encoder(tmp_path, head="AutoModelForMaskedLM")
    spec = ModelSpec("m", str(folder), tasks, backend="torch", dtype="fp32", device="cpu")
    model = load(spec, program_for(tasks), lambda _: None)
    calls = decoded(text_pb2.FillMaskRequest(texts=["[MASK] " * 5], top_k=1000))
    (outcome,) = model.runners[0].run(calls, alone=True)
    assert isinstance(outcome, InvalidInputError)
    assert "top_k" == outcome.field
