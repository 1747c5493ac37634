from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from engine_fakes import let_tasks_run
from generator_fakes import LAST, Scribe
from generator_fakes import call as written

from standpipe_server.engine.batcher import Batcher
from standpipe_server.engine.queue import BatchLimits
from standpipe_server.engine.registry import Model, ModelState, Registry, Served
from standpipe_server.engine.streams import Streams
from standpipe_server.engine.worker import Done
from standpipe_server.errors import DrainingError, ModelLoadingError, ModelNotFoundError
from standpipe_server.interfaces import Call, ModelInfo, ModelSpec, Output

FIRST = ModelSpec("first", "folder/first", ("feature-extraction",))
SECOND = ModelSpec("second", "folder/second", ("feature-extraction",))
OTHER = ModelSpec("other", "folder/other", ("fill-mask",))
TWOFOLD = ModelSpec("twofold", "folder/twofold", ("summarization", "translation"))
INFO = ModelInfo("torch", "cpu", "fp32", "because", "r1", 256, 384)


class HeldWorker:
    """Answers each call with its own input, once it is let go."""

    def __init__(self) -> None:
        self.closed = False
        self._held: list[tuple[Sequence[Call], Done[Output]]] = []

    def start(self, calls: Sequence[Call], alone: bool, done: Done[Output]) -> None:
        self._held.append((calls, done))

    def let_go(self) -> None:
        calls, done = self._held.pop(0)
        done([Output(call.input) for call in calls], 0.5)

    def close(self) -> None:
        self.closed = True


def opened(spec: ModelSpec, worker: HeldWorker, tokenizer: HeldWorker | None = None) -> Model:
    model = Model(spec)
    aside = Batcher([tokenizer], BatchLimits()) if tokenizer else None
    model.served = Served(INFO, Batcher([worker], BatchLimits()), 1.5, aside)
    return model


def call(model: Model, text: str) -> asyncio.Task[object]:
    return asyncio.create_task(_value(model, text))


async def _value(model: Model, text: str) -> object:
    answer = await model.ready().batcher.submit([Call(text, None)], key=None, costs=[1], timeout=None)
    return answer.outputs[0].value


def test_models_are_listed_in_the_order_in_which_they_were_configured() -> None:
    assert [SECOND, OTHER, FIRST] == [model.spec for model in Registry([SECOND, OTHER, FIRST])]


@pytest.mark.parametrize(
    ("spec", "task"),
    [
        (FIRST, "feature-extraction"),
        (SECOND, "feature-extraction"),
        (OTHER, "fill-mask"),
        (TWOFOLD, "summarization"),
        (TWOFOLD, "translation"),
    ],
)
def test_a_model_is_found_by_its_name_and_each_of_its_tasks(spec: ModelSpec, task: str) -> None:
    assert spec == Registry([FIRST, SECOND, OTHER, TWOFOLD]).find(task, spec.name).spec


def test_an_empty_name_means_the_first_model_of_the_task() -> None:
    registry = Registry([OTHER, TWOFOLD, FIRST, SECOND])
    assert FIRST == registry.find("feature-extraction", "").spec
    assert OTHER == registry.find("fill-mask", "").spec
    assert TWOFOLD == registry.find("translation", "").spec


def test_what_any_model_does_the_first_one_does_unless_another_is_named() -> None:
    registry = Registry([OTHER, FIRST, SECOND])
    assert OTHER == registry.find(None, "").spec
    assert SECOND == registry.find(None, "second").spec
    with pytest.raises(ModelNotFoundError, match="no model 'third'"):
        registry.find(None, "third")


def test_what_some_models_do_better_the_first_of_them_does() -> None:
    registry = Registry([OTHER, FIRST, SECOND])
    assert FIRST == registry.find(None, "", rather="feature-extraction").spec
    assert SECOND == registry.find(None, "second", rather="fill-mask").spec
    assert OTHER == registry.find(None, "", rather="translation").spec
    assert Registry([]).default(None, rather="translation") is None


def test_an_unknown_name_is_refused_and_the_served_ones_are_told() -> None:
    with pytest.raises(ModelNotFoundError, match="no model 'third'; served: first, other") as refusal:
        Registry([FIRST, OTHER]).find("feature-extraction", "third")
    assert {"model": "third"} == refusal.value.details


def test_an_unknown_name_is_refused_where_nothing_is_served() -> None:
    with pytest.raises(ModelNotFoundError, match="served: none"):
        Registry([]).get("third")


