"""The bench's own arithmetic, and its closed loop on targets of known behaviour."""

from __future__ import annotations

import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from client_fakes import ANSWERS, fake_client, refused
from rich.console import Console

from standpipe import CallError, contract
from standpipe.v1 import generation_pb2, text_pb2
from standpipe_bench.demo import DemoCall, answer_live, call_everything
from standpipe_bench.in_process.elsewhere import Throughput
from standpipe_bench.payloads import embed_requests
from standpipe_bench.requests.texts import texts
from standpipe_bench.sayings import SAYINGS
from standpipe_bench.served.comparison import Comparison
from standpipe_bench.served.tables import calls_table
from standpipe_server.interfaces import Call, LoadedModel, ModelInfo, Outcome, Output


def test_the_same_seed_gives_the_same_texts_and_another_gives_others() -> None:
    assert texts(20, 17, seed=1) == texts(20, 17, seed=1)
    assert texts(20, 17, seed=1) != texts(20, 17, seed=2)
    assert all(8 <= len(text.split()) <= 25 for text in texts(200, 17, seed=1))


def test_requests_hold_as_many_texts_as_asked_for() -> None:
    requests = embed_requests(5, 17, seed=1, model="m")
    assert [5] * 64 == requests.items
    for data in requests.messages:
        request = text_pb2.EmbedTextRequest.FromString(data)
        assert ("m", 5) == (request.model, len(request.texts))


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("runners", [1, 2])
def test_in_process_throughput_is_measured_however_many_runners_there_are(
    runners: int, together: bool
) -> None:
    class Runner:
        def run(self, calls: Sequence[Call], *, alone: bool) -> list[Outcome]:
            assert alone is not together
            return [Output(None) for _ in calls]

    info = ModelInfo("torch", "cpu", "fp32", "because", "", 256, 384)
    model = LoadedModel(info, [Runner() for _ in range(runners)], batch_cost=448)
    assert Throughput(together, items=4, words=3, seconds=0.05).measure(model) > 0


def test_ratios_compare_within_a_round() -> None:
    line = Comparison("load", in_process=[100.0, 50.0], served=[90.0, 40.0])
    assert [0.9, 0.8] == line.ratios()
    assert [-10.0, -10.0] == line.differences()


REFUSALS = {
    "SummarizeText": refused(grpc.StatusCode.NOT_FOUND, "no model"),
    "ApplyChatTemplate": refused(grpc.StatusCode.INVALID_ARGUMENT, "no chat template"),
}


@pytest.fixture
def demo_calls() -> dict[str, DemoCall]:
    client, _ = fake_client({**ANSWERS, **REFUSALS})
    return {call.rpc.rpartition(".")[2]: call for call in call_everything(client)}


def test_the_demo_knows_how_to_say_the_answer_of_every_rpc() -> None:
    assert set(SAYINGS) == {rpc.name for rpc in contract.methods().values()}


def test_the_demo_calls_every_rpc_with_its_example() -> None:
    client, channel = fake_client(ANSWERS)
    calls = call_everything(client)
    assert list(contract.methods()) == [call.rpc for call in calls]
    # The first call asks for the tasks.
    sent = [(contract.find(path).full_name, request) for path, request, *_ in channel.calls[1:]]
    examples = {name: (rpc, contract.examples(rpc)) for name, rpc in contract.methods().items()}
    whole = {name: found if rpc.client_streaming else found[0] for name, (rpc, found) in examples.items()}
    assert list(whole.items()) == sent
    assert all(call.answered and call.milliseconds > 0 for call in calls)


