"""What ``standpipe-bench pipelines`` reckons with: its inputs, its turns, its ratios. No model, no server."""

from __future__ import annotations

import io
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import psutil
import pytest
from rich.console import Console

from standpipe.v1 import image_generation_pb2, text_pb2
from standpipe_bench.payloads import (
    classify_requests,
    digits_to_draw,
    drawing_requests,
    mixed_pairs,
    mixed_texts,
    numbers_to_spell,
    rerank_requests,
    transform_requests,
)
from standpipe_bench.served.comparison import Comparison, Goal
from standpipe_bench.served.neighbours import Neighbours, quietest, used_seconds
from standpipe_bench.served.pipelines import Figures, Load, best_size, goals, library_rate, measure
from standpipe_bench.served.tables import goals_table


@pytest.mark.parametrize("make", [mixed_texts, mixed_pairs, numbers_to_spell, digits_to_draw])
def test_the_same_seed_gives_the_same_inputs_and_another_gives_others(
    make: Callable[[int, int], list[object]],
) -> None:
    assert make(50, 1) == make(50, 1)
    assert make(50, 1) != make(50, 2)
    assert 50 == len(make(50, 1))


def test_inputs_are_of_10_to_60_tokens_and_spread_over_all_of_that() -> None:
    # A word is a token; a text has two special tokens, a pair three.
    texts = [len(text.split()) + 2 for text in mixed_texts(500, seed=1)]
    pairs = [len(f"{query} {text}".split()) + 3 for query, text in mixed_pairs(500, seed=1)]
    for lengths in (texts, pairs):
        assert 10 == min(lengths)
        assert 58 <= max(lengths) <= 60
        assert 22 <= statistics.median(lengths) <= 27


def test_numbers_are_of_every_size() -> None:
    numbers = [text.removeprefix("spell in English: ") for text in numbers_to_spell(12, seed=1)]
    assert [1, 2, 3, 4, 5, 6] * 2 == [len(number) for number in numbers]


def test_both_sides_get_the_same_inputs() -> None:
    pairs, texts = mixed_pairs(3, seed=1), mixed_texts(3, seed=1)
    reranks = [text_pb2.RerankTextRequest.FromString(one) for one in rerank_requests(pairs).messages]
    assert pairs == [(one.query, one.texts[0]) for one in reranks]
    labels = [text_pb2.ClassifyTextRequest.FromString(one) for one in classify_requests(texts).messages]
    assert texts == [one.texts[0] for one in labels]
    changes = [text_pb2.TransformTextRequest.FromString(one) for one in transform_requests(texts, 7).messages]
    assert [(text, 7) for text in texts] == [(one.texts[0], one.parameters.max_new_tokens) for one in changes]


def test_pictures_are_asked_for_with_the_library_s_seeds() -> None:
    prompts = digits_to_draw(5, seed=1)
    asked = [
        image_generation_pb2.GenerateImageRequest.FromString(one)
        for one in drawing_requests(prompts, 7).messages
    ]
    assert prompts == [(one.prompt, one.parameters.seed) for one in asked]
    assert {7} == {one.parameters.num_inference_steps for one in asked}


def test_a_round_measures_each_side_once_in_turns() -> None:
    order: list[str] = []

    def rate(name: str, value: float) -> Callable[[], float]:
        def measured() -> float:
            order.append(name)
            return value

        return measured

    loads = [
        Load("ranks", rate("s", 90.0), rate("1", 10.0), 6.0, {8: rate("8", 30.0), 16: rate("16", 40.0)}, 2.0),
        Load("writes", rate("w", 8.0), rate("g", 4.0), 3.0),
    ]
    figures = measure(loads, rounds=2, watch=lambda: lambda: 0.03)
    assert ["1", "s", "8", "16", "g", "w"] * 2 == order
    assert Figures([90.0] * 2, [10.0] * 2, {8: [30.0] * 2, 16: [40.0] * 2}, [0.03] * 8) == figures[0]
    assert Figures([8.0] * 2, [4.0] * 2, others=[0.03] * 4) == figures[1]


def test_the_best_batch_size_is_that_of_the_greatest_median() -> None:
    # One lucky round isn't enough.
    assert 16 == best_size({8: [99.0, 30.0, 31.0], 16: [40.0, 41.0, 42.0], 32: [20.0, 90.0, 20.0]})


