"""The short way through any encoder, with heads and a forward pass that only pretend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe_server.backends import encoder
from standpipe_server.backends.encoder import EncoderRunner, Inputs
from standpipe_server.backends.reading import TextReader
from standpipe_server.errors import InvalidInputError
from standpipe_server.interfaces import Call, Outcome, Output
from standpipe_server.kinds import Kind
from standpipe_server.programs import Batch, Cut, Encoding, Floats
from standpipe_server.tasks import MODEL_TASKS, Task
from standpipe_server.tasks.answer_question import QuestionParameters
from standpipe_server.tasks.classify_text import ClassifyParameters
from standpipe_server.tasks.classify_text_zero_shot import ZeroShotParameters
from standpipe_server.tasks.classify_tokens import TokenParameters
from standpipe_server.tasks.embed_text import EmbedParameters
from standpipe_server.tasks.fill_mask import FillParameters
from standpipe_server.tasks.rerank_text import RerankParameters
from tiny_models import word_pieces

NAMES = frozenset({"input_ids", "attention_mask", "token_type_ids"})
VOCABULARY = 300


@dataclass(frozen=True)
class Many:
    """Parameters of calls that are read as several texts."""

    name: str = ""


class ManyHead:
    """Reads each word of a call as a sequence, and answers with the row of each.

    A call that is "unreadable" is refused, "unanswerable" and "broken" ones raise, and "nobody's" makes
    the whole batch unreadable.
    """

    def __init__(self, reader: TextReader) -> None:
        self._reader = reader
        self.told: list[tuple[bool, Any]] = []

    def read(self, calls: Sequence[Call], *, spread: bool) -> list[Sequence[Encoding] | Exception]:
        if any(call.input == "nobody's" for call in calls):
            raise InvalidInputError("nobody's", "texts")
        self.told.append((spread, calls[0].parameters))
        return [self._read(call.input) for call in calls]

    def rows(self, batch: Batch, parameters: Any) -> list[tuple[int, ...]]:
        (sums,) = batch.outputs
        assert batch.mask.sum(1).tolist() == [len(encoding) for encoding in batch.encodings]
        self.told.append((False, parameters))
        return [(int(total),) for total in sums]

    def answer(self, call: Call, encodings: Sequence[Encoding], rows: Sequence[tuple[int, ...]]) -> Any:
        if call.input == "unanswerable":
            raise InvalidInputError("unanswerable")
        if call.input == "broken":
            raise ZeroDivisionError("broken")
        assert len(encodings) == len(rows)
        return [*rows]

    def _read(self, text: str) -> Sequence[Encoding] | Exception:
        if text == "unreadable":
            return InvalidInputError("unreadable", "stride")
        found = self._reader.encode(text.split(","), [Cut()] * len(text.split(",")))
        return [one for one in found if not isinstance(one, Exception)]


class Sums:
    """A forward pass that gives the sum of a sequence's ids, and notes the shapes."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []

    def __call__(self, inputs: Inputs) -> list[Floats]:
        assert NAMES == set(inputs)
        rows, length = inputs["input_ids"].shape
        self.shapes.append((rows, length))
        return [(inputs["input_ids"] * inputs["attention_mask"]).sum(1).astype(np.float32)]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> TextReader:
    folder = tmp_path_factory.mktemp("tokenizer")
    word_pieces(4096).save_pretrained(folder)
    return TextReader(folder, SimpleNamespace())


def run(reader: TextReader, texts: Sequence[str], forward: Sums | None = None) -> Sequence[Outcome]:
    runner = EncoderRunner({Many: ManyHead(reader)}, reader, NAMES, forward or Sums())
    return runner.run([Call(text, Many()) for text in texts], alone=False)


def expected(reader: TextReader, text: str) -> Output:
    """The sums of the ids of a call's sequences, and how many tokens they have."""
    encodings = [reader.tokenizer(part)["input_ids"] for part in text.split(",")]
    return Output([(sum(ids),) for ids in encodings], sum(map(len, encodings)))


parts = st.lists(st.sampled_from(["the", "lazy", "dog", "fox", "house"]), max_size=9).map(" ".join)
inputs = st.lists(st.lists(parts, min_size=1, max_size=4).map(",".join), min_size=1, max_size=6)