@pytest.mark.parametrize(
    ("rpc", "given", "got"),
    [
        ("EmbedText", "A dog runs in the park.", "2 vectors of 2; 1·2 = 0.50"),
        ("RerankText", "query = How does water reach the upper floors?", "0.75 b\n0.50 a"),
        ("ClassifyText", "What a wonderful film!", "wet 0.75, dry 0.25\n"),
        ("ClassifyTokens", "aggregation_strategy = SIMPLE", "nice B-LOC, paris LOC\n"),
        ("AnswerQuestion", "What couples to a standpipe? A standpipe is a fixed", "a hose 0.50\n"),
        ("AnswerTableQuestion", "City: Paris, Lyon, Nice\nPeople: ", "SUM > 2, 3"),
        ("FillMask", "Paris is the [MASK] of France.\ntop_k = 3", "pipe 0.50\nhose 0.25"),
        ("TransformText", "spell in English: 42\nmax_new_tokens = 20", "changed"),
        ("GenerateText", "Once upon a time", "water\nfire"),
        ("StreamGenerateText", "prompt = Water boils at", "water\nin 4 messages"),
        ("Chat", "user: What is the capital of France?", "Of course."),
        ("StreamChat", "user: Why do firefighters use a standpipe?", "Of course.\nin 4 messages"),
        ("ClassifyImage", "a file of 2.8 kB\ntop_k = 2", "wet 0.75, dry 0.25\n"),
        ("MatchKeypoints", "a file of 2.8 kB: a file of", "1 points\n0 points"),
        (
            "GenerateImage",
            "a handwritten seven",
            "3 × 2 pixels, 0.1 kB, seed 18446744073709551614\n"
            "3 × 2 pixels, 0.1 kB, seed 18446744073709551615\nin 3 steps, previews: 1",
        ),
        (
            "GenerateVideo",
            "prompt = ",
            "4 frames of 3 × 2 pixels, 7.5 a second, 0.0 kB, seed 18446744073709551615\nin 3 steps",
        ),
        ("Tokenize", "Water stands ready", "[CLS] ##pipe"),
        ("Detokenize", "101, 2300, ", "one\n"),
        ("ListTasks", "", "2 tasks, 1 of them served"),
        ("ListModels", "task = feature-extraction", "m, from 7\nn, from folder"),
        ("GetModel", "model = all-MiniLM-L6-v2", "torch fp32 on cpu; because"),
    ],
)
def test_the_demo_shows_what_went_in_and_what_came_out(
    demo_calls: dict[str, DemoCall], rpc: str, given: str, got: str
) -> None:
    call = demo_calls[rpc]
    assert (got, True) == (call.got, call.answered)
    assert given in call.given
    assert max(map(len, call.given.splitlines() or [""])) <= 100


def test_the_demo_says_why_a_call_is_refused(demo_calls: dict[str, DemoCall]) -> None:
    summarize, chat = demo_calls["SummarizeText"], demo_calls["ApplyChatTemplate"]
    assert ("no model served; the library's default is who/cut", False) == (summarize.got, summarize.answered)
    assert ("no chat template", False) == (chat.got, chat.answered)


ANSWER = [
    *(
        generation_pb2.StreamChatResponse(delta=generation_pb2.ChatDelta(content=text))
        for text in ("It ", "", "brings\n", "[water] up.")
    ),
    generation_pb2.StreamChatResponse(
        end=generation_pb2.StreamEnd(usage=generation_pb2.Usage(generated_tokens=7))
    ),
]


def test_the_demo_says_what_a_stream_brought_and_in_how_many_messages() -> None:
    texts = [
        generation_pb2.StreamGenerateTextResponse(delta=generation_pb2.TextDelta(text=text))
        for text in ("100", " °C")
    ]
    assert "100 °C\nin 2 messages" == SAYINGS["StreamGenerateText"](texts)
    assert "It brings [water] up.\nin 5 messages" == SAYINGS["StreamChat"](ANSWER)


def test_the_demo_shows_an_answer_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    # Looked at before the call, at the first piece and at the end.
    clock = SimpleNamespace(perf_counter=iter([1.0, 1.25, 3.0]).__next__)
    monkeypatch.setattr("standpipe_bench.demo.time", clock)
    channel = SimpleNamespace(unary_stream=lambda *_, **__: None)
    client: Any = SimpleNamespace(channel=channel, stream=lambda *_: iter(ANSWER))
    answer = answer_live(client, shown.append, shown.append)
    question = contract.example(contract.find("StreamChat")).messages[-1].content  # type: ignore[attr-defined]
    assert [question, "It ", "brings\n", "[water] up."] == shown
    assert "7 tokens, 4 tokens/s, the first after 250 ms" == answer.pace()


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL])
def test_the_demo_fails_where_a_call_that_is_served_does(code: grpc.StatusCode) -> None:
    client, _ = fake_client({**ANSWERS, "FillMask": refused(code, "broken")})
    with pytest.raises(CallError, match="broken"):
        call_everything(client)


def test_the_demo_s_table_takes_inputs_for_text_not_for_markup(demo_calls: dict[str, DemoCall]) -> None:
    table = calls_table(list(demo_calls.values()))
    console = Console(width=160, file=io.StringIO(), color_system=None)
    console.print(table)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "the [MASK] of" in said
    assert "[CLS] ##pipe" in said
    assert "who/cut" in said