def test_goals_hold_the_served_calls_against_single_calls_and_the_best_batches() -> None:
    load = Load("ranks", never, never, 6.0, {8: never, 16: never}, 2.0)
    figures = Figures([70.0, 50.0, 60.0], [10.0, 10.0, 10.0], {8: [20.0, 20.0, 20.0], 16: [30.0, 40.0, 35.0]})
    single, batched = goals(load, figures)
    assert ("single calls", 6.0, 6.0, True) == (single.against, single.wanted, single.ratio(), single.met())
    assert ("batches of 16", 2.0, False) == (batched.against, batched.wanted, batched.met())
    assert batched.ratio() == pytest.approx(60 / 35)


def test_a_load_without_batches_has_one_goal() -> None:
    (goal,) = goals(Load("writes", never, never, 3.0), Figures([8.0], [2.0]))
    assert (4.0, True) == (goal.ratio(), goal.met())


def never() -> float:
    raise AssertionError("nothing is to be measured")


def test_the_table_says_what_is_wanted_and_whether_it_is_met() -> None:
    table = goals_table(
        [
            Goal(Comparison("ranks", [10.0, 10.0, 10.0], [70.0, 50.0, 60.0]), "single calls", 6.0),
            Goal(Comparison("writes", [10.0], [25.0]), "single calls", 3.0),
        ]
    )
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(table)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    (ranks,) = [line for line in lines if "ranks" in line]
    (writes,) = [line for line in lines if "writes" in line]
    assert ["ranks", "single", "calls", "10", "60", "6.00", "5.00–7.00", "≥", "6", "met"] == ranks.split()
    assert ["2.50", "2.50–2.50", "≥", "3", "missed"] == writes.split()[5:]


def test_the_library_s_pace_counts_inputs_and_takes_all_of_them_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("standpipe_bench.served.pipelines.WARM_UP", 0.01)
    given: list[Sequence[int]] = []

    def way(part: Sequence[int]) -> None:
        given.append(part)
        time.sleep(0.01)

    rate = library_rate(way, [1, 2, 3, 4, 5, 6], count=2, seconds=0.1)
    assert [[1, 2], [3, 4], [5, 6], [1, 2]] == given[:4]
    # At most two inputs each 10 ms; a busy machine may be slower.
    assert 0 < rate <= 200


def test_what_takes_longer_than_the_measurement_is_still_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("standpipe_bench.served.pipelines.WARM_UP", 0.0)
    rate = library_rate(lambda part: time.sleep(0.02), [1, 2, 3], count=3, seconds=0.001)
    assert 0 < rate <= 150


@pytest.mark.parametrize(
    ("shares", "kept"),
    [([0.05], (1.0, 0.05)), ([0.4, 0.1], (2.0, 0.1)), ([0.4, 0.3, 0.5], (2.0, 0.3))],
)
def test_what_neighbours_disturbed_is_measured_again(shares: list[float], kept: tuple[float, float]) -> None:
    coming, figures = iter(shares), itertools.count(1)
    assert kept == quietest(lambda: float(next(figures)), lambda: lambda: next(coming))
    assert next(coming, None) is None


def test_own_work_isn_t_the_neighbours() -> None:
    neighbours = Neighbours()
    assert 0 <= neighbours.share() <= 1


_BUSY = """
import subprocess, sys, time
if len(sys.argv) > 1:
    subprocess.run([sys.executable, "-c", sys.argv[1]])
else:
    while time.process_time() < 0.5:
        pass
print("done", flush=True)
sys.stdin.read()
"""


def test_what_a_process_starts_is_counted_as_its_own() -> None:
    this = [psutil.Process()]
    before = used_seconds(this)
    with subprocess.Popen(
        [sys.executable, "-c", _BUSY, _BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "done\n"
        running = used_seconds(this)
        child.stdin.close()
    assert running - before >= 0.45
    # Now that they have ended too.
    assert used_seconds(this) >= running - 0.05


def test_measuring_a_running_server_needs_no_model_library() -> None:
    heavy = ("torch", "transformers", "openvino", "standpipe_server")
    code = f"import standpipe_bench.cli, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stdout
