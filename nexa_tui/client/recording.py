"""`nexa console --record FILE`: what the console is told and asked, kept for later.

A line of JSON each: first the head, then frames of the feed, answers that a node gave,
and what the person did, each with the seconds since the beginning. Secrets are taken out
before anything is written; the file is for its owner alone all the same.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from nexa_node.contract.errors import Conflict, Invalid
from nexa_node.contract.version import VERSION
from nexa_tui.client.api import FeedNews, Lost, NodeClient, Received
from nexa_tui.client.clock import Clock
from nexa_tui.client.redaction import scrubbed

FORMAT = 1
BYTES_MAX = 1024**3
"""Then recording ends, and the console goes on."""
ANSWERS = frozenset(
    (
        "task", "explain", "alert", "alert_history", "silences", "rules", "audit",
        "namespaces", "query_range",
    )
)  # fmt: skip
"""Calls that look: their answers are kept, by the first argument."""
_SILENT = frozenset(("feed", "selftest", "close", "target"))


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line."""

    nexa: str
    """The version that wrote it."""
    format: int
    started: datetime
    name: str
    """Of the node that was watched."""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the others: exactly one of the fields besides `t` is there."""

    t: float
    """Seconds since the beginning."""
    frame: msgspec.Raw = msgspec.Raw()
    lost: str | None = None
    """Why the feed broke."""
    asked: str | None = None
    """A call that looks, and its first argument."""
    answer: msgspec.Raw = msgspec.Raw()
    did: str | None = None
    """A call that changes something, and its first argument."""


class Recorder:
    """A `NodeClient` that writes down what passes, and changes nothing of it."""

    def __init__(self, inner: NodeClient, tape: "Tape") -> None:
        """Pass everything on to `inner`."""
        self._inner = inner
        self._tape = tape

    async def feed(self) -> AsyncIterator[FeedNews]:
        """Pass on what is told."""
        async for news in self._inner.feed():
            match news:
                case Received(frame):
                    self._tape.write(frame=_raw(frame))
                case Lost(why):
                    self._tape.write(lost=str(scrubbed(why)))
                case _:
                    pass
            yield news

    def __getattr__(self, name: str) -> Any:
        """Pass on a call, and write down what came of it."""
        found = getattr(self._inner, name)
        if name in _SILENT or not callable(found):
            return found
        call = cast("Callable[..., Awaitable[Any]]", found)

        async def passed_on(*args: Any, **named: Any) -> Any:
            words = str(scrubbed(" ".join((name, *(str(one) for one in args[:1])))))
            if name not in ANSWERS:
                self._tape.write(did=words[:300])
            answer = await call(*args, **named)
            if name in ANSWERS:
                self._tape.write(asked=words, answer=_raw(answer))
            return answer

        return passed_on


class Tape:
    """The file that is written."""

    def __init__(self, path: Path, clock: Clock, *, name: str) -> None:
        """Make the file, for its owner alone.

        Raises:
            Conflict: It is there already.
            Invalid: It can't be made.
        """
        self._clock = clock
        self._began = clock.monotonic()
        self._written = 0
        self.problem: str | None = None
        """Why nothing more is written."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            self._file: IO[bytes] | None = os.fdopen(os.open(path, flags, 0o600), "wb")
        except FileExistsError as error:
            raise Conflict(
                f"{path} is there already", remedy="give another name to --record"
            ) from error
        except OSError as error:
            raise Invalid(
                f"{path} can't be made: {error.strerror}",
                remedy=f"make {path.parent} writable",
            ) from error
        self._put(Head(nexa=VERSION, format=FORMAT, started=clock.utc(), name=name))

    def write(self, **fields: Any) -> None:
        """Add a line; once that fails nothing more is written, and `problem` says why."""
        self._put(Line(t=round(self._clock.monotonic() - self._began, 3), **fields))

    def close(self) -> None:
        """Write what waits. Idempotent."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _put(self, line: msgspec.Struct) -> None:
        if self._file is None:
            return
        data = msgspec.json.encode(line) + b"\n"
        self._written += len(data)
        try:
            if self._written > BYTES_MAX:
                raise OSError(0, f"the recording has {BYTES_MAX >> 20} MiB")
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            self.problem = f"recording ended: {error.strerror}"
            self.close()


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(scrubbed(msgspec.to_builtins(value))))