def test_a_model_of_another_task_is_refused_and_its_own_tasks_are_told() -> None:
    with pytest.raises(
        ModelNotFoundError, match="'twofold' serves summarization, translation, not feature-extraction"
    ) as refusal:
        Registry([FIRST, TWOFOLD]).find("feature-extraction", "twofold")
    assert {"model": "twofold", "task": "feature-extraction"} == refusal.value.details


def test_a_task_without_a_model_is_refused() -> None:
    with pytest.raises(ModelNotFoundError, match="no model is served for the task fill-mask") as refusal:
        Registry([FIRST]).find("fill-mask", "")
    assert {"task": "fill-mask"} == refusal.value.details
    assert Registry([FIRST]).default("fill-mask") is None


async def test_a_model_that_still_loads_asks_for_patience() -> None:
    model = Model(FIRST)
    assert (ModelState.LOADING, None) == (model.state, model.served)
    with pytest.raises(ModelLoadingError, match="'first' is still loading") as refusal:
        model.ready()
    assert ({"model": "first"}, True) == (refusal.value.details, refusal.value.retry_after > 0)
    with pytest.raises(ModelLoadingError):
        await call(model, "too early")


async def test_an_opened_model_says_what_it_is_and_answers_calls() -> None:
    worker = HeldWorker()
    model = opened(FIRST, worker)
    assert (ModelState.READY, INFO, 1.5) == (model.state, model.ready().info, model.ready().load_seconds)
    answer = call(model, "a text")
    await let_tasks_run()
    worker.let_go()
    assert "a text" == await answer


async def test_a_draining_model_answers_what_it_accepted_and_refuses_more() -> None:
    worker = HeldWorker()
    model = opened(FIRST, worker)
    answer = call(model, "accepted")
    await let_tasks_run()
    drained = asyncio.create_task(model.drain())
    await let_tasks_run()
    assert (ModelState.DRAINING, False) == (model.state, drained.done())
    with pytest.raises(DrainingError):
        model.ready()
    with pytest.raises(DrainingError):
        await call(model, "too late")
    worker.let_go()
    await drained
    assert "accepted" == await answer


async def test_a_model_that_never_loaded_drains_and_closes() -> None:
    model = Model(FIRST)
    await model.drain()
    model.close()
    with pytest.raises(DrainingError):
        model.ready()


async def test_closing_a_model_closes_its_workers() -> None:
    worker, tokenizer = HeldWorker(), HeldWorker()
    opened(FIRST, worker, tokenizer).close()
    assert (True, True) == (worker.closed, tokenizer.closed)


async def test_a_tokenizer_answers_beside_the_busy_model_and_is_drained_with_it() -> None:
    worker, tokenizer = HeldWorker(), HeldWorker()
    model = opened(FIRST, worker, tokenizer)
    aside = model.ready().batcher_of_tokenizer()
    waiting = call(model, "the model")
    answer = asyncio.create_task(
        aside.submit([Call("the tokenizer", None)], key=None, costs=[1], timeout=None)
    )
    await let_tasks_run()
    drained = asyncio.create_task(model.drain())
    worker.let_go()
    assert "the model" == await waiting
    await let_tasks_run()
    assert not drained.done()
    tokenizer.let_go()
    assert "the tokenizer" == (await answer).outputs[0].value
    await drained


async def test_a_model_that_writes_token_by_token_answers_and_drains_like_any_other() -> None:
    scribe = Scribe(2)
    streams = Streams(scribe, 8)
    model = Model(ModelSpec("chat", "folder/chat", ("text-generation",)))
    model.served = Served(INFO, streams, 1.5)
    assert streams is model.ready().streams()
    answer = asyncio.create_task(streams.submit([written("a")], key=None, costs=[], timeout=None))
    await let_tasks_run()
    drained = asyncio.create_task(model.drain())
    await let_tasks_run()
    assert (ModelState.DRAINING, False, False) == (model.state, drained.done(), scribe.closed)
    scribe.tell("a", LAST)
    assert 3 == (await answer).written
    await drained
    model.close()
    assert scribe.closed


async def test_a_model_that_answers_at_once_can_not_be_read_while_it_writes() -> None:
    with pytest.raises(ModelNotFoundError, match="doesn't write token by token"):
        opened(FIRST, HeldWorker()).ready().streams()


async def test_a_model_that_reads_no_texts_refuses_the_calls_of_a_tokenizer() -> None:
    with pytest.raises(ModelNotFoundError, match="no tokenizer of texts"):
        opened(FIRST, HeldWorker()).ready().batcher_of_tokenizer()
