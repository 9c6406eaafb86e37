"""Queries over a node's history, as Prometheus' HTTP API answers them.

An expression is computed in a thread, with an end to its time and to what it may read,
a few at a time: no query holds the node up, and none takes it down.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from nexa_node.contract.errors import Unavailable
from nexa_node.core.promql import answers
from nexa_node.core.promql.evaluate import evaluate, steps_of
from nexa_node.core.promql.parsing import parse
from nexa_node.core.promql.samples import (
    Budget,
    Labels,
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


class Kept(Protocol):
    """Samples and the labels of all series; read in threads."""

    def select(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int
    ) -> list[Series]:
        """As `History.select`."""
        ...

    def labels(self) -> tuple[Labels, ...]:
        """The labels of every series."""
        ...


class Uncomputable(QueryError):
    """An expression that was understood and could not be computed."""

    def __init__(self, error: QueryError) -> None:
        """Say why."""
        super().__init__(str(error))
        self.late = "timed out" in str(error)
        """Its time was over."""

    @property
    def kind(self) -> str:
        """As Prometheus has it."""
        return "timeout" if self.late else "execution"


class Querying:
    """Answers queries."""

    def __init__(self, source: Kept, *, clock: Clock) -> None:
        """Answer from `source`."""
        self._source = source
        self._clock = clock
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._asked = 0

    async def instant(
        self, text: str, *, at_ms: int | None, limit_s: float | None = None
    ) -> bytes:
        """`query`: one moment, now by default.

        Raises:
            QueryError: It is no expression.
            Uncomputable: It can't be computed, or not within `limit_s`.
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

        return await self._in_turn(compute, limit_s)

    async def over_time(
        self,
        text: str,
        *,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        limit_s: float | None = None,
    ) -> bytes:
        """`query_range`.

        Raises:
            QueryError: It is no expression, or has too many steps.
            Uncomputable: It can't be computed, or not within `limit_s`.
            Unavailable: Too many queries wait already.
        """
        expression = parse(text)
        steps = steps_of(start_ms, end_ms, step_ms)

        def compute(budget: Budget) -> Any:
            value = evaluate(expression, self._source, steps, budget)
            return answers.over_time(value, steps)

        return await self._in_turn(compute, limit_s)

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

    async def _in_turn(
        self, compute: Callable[[Budget], Any], limit_s: float | None
    ) -> bytes:
        if self._asked >= AT_ONCE + WAITING:
            raise Unavailable("too many queries wait already", retry_after_ms=1000)
        self._asked += 1
        try:
            async with self._turn:
                until = self._clock.monotonic() + min(TIME_S, limit_s or TIME_S)
                budget = Budget(SAMPLES, lambda: self._clock.monotonic() > until)
                return await asyncio.to_thread(lambda: _encode(compute(budget)))
        except QueryError as error:
            raise Uncomputable(error) from error
        finally:
            self._asked -= 1

    def _now_ms(self) -> int:
        return round(self._clock.now().timestamp() * 1000)


def _encode(data: Any) -> bytes:
    return msgspec.json.encode({"status": "success", "data": data})
