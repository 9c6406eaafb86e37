"""Is a history linearizable? Wing and Gong's search, with Lowe's memory of dead ends.

The search takes the pending calls one after the other as the next that took effect, and
goes back where an answer can't be explained. What it remembers is which calls had taken
effect in which state: it never looks at the same situation twice. Objects are
independent of each other, so each key is searched for itself.

An open call (no answer, or one that tells nothing) may take effect at any time after it
was made, or never; only the answered ones have to find their place.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.system.chaos.history import Op

Step = Callable[[Hashable, Op], tuple[bool, Hashable]]
"""State and call in; out, whether the answer can be explained, and the state after it.
Of an open call every answer can be; what is told is its effect if it has one."""
STEPS = 2_000_000
"""Then it is given up: undecided, which is no violation and is told."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found for one key."""

    key: str
    answer: Literal["linearizable", "violated", "undecided"]
    evidence: tuple[Op, ...] = ()
    """Of a violation: the shortest beginning of the history that can't be explained."""
    steps: int = 0


def check_all(ops: Iterable[Op], initial: Hashable, step: Step) -> list[Verdict]:
    """Check each key of a history for itself."""
    by_key: dict[str, list[Op]] = defaultdict(list)
    for op in ops:
        by_key[op.key].append(op)
    return [check(history, initial, step) for _, history in sorted(by_key.items())]


def check(ops: Sequence[Op], initial: Hashable, step: Step) -> Verdict:
    """Check the history of one key."""
    key = ops[0].key if ops else ""
    ops = [op for op in ops if op.outcome != "failed"]
    search = Search(ops, initial, step)
    answer = search.run()
    if answer != "violated":
        return Verdict(key, answer, steps=search.steps)
    return Verdict(key, answer, _shortest(ops, initial, step), search.steps)


def until(ops: Iterable[Op], end: float) -> list[Op]:
    """The history as it was known at `end`: what had not come back by then is open."""
    return [
        op
        if op.returned is not None and op.returned <= end
        else Op(
            op.op, op.client, op.kind, op.key, op.asked, op.invoked, None, "unknown"
        )
        for op in ops
        if op.invoked <= end
    ]


def _shortest(ops: Sequence[Op], initial: Hashable, step: Step) -> tuple[Op, ...]:
    """The shortest beginning that is violated: each longer one is, too."""
    ends = sorted({op.returned for op in ops if op.returned is not None})
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if Search(until(ops, ends[middle]), initial, step).run() == "violated":
            high = middle
        else:
            low = middle + 1
    return tuple(until(ops, ends[low]))


class _Entry:
    """A call or an answer, in a list that they are taken out of and put back into."""

    __slots__ = ("after", "before", "index", "match", "op")

    def __init__(self, op: Op, index: int) -> None:
        self.op = op
        self.index = index
        self.match: _Entry | None = None
        """Of a call: its answer, if there is one. Of an answer: None."""
        self.before: _Entry
        self.after: _Entry | None = None

    def lift(self) -> None:
        for one in (self, self.match):
            if one is not None:
                one.before.after = one.after
                if one.after is not None:
                    one.after.before = one.before

    def unlift(self) -> None:
        for one in (self.match, self):
            if one is not None:
                one.before.after = one
                if one.after is not None:
                    one.after.before = one


class Search:
    """One search through one history."""

    def __init__(
        self, ops: Sequence[Op], initial: Hashable, step: Step, limit: int = STEPS
    ) -> None:
        self.steps = 0
        self._step = step
        self._state = initial
        self._limit = limit
        self._answered = 0
        self._answers: set[int] = set()
        self._head = _Entry(_NOTHING, -1)
        self._link(ops)

    def _link(self, ops: Sequence[Op]) -> None:
        """Make the list: calls and answers by time, a call before an answer."""
        events: list[tuple[float, int, _Entry]] = []
        for index, op in enumerate(ops):
            call = _Entry(op, index)
            events.append((op.invoked, 0, call))
            if not op.is_open:
                assert op.returned is not None
                call.match = _Entry(op, index)
                self._answers.add(id(call.match))
                self._answered += 1
                events.append((op.returned, 1, call.match))
        events.sort(key=lambda event: (event[0], event[1], event[2].index))
        last = self._head
        for _, _, entry in events:
            last.after, entry.before = entry, last
            last = entry

    def run(self) -> Literal["linearizable", "violated", "undecided"]:
        """Search."""
        taken = 0
        seen: set[tuple[int, Hashable]] = set()
        stack: list[tuple[_Entry, Hashable]] = []
        entry = self._head.after
        while self._answered:
            assert entry is not None  # an answer that is left stands behind all calls
            if id(entry) not in self._answers:
                self.steps += 1
                if self.steps > self._limit:
                    return "undecided"
                good, state = self._step(self._state, entry.op)
                now = (taken | 1 << entry.index, state)
                if good and now not in seen:
                    seen.add(now)
                    stack.append((entry, self._state))
                    taken, self._state = now
                    self._answered -= entry.match is not None
                    entry.lift()
                    entry = self._head.after
                else:
                    entry = entry.after
                continue
            if not stack:
                return "violated"
            entry, self._state = stack.pop()
            taken &= ~(1 << entry.index)
            self._answered += entry.match is not None
            entry.unlift()
            entry = entry.after
        return "linearizable"


_NOTHING = Op("", "", "", "", None, -math.inf, None, "unknown")


def register(state: Hashable, op: Op) -> tuple[bool, Hashable]:
    """A register that is read, written, and changed by compare-and-set.

    `register.read` answers the value; `register.write` is asked for one;
    `register.cas` is asked for (expected, new) and answers whether it was changed.
    """
    if op.kind == "register.read":
        return op.is_open or op.answer == state, state
    if op.kind == "register.write":
        return True, op.asked
    expected, new = op.asked
    if op.is_open:
        return True, new if state == expected else state
    if op.answer:
        return state == expected, new
    return state != expected, state


def early_register(state: Hashable, op: Op) -> tuple[bool, Hashable]:
    """The same, where a swap may be refused for one that is only about to be made.

    The leader of a replicated store refuses the second of two swaps at once, before a
    majority has the first: who lost, and reads again, may still see what there was.
    """
    if op.kind == "register.cas" and not op.is_open and not op.answer:
        return True, state
    return register(state, op)
