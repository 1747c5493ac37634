from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe_server.engine.queue import BatchLimits, BatchQueue, Item, Request

NOW = 100.0


def request(*costs: int, key: str = "key", arrived: float = NOW, deadline: float | None = None) -> Request:
    return Request([f"call {index}" for index in range(len(costs))], key, costs, arrived, deadline)


def queue_of(limits: BatchLimits, *requests: Request) -> BatchQueue[Request]:
    queue: BatchQueue[Request] = BatchQueue(limits)
    for each in requests:
        assert queue.add(each)
    return queue


def costs_of(batch: list[Item[Request]]) -> list[int]:
    return [item.cost for item in batch]


def cut_all(queue: BatchQueue[Request]) -> tuple[list[list[Item[Request]]], list[Request]]:
    batches: list[list[Item[Request]]] = []
    expired: list[Request] = []
    while True:
        batch, late = queue.cut(NOW)
        expired += late
        if not batch:
            return batches, expired
        batches.append(batch)


def waiting_of(requests: list[Request]) -> list[tuple[Request, int]]:
    return [(each, index) for each in requests for index in range(len(each.costs))]


LIMITS = st.builds(
    BatchLimits, max_items=st.integers(1, 6), max_cost=st.integers(1, 60), window=st.integers(1, 20)
)
REQUESTS = st.lists(
    st.builds(
        lambda costs, key, deadline: request(*costs, key=key, deadline=deadline),
        costs=st.lists(st.integers(1, 30), min_size=1, max_size=5),
        key=st.sampled_from("ab"),
        deadline=st.sampled_from([None, NOW - 1, NOW, NOW + 1]),
    ),
    max_size=12,
)


@given(LIMITS, REQUESTS)
def test_every_item_comes_out_once_in_a_batch_or_as_a_part_of_an_expired_request(
    limits: BatchLimits, requests: list[Request]
) -> None:
    batches, expired = cut_all(queue_of(limits, *requests))
    late = [each for each in requests if each.deadline is not None and each.deadline <= NOW]
    taken = [(item.request, item.index) for batch in batches for item in batch]
    assert len(taken) == len(set(taken))
    assert set(waiting_of([each for each in requests if each not in late])) == set(taken)
    assert len(expired) == len(set(expired))
    assert set(late) == set(expired)


@given(LIMITS, REQUESTS)
def test_every_batch_keeps_to_the_limits_and_to_one_key(limits: BatchLimits, requests: list[Request]) -> None:
    for batch in cut_all(queue_of(limits, *requests))[0]:
        assert len(batch) <= limits.max_items
        assert len(batch) == 1 or max(costs_of(batch)) * len(batch) <= limits.max_cost
        assert 1 == len({item.request.key for item in batch})
        assert [item.request.costs[item.index] for item in batch] == costs_of(batch)


@given(LIMITS, REQUESTS)
def test_the_oldest_item_is_always_in_the_next_batch(limits: BatchLimits, requests: list[Request]) -> None:
    requests = [each for each in requests if each.deadline is None]
    waiting = waiting_of(requests)
    for batch in cut_all(queue_of(limits, *requests))[0]:
        taken = [(item.request, item.index) for item in batch]
        assert waiting[0] in taken
        waiting = [each for each in waiting if each not in taken]
    assert [] == waiting


@given(LIMITS, REQUESTS)
def test_a_batch_is_a_run_of_neighbours_in_cost_and_leaves_nobody_out_who_would_fit(
    limits: BatchLimits, requests: list[Request]
) -> None:
    limits = replace(limits, window=1000)
    waiting = waiting_of([each for each in requests if each.deadline is None])
    queue = queue_of(limits, *[each for each in requests if each.deadline is None])
    for batch in cut_all(queue)[0]:
        costs = costs_of(batch)
        assert sorted(costs) == costs
        taken = [(item.request, item.index) for item in batch]
        waiting = [each for each in waiting if each not in taken]
        left = [each.costs[index] for each, index in waiting if each.key == batch[0].request.key]
        assert not [cost for cost in left if costs[0] < cost < costs[-1]]
        if len(batch) < limits.max_items:
            assert all(max(cost, costs[-1]) * (len(batch) + 1) > limits.max_cost for cost in left)


@given(LIMITS, REQUESTS)
def test_its_length_is_how_many_items_wait(limits: BatchLimits, requests: list[Request]) -> None:
    requests = [each for each in requests if each.deadline is None]
    queue = queue_of(limits, *requests)
    waiting = len(waiting_of(requests))
    assert waiting == len(queue)
    while waiting:
        waiting -= len(queue.cut(NOW)[0])
        assert waiting == len(queue)


def test_items_of_like_cost_run_together() -> None:
    queue = queue_of(BatchLimits(max_items=3), request(10, 100, 11, 50, 9))
    assert [[9, 10, 11], [50, 100]] == [costs_of(batch) for batch in cut_all(queue)[0]]