@given(texts=inputs, bound=st.integers(1, 60))
def test_every_call_gets_the_rows_of_its_own_sequences_however_a_batch_is_cut(
    reader: TextReader, texts: list[str], bound: int
) -> None:
    forward = Sums()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "_MAX_PADDED", bound)
        outcomes = run(reader, texts, forward)
    assert [expected(reader, text) for text in texts] == list(outcomes)
    assert sum(len(text.split(",")) for text in texts) == sum(rows for rows, _ in forward.shapes)
    assert all(rows == 1 or rows * length <= bound for rows, length in forward.shapes)


def test_sequences_of_like_length_run_together(reader: TextReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_MAX_PADDED", 24)
    forward = Sums()
    run(reader, ["the", " ".join(["dog"] * 10), "a,the", " ".join(["fox"] * 10)], forward)
    assert [(3, 3), (2, 12)] == forward.shapes


def test_a_call_that_is_at_fault_fails_alone(reader: TextReader) -> None:
    texts = ["the dog", "unreadable", "fox,lazy fox", "unanswerable", "broken", "lazy"]
    outcomes = run(reader, texts)
    assert ["unreadable", "unanswerable", "broken"] == [
        str(outcome) for outcome in outcomes if isinstance(outcome, Exception)
    ]
    assert [InvalidInputError, InvalidInputError, ZeroDivisionError] == [
        type(outcome) for outcome in outcomes if isinstance(outcome, Exception)
    ]
    for place in (0, 2, 5):
        assert expected(reader, texts[place]) == outcomes[place]


def test_where_no_call_can_be_read_nothing_runs(reader: TextReader) -> None:
    forward = Sums()
    outcomes = run(reader, ["unreadable", "unreadable"], forward)
    assert (["unreadable"] * 2, []) == ([str(outcome) for outcome in outcomes], forward.shapes)


def test_what_calls_have_in_common_fails_them_all(reader: TextReader) -> None:
    forward = Sums()
    outcomes = run(reader, ["the", "nobody's", "dog"], forward)
    assert (["nobody's"] * 3, []) == ([str(outcome) for outcome in outcomes], forward.shapes)
    assert all(isinstance(outcome, InvalidInputError) for outcome in outcomes)


def test_a_failing_forward_pass_fails_the_batch(reader: TextReader) -> None:
    def forward(_: Inputs) -> list[Floats]:
        raise RuntimeError("out of memory")

    runner = EncoderRunner({Many: ManyHead(reader)}, reader, NAMES, forward)
    with pytest.raises(RuntimeError, match="out of memory"):
        runner.run([Call("the", Many()), Call("dog", Many())], alone=False)


@pytest.mark.parametrize("alone", [True, False])
def test_a_lone_batch_takes_the_whole_device_from_the_tokenizer_on(reader: TextReader, alone: bool) -> None:
    narrow, wide, head = Sums(), Sums(), ManyHead(reader)
    runner = EncoderRunner({Many: head}, reader, NAMES, narrow, wide)
    runner.run([Call("the", Many("first")), Call("dog", Many("second"))], alone=alone)
    assert (int(not alone), int(alone)) == (len(narrow.shapes), len(wide.shapes))
    assert [(alone, Many("first")), (False, Many("first"))] == head.told


def test_the_head_of_the_calls_own_task_answers_and_the_pass_gets_what_it_takes(reader: TextReader) -> None:
    @dataclass(frozen=True)
    class Other:
        """Another task's parameters."""

    class OtherHead(ManyHead):
        def answer(self, call: Call, encodings: Sequence[Encoding], rows: Sequence[Any]) -> str:
            return "other"

    taken: list[set[str]] = []

    def forward(inputs: Inputs) -> list[Floats]:
        taken.append(set(inputs))
        return [inputs["input_ids"].sum(1).astype(np.float32)]

    heads = {Many: ManyHead(reader), Other: OtherHead(reader)}
    runner = EncoderRunner(heads, reader, frozenset({"input_ids"}), forward)
    (output,) = runner.run([Call("the", Other())], alone=False)
    assert isinstance(output, Output)
    assert ("other", [{"input_ids"}]) == (output.value, taken)


# The real heads

TEXTS = ["the [MASK] fox", "lazy", "the lazy dog [MASK] [MASK]"]
PAIRS = [(text, "water stands ready") for text in TEXTS]
SPANS: list[Any] = [("who?", "Ada Lovelace " * n) for n in (1, 30, 2)]
CALLS: dict[type, list[tuple[Any, list[Any]]]] = {
    EmbedParameters: [
        *(
            (EmbedParameters(pooling=pooling, normalize=unit, dimensions=kept), TEXTS)
            for pooling in (None, "mean", "cls", "max", "lasttoken")
            for unit in (True, False)
            for kept in (None, 3)
        )
    ],
    RerankParameters: [(RerankParameters(), PAIRS), (RerankParameters(raw=True), PAIRS)],
    ClassifyParameters: [
        *((ClassifyParameters(function=function), TEXTS) for function in (None, "softmax", "sigmoid", "none"))
    ],
    ZeroShotParameters: [(ZeroShotParameters(), PAIRS)],
    TokenParameters: [
        *((TokenParameters(strategy), TEXTS) for strategy in ("none", "simple", "first", "average", "max")),
        (TokenParameters("simple", stride=1), ["the lazy dog " * 9, "fox"]),
    ],
    QuestionParameters: [(QuestionParameters(max_seq_len=20), SPANS)],
    FillParameters: [(FillParameters(), [TEXTS[0], TEXTS[2]]), (FillParameters(targets=("dog",)), TEXTS[:1])],
}
ENCODERS = [task for task in MODEL_TASKS.values() if task.kind is not None and task.kind.way == "encoder"]


def made_up(kind: Kind, labels: int, rows: int, length: int) -> list[Floats]:
    """Outputs of a forward pass, each laid out as a model's own."""
    widths = {"AutoModel": 8, "AutoModelForMaskedLM": VOCABULARY}
    width = widths.get(kind.transformers, labels)
    shapes = {
        "AutoModelForSequenceClassification": (rows, width),
        "AutoModelForQuestionAnswering": (rows, length),
    }
    shape = shapes.get(kind.transformers, (rows, length, width))
    random = np.random.default_rng(0)
    return [random.normal(size=shape).astype(np.float32) for _ in kind.outputs]


def arrays_in(kept: Any) -> list[Any]:
    """All arrays of what a head keeps, or of an answer."""
    if isinstance(kept, np.ndarray):
        return [kept]
    return [array for one in kept for array in arrays_in(one)] if isinstance(kept, tuple | list) else []


def test_every_encoders_task_is_tried_here() -> None:
    assert {task.parameters for task in ENCODERS} == set(CALLS)


@pytest.mark.parametrize("task", ENCODERS, ids=lambda task: task.name)
@pytest.mark.parametrize("together", [True, False], ids=["a batch", "one by one"])
def test_nothing_that_a_head_keeps_or_answers_lies_in_the_memory_of_the_outputs(
    tmp_path: Path, task: Task, together: bool
) -> None:
    """OpenVINO's requests give out their own memory, which the next pass overwrites."""
    word_pieces(32).save_pretrained(tmp_path)
    names = {0: "entailment"} if task.parameters is RerankParameters else {0: "O", 1: "B-A", 2: "entailment"}
    config = SimpleNamespace(
        hidden_size=8,
        num_labels=len(names),
        id2label=names,
        label2id={name: id_ for id_, name in names.items()},
    )
    reader = TextReader(tmp_path, config)
    head = task.head(reader)
    assert task.kind is not None
    for parameters, texts in CALLS[task.parameters]:
        for asked in [texts] if together else [[text] for text in texts]:
            calls = [Call(text, parameters) for text in asked]
            read = head.read(calls, spread=False)
            encodings = [encoding for found in read for encoding in found]
            arrays = reader.arrays(encodings)
            outputs = made_up(task.kind, len(names), *arrays["input_ids"].shape)
            rows = head.rows(
                Batch(outputs, arrays["attention_mask"].astype(np.float32), encodings), parameters
            )
            assert len(encodings) == len(rows)
            kept = arrays_in(list(rows))
            assert len(kept) >= len(encodings)
            own = iter(rows)
            answers = [
                head.answer(call, found, [next(own) for _ in found])
                for call, found in zip(calls, read, strict=True)
            ]
            for array in [*kept, *arrays_in(answers)]:
                assert not any(np.shares_memory(array, output) for output in outputs)
