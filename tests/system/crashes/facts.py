"""What the programs of a trial write down: one JSON line for each fact, appended at once."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

CAPABILITY = "crash"
CLIENTS = 2
"""Those who submit."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something that happened; `at` is the machine's monotonic clock, in seconds."""

    at: float


class Asked(Fact, frozen=True, kw_only=True):
    """A submission was made, maybe once more."""

    key: str


class Answered(Fact, frozen=True, kw_only=True):
    """It was acknowledged."""

    key: str
    id: str
    duplicate: bool


class Refused(Fact, frozen=True, kw_only=True):
    """It was answered with an error; `passing` if it is to be made again."""

    key: str
    reason: str
    passing: bool
    words: str


class Told(Fact, frozen=True, kw_only=True):
    """Whoever watched the task was told its end; no status if nobody told in time."""

    key: str
    id: str
    status: str | None
    claim_epoch: int | None = None
    """What the result says of the claim it was made under."""


class Executed(Fact, frozen=True, kw_only=True):
    """A handler came to its end; `at` is when."""

    id: str
    claim_epoch: int
    agent: str
    pid: int
    started: float


class Killed(Fact, frozen=True, kw_only=True):
    """The killer did it; `at` is the moment before."""

    after: int
    kind: str
    who: str
    back: float
    """When it was started again."""


Known = Asked | Answered | Refused | Told | Executed | Killed


class Outcome(msgspec.Struct, frozen=True):
    """A task's result, as the worker makes it: says under which claim it was made."""

    square: int
    claim_epoch: int
    agent: str


def key_of(seed: int, number: int) -> str:
    """The idempotency key of a trial's task."""
    return f"crash-{seed}-{number}"


def number_of(key: str) -> int:
    return int(key.rpartition("-")[2])


class Log:
    """A file that facts are appended to: one write each, so a kill tears none."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, fact: Known) -> None:
        os.write(self._file, msgspec.json.encode(fact) + b"\n")

    def close(self) -> None:
        os.close(self._file)


F = TypeVar("F", bound=Known)


class Tail(Generic[F]):
    """A log, read as it grows."""

    def __init__(self, path: Path, kind: type[F]) -> None:
        self.facts: list[F] = []
        self._path = path
        self._at = 0
        self._decode = msgspec.json.Decoder(kind).decode

    def more(self) -> Iterator[F]:
        """Read what is new; half a line stays for the next time."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.splitlines():
            fact = self._decode(line)
            self.facts.append(fact)
            yield fact
