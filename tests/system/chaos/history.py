"""What a workload did: every call and every answer, with the machine's monotonic clock.

One JSON line each, written by one append, so that a client that is killed tears none. A
call whose answer nobody wrote down is *open*: it may take effect at any time after it was
made, or never.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

Outcome = Literal["ok", "failed", "unknown"]
"""Answered; answered that it was not done; nobody can know."""


class Line(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something that was written down; `at` is in seconds."""

    at: float


class Called(Line, frozen=True, kw_only=True):
    """A call was made."""

    op: str
    """Names the call; nobody else's."""
    client: str
    kind: str
    """What was asked: `message.send`, `register.cas`."""
    key: str
    """Of what."""
    asked: Any = None


class Returned(Line, frozen=True, kw_only=True):
    """It came back."""

    op: str
    outcome: Outcome
    answer: Any = None


class Received(Line, frozen=True, kw_only=True):
    """A message came to its receiver's handler."""

    receiver: str
    sender: str
    number: int
    seq: int
    """Its position, as the node tells it."""


class Executed(Line, frozen=True, kw_only=True):
    """A handler came to its end; `at` is when."""

    id: str
    claim_epoch: int
    agent: str
    started: float


class Told(Line, frozen=True, kw_only=True):
    """Whoever watched a task was told its end; no status if nobody told in time."""

    key: str
    id: str
    status: str | None
    claim_epoch: int | None = None


class Noted(Line, frozen=True, kw_only=True):
    """Anything else that is worth keeping: connections, what a client says of itself."""

    client: str
    what: str
    words: str = ""


Any_Line = Called | Returned | Received | Executed | Told | Noted


@dataclass(frozen=True, slots=True)
class Op:
    """A call with its answer."""

    op: str
    client: str
    kind: str
    key: str
    asked: Any
    invoked: float
    returned: float | None
    """None: open; it was never answered."""
    outcome: Outcome
    answer: Any = None

    @property
    def is_open(self) -> bool:
        """Whether it may take effect at any later time."""
        return self.outcome == "unknown"

    def __str__(self) -> str:
        end = "…" if self.returned is None else f"{self.returned:.3f}"
        return (
            f"[{self.invoked:.3f} {end}] {self.client} {self.kind} {self.key} "
            f"{self.asked!r} → {self.outcome} {self.answer!r}"
        )


class Recorder:
    """Where one client writes down what it does."""

    def __init__(self, path: Path, client: str) -> None:
        self.client = client
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._count = 0

    def call(self, kind: str, key: str, asked: Any = None, client: str = "") -> str:
        """Write that a call is made, now; its name."""
        self._count += 1
        op = f"{self.client}/{os.getpid()}/{self._count}"
        self.add(
            Called(
                at=time.monotonic(),
                op=op,
                client=client or self.client,
                kind=kind,
                key=key,
                asked=asked,
            )
        )
        return op

    def back(self, op: str, outcome: Outcome, answer: Any = None) -> None:
        """Write that it came back, now."""
        self.add(Returned(at=time.monotonic(), op=op, outcome=outcome, answer=answer))

    def note(self, what: str, words: str = "") -> None:
        self.add(Noted(at=time.monotonic(), client=self.client, what=what, words=words))

    def add(self, line: Any_Line) -> None:
        os.write(self._file, msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read_lines(paths: Iterable[Path]) -> Iterator[Any_Line]:
    """Read logs; half a last line is none."""
    decode = msgspec.json.Decoder(Any_Line).decode
    for path in paths:
        if path.exists():
            text = path.read_bytes()
            for line in text[: text.rfind(b"\n") + 1].splitlines():
                yield decode(line)


def pair(lines: Iterable[Any_Line]) -> list[Op]:
    """Put calls and answers together, in the order of the calls."""
    calls: dict[str, Called] = {}
    answers: dict[str, Returned] = {}
    for line in lines:
        if isinstance(line, Called):
            calls[line.op] = line
        elif isinstance(line, Returned):
            answers.setdefault(line.op, line)
    found = [_op(call, answers.get(name)) for name, call in calls.items()]
    return sorted(found, key=lambda one: one.invoked)


def _op(call: Called, answer: Returned | None) -> Op:
    return Op(
        op=call.op,
        client=call.client,
        kind=call.kind,
        key=call.key,
        asked=call.asked,
        invoked=call.at,
        returned=None if answer is None else answer.at,
        outcome="unknown" if answer is None else answer.outcome,
        answer=None if answer is None else answer.answer,
    )