def test_a_batch_grows_to_the_side_that_pads_less() -> None:
    # Beside a 10, a 6 is padded by 4, and a 13 pads the 10 by 3; beside two 10s, it pads them by 6.
    assert [10, 13] == costs_of(queue_of(BatchLimits(max_items=2), request(10, 6, 13)).cut(NOW)[0])
    assert [6, 10, 10] == costs_of(queue_of(BatchLimits(max_items=3), request(10, 10, 6, 13)).cut(NOW)[0])


def test_padding_counts_against_the_budget() -> None:
    queue = queue_of(BatchLimits(max_cost=30), request(10, 11, 12))
    assert [[10, 11], [12]] == [costs_of(batch) for batch in cut_all(queue)[0]]


def test_a_batch_may_use_the_whole_budget() -> None:
    assert [10, 10, 10] == costs_of(queue_of(BatchLimits(max_cost=30), request(10, 10, 10)).cut(NOW)[0])


def test_an_item_dearer_than_the_budget_runs_alone() -> None:
    queue = queue_of(BatchLimits(max_cost=30), request(99, 1, 98))
    assert [[99], [1], [98]] == [costs_of(batch) for batch in cut_all(queue)[0]]


def test_neighbours_are_looked_for_only_among_the_first_items_of_the_window() -> None:
    queue = queue_of(BatchLimits(max_items=2, window=2), request(5, 90, 5))
    assert [5, 90] == costs_of(queue.cut(NOW)[0])


def test_items_of_several_requests_share_a_batch_and_know_whose_they_are() -> None:
    first, second = request(1), request(2, 3)
    batch, _ = queue_of(BatchLimits(), first, second).cut(NOW)
    assert [(first, 0), (second, 0), (second, 1)] == [(item.request, item.index) for item in batch]


def test_another_key_waits_for_its_own_batch() -> None:
    queue = queue_of(BatchLimits(), request(1, key="a"), request(1, key="b"), request(1, key="a"))
    assert ["aa", "b"] == ["".join(item.request.key for item in batch) for batch in cut_all(queue)[0]]  # type: ignore[misc]


def test_a_request_that_does_not_fit_is_refused_whole() -> None:
    queue = queue_of(BatchLimits(max_queue=3), request(1, 1))
    assert not queue.add(request(2, 2))
    assert 2 == len(queue)
    assert [[1, 1]] == [costs_of(batch) for batch in cut_all(queue)[0]]


def test_the_queue_holds_as_much_as_its_limit() -> None:
    assert 3 == len(queue_of(BatchLimits(max_queue=3), request(1, 1), request(1)))


def test_removing_a_request_makes_room_for_another() -> None:
    first, second = request(1, 1), request(2, 2)
    queue = queue_of(BatchLimits(max_queue=2), first)
    assert not queue.add(second)
    queue.remove(first)
    assert queue.add(second)
    assert [[2, 2]] == [costs_of(batch) for batch in cut_all(queue)[0]]


def test_removing_what_a_batch_left_of_a_request_takes_the_rest() -> None:
    first = request(1, 1, 1)
    queue = queue_of(BatchLimits(max_items=2), first)
    queue.cut(NOW)
    queue.remove(first)
    assert 0 == len(queue)
    assert ([], []) == queue.cut(NOW)


def test_removing_a_request_that_does_not_wait_changes_nothing() -> None:
    first, second = request(1), request(2)
    queue = queue_of(BatchLimits(max_items=1), first, second)
    queue.cut(NOW)
    queue.remove(first)
    queue.remove(first)
    assert 1 == len(queue)
    assert [2] == costs_of(queue.cut(NOW)[0])


def test_a_request_expires_at_its_deadline_and_frees_its_room() -> None:
    late, fresh = request(1, 1, deadline=NOW), request(2, deadline=NOW + 0.001)
    queue = queue_of(BatchLimits(max_queue=3), late, fresh)
    batch, expired = queue.cut(NOW)
    assert ([2], [late]) == (costs_of(batch), expired)
    assert queue.add(request(3, 3, 3))


def test_nothing_is_cut_where_nothing_waits() -> None:
    assert ([], []) == queue_of(BatchLimits()).cut(NOW)


def test_nothing_is_ready_where_nothing_waits() -> None:
    assert queue_of(BatchLimits(max_wait=5.0)).ready_at() is None


def test_a_batch_is_ready_at_once_unless_items_may_wait_for_company() -> None:
    assert 0.0 == queue_of(BatchLimits(), request(1)).ready_at()


def test_items_wait_for_company_from_when_the_oldest_came() -> None:
    queue = queue_of(BatchLimits(max_wait=5.0), request(1, arrived=20.0), request(1, arrived=22.0))
    assert 25.0 == queue.ready_at()


def test_when_the_oldest_is_gone_the_next_counts() -> None:
    oldest = request(1, arrived=20.0)
    queue = queue_of(BatchLimits(max_wait=5.0), oldest, request(1, arrived=22.0))
    queue.remove(oldest)
    assert 27.0 == queue.ready_at()


@pytest.mark.parametrize(("items", "ready"), [(2, 25.0), (3, 0.0), (4, 0.0)])
def test_a_full_batch_waits_for_no_company(items: int, ready: float) -> None:
    queue = queue_of(BatchLimits(max_items=3, max_wait=5.0), request(*[1] * items, arrived=20.0))
    assert ready == queue.ready_at()
