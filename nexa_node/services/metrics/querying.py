"""Queries over a node's history, as Prometheus' HTTP API answers them.

An expression is computed in a thread, with an end to its time and to what it may read,
a few at a time: no query holds the node up, and none takes it down.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import msgspec

from nexa_node.contract.errors import Unavailable
from nexa_node.core.history import History
from nexa_node.core.promql import answers
from nexa_node.core.promql.evaluate import evaluate, steps_of
from nexa_node.core.promql.parsing import parse
from nexa_node.core.promql.samples import (
    Budget,
    Matcher,
    QueryError,
    Series,
)
from nexa_node.ports import Clock

AT_ONCE = 2
"""Queries computed at the same time: they share the processor with the node."""
WAITING = 20
"""Queries that may wait for their turn; one more is refused."""
TIME_S = 10.0
SAMPLES = 20_000_000
SERIES_MAX = 10_000


class Shared:
    """A history that is written by the node's loop and read by threads."""

    def __init__(self, history: History) -> None:
        """Guard `history`."""
        self._history = history
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def writing(self) -> Generator[History]:
        """Have it to oneself, for a moment."""
        with self._lock:
            yield self._history

    def select(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int
    ) -> list[Series]:
        """As `History.select`; what it gives is a copy."""
        with self._lock:
            return self._history.select(matchers, start_ms, end_ms)

    def labels(self) -> tuple[Any, ...]:
        """The labels of every series."""
        with self._lock:
            return self._history.labels()


class Querying:
    """Answers queries."""

    def __init__(self, source: Shared, *, clock: Clock) -> None:
        """Answer from `source`."""
        self._source = source
        self._clock = clock
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._asked = 0

    async def instant(self, text: str, *, at_ms: int | None) -> bytes:
        """`query`: one moment, now by default.

        Raises:
            QueryError: It can't be computed.
            Unavailable: Too many queries wait already.
        """
        expression = parse(text)
        at = self._now_ms() if at_ms is None else at_ms

        def compute(budget: Budget) -> Any:
            steps = steps_of(at, at, 1)
            value = evaluate(expression, self._source, steps, budget)
            ordered = answers.is_ordered(expression)
            value = answers.sorted_by_value(value, expression)
            return answers.instant(value, at, ordered=ordered)

        return await self._in_turn(compute)

    async def over_time(
        self, text: str, *, start_ms: int, end_ms: int, step_ms: int
    ) -> bytes:
        """`query_range`.

        Raises:
            QueryError: It can't be computed, or has too many steps.
            Unavailable: Too many queries wait already.
        """
        expression = parse(text)
        steps = steps_of(start_ms, end_ms, step_ms)

        def compute(budget: Budget) -> Any:
            value = evaluate(expression, self._source, steps, budget)
            return answers.over_time(value, steps)

        return await self._in_turn(compute)

    async def series(
        self, wanted: Iterable[str], *, start_ms: int | None, end_ms: int | None
    ) -> bytes:
        """`series`: the labels of what meets any of the selectors.

        Raises:
            QueryError: One is no selector, or there is none.
        """
        found = await self._matching(tuple(wanted), start_ms, end_ms)
        return _encode(answers.series(found))

    async def labels(
        self, wanted: Iterable[str], *, start_ms: int | None, end_ms: int | None
    ) -> bytes:
        """`labels`: their names, of what meets any of the selectors, or of all."""
        asked = tuple(wanted)
        if not asked:
            return _encode(answers.label_names(self._source.labels()))
        found = await self._matching(asked, start_ms, end_ms)
        return _encode(answers.label_names(one.labels for one in found))

    async def values(
        self,
        label: str,
        wanted: Iterable[str],
        *,
        start_ms: int | None,
        end_ms: int | None,
    ) -> bytes:
        """`label/…/values`."""
        asked = tuple(wanted)
        if not asked:
            return _encode(answers.label_values(self._source.labels(), label))
        found = await self._matching(asked, start_ms, end_ms)
        return _encode(answers.label_values((one.labels for one in found), label))

    # -- work --------------------------------------------------------------------

    async def _matching(
        self, wanted: tuple[str, ...], start_ms: int | None, end_ms: int | None
    ) -> list[Series]:
        if not wanted:
            raise QueryError("no match[] parameter provided")
        asked = [answers.selector(text) for text in wanted]
        end = self._now_ms() if end_ms is None else end_ms
        start = 0 if start_ms is None else start_ms
        found: list[Series] = []
        for matchers in asked:
            found += await asyncio.to_thread(self._source.select, matchers, start, end)
            if len(found) > SERIES_MAX:
                raise QueryError(f"more than {SERIES_MAX} series match")
        return found

    async def _in_turn(self, compute: Callable[[Budget], Any]) -> bytes:
        if self._asked >= AT_ONCE + WAITING:
            raise Unavailable("too many queries wait already", retry_after_ms=1000)
        self._asked += 1
        try:
            async with self._turn:
                until = self._clock.monotonic() + TIME_S
                budget = Budget(SAMPLES, lambda: self._clock.monotonic() > until)
                return await asyncio.to_thread(lambda: _encode(compute(budget)))
        finally:
            self._asked -= 1

    def _now_ms(self) -> int:
        return round(self._clock.now().timestamp() * 1000)


def _encode(data: Any) -> bytes:
    return msgspec.json.encode({"status": "success", "data": data})
