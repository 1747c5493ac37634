"""Which calls wait, and which of them run next: a policy, pure in the time passed in.

Not aware of asyncio, threads or what a call is: costs are numbers, keys are compared, payloads are carried.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Any, Generic, TypeVar


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large batches and the queue may grow.

    Attributes:
        max_items: Items in one batch.
        max_cost: Padded cost of one batch: its dearest item's cost × its items. An item that costs more
            runs alone.
        max_queue: Items that wait, over all requests.
        max_wait: Seconds that an item may wait for company while a worker is idle.
        window: Waiting items among which a batch looks for neighbours of like cost.
    """

    max_items: int = 256
    max_cost: int = 4096
    max_queue: int = 4096
    max_wait: float = 0.0
    window: int = 256


class Request:
    """Calls that came together and are answered together.

    Attributes:
        waiting: Indices of the calls that no batch has taken yet, in order.
    """

    __slots__ = ("arrived", "calls", "costs", "deadline", "key", "waiting")

    def __init__(
        self,
        calls: Sequence[Any],
        key: Hashable,
        costs: Sequence[int],
        arrived: float,
        deadline: float | None,
    ) -> None:
        self.calls = calls
        self.key = key
        self.costs = costs
        self.arrived = arrived
        self.deadline = deadline
        self.waiting = dict.fromkeys(range(len(calls)))


R = TypeVar("R", bound=Request)
_PADDED_SHARE = 1.15


@dataclass(frozen=True, slots=True)
class Item(Generic[R]):
    """One call of a request."""

    request: R
    index: int
    cost: int


class BatchQueue(Generic[R]):
    """Requests in order of arrival, cut into batches of equal keys and like costs."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._requests: dict[R, None] = {}
        self._groups: dict[Hashable, dict[R, None]] = {}
        self._items = 0
        self._cost = 0

    def __len__(self) -> int:
        """Items that wait."""
        return self._items

    def add(self, request: R) -> bool:
        """Take a request in, whole; False where it doesn't fit."""
        if self._items + len(request.waiting) > self._limits.max_queue:
            return False
        self._requests[request] = None
        self._groups.setdefault(request.key, {})[request] = None
        self._items += len(request.waiting)
        self._cost += sum(request.costs)
        return True

    def remove(self, request: R) -> None:
        """Forget what still waits of a request; nothing happens where nothing does."""
        if request not in self._requests:
            return
        self._items -= len(request.waiting)
        self._cost -= sum(request.costs[index] for index in request.waiting)
        request.waiting.clear()
        self._unlink(request)

    def ready_at(self) -> float | None:
        """When the next batch should be cut: at once (0), at a time, or None while nothing waits."""
        if not self._requests:
            return None
        limits = self._limits
        if limits.max_wait <= 0 or self._items >= limits.max_items or self._cost >= limits.max_cost:
            return 0.0
        return next(iter(self._requests)).arrived + self._limits.max_wait

    def cut(self, now: float, workers: int = 1) -> tuple[list[Item[R]], list[R]]:
        """Take the next batch out of the queue.

        The oldest item is always in it, so nothing starves; round it come the waiting items of equal key that
        are nearest in cost, so that little is padded. What is too much for one batch is shared out evenly
        among the workers that are free.

        Args:
            now: The time.
            workers: How many are free.

        Returns:
            The batch, by rising cost, empty when nothing waits; and the requests whose deadline had passed,
            which are out of the queue now.
        """
        expired: list[R] = []
        while self._requests:
            head = next(iter(self._requests))
            window = list(islice(self._live(self._groups[head.key], now, expired), self._limits.window))
            for request in expired:
                self.remove(request)
            if window:
                batch = self._nearest(window, self._budget(workers))
                self._take(batch)
                return batch, expired
        return [], expired

    @staticmethod
    def _live(requests: dict[R, None], now: float, expired: list[R]) -> Iterator[Item[R]]:
        for request in requests:
            if request.deadline is not None and request.deadline <= now:
                expired.append(request)
                continue
            for index in request.waiting:
                yield Item(request, index, request.costs[index])

    def _budget(self, workers: int) -> float:
        """Padded cost that the next batch may have."""
        if self._cost <= self._limits.max_cost:
            return self._limits.max_cost
        # Padding comes on top of an even share.
        return min(self._limits.max_cost, _PADDED_SHARE * self._cost / workers)

    def _nearest(self, window: list[Item[R]], budget: float) -> list[Item[R]]:
        """The run of items, sorted by cost, that holds the first and grows to the side that pads less."""
        oldest = window[0]
        window.sort(key=attrgetter("cost"))
        low = window.index(oldest)
        high = low + 1
        while high - low < self._limits.max_items:
            count, top = high - low, window[high - 1].cost
            below = top - window[low - 1].cost if low > 0 else None
            above = count * (window[high].cost - top) if high < len(window) else None
            if above is not None and (count + 1) * window[high].cost > budget:
                above = None
            if below is not None and (count + 1) * top > budget:
                below = None
            if below is None and above is None:
                break
            if above is None or (below is not None and below <= above):
                low -= 1
            else:
                high += 1
        return window[low:high]

    def _take(self, batch: list[Item[R]]) -> None:
        for item in batch:
            del item.request.waiting[item.index]
            if not item.request.waiting:
                self._unlink(item.request)
        self._items -= len(batch)
        self._cost -= sum(item.cost for item in batch)

    def _unlink(self, request: R) -> None:
        del self._requests[request]
        group = self._groups[request.key]
        del group[request]
        if not group:
            del self._groups[request.key]
