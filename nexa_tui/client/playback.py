"""`nexa console --replay FILE`: a recording, told again at the pace it was recorded."""

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nexa_node.contract.access import NamespaceView
from nexa_node.contract.alerts import AlertChange, AlertDetail, Rule, Silence
from nexa_node.contract.audit import AuditRecord
from nexa_node.contract.errors import Forbidden, Invalid, NotFound
from nexa_node.contract.events import FeedFrame
from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import Explanation, Task
from nexa_tui.client.api import Connecting, FeedNews, Lost, Received
from nexa_tui.client.clock import Clock
from nexa_tui.client.discovery import Target
from nexa_tui.client.prometheus import Row
from nexa_tui.client.recording import FORMAT, Head, Line
from nexa_tui.client.replay import Replay

SPEED_MIN, SPEED_MAX = 0.1, 1000.0
BYTES_MAX = 2 * 1024**3

T = TypeVar("T")


class Reel(msgspec.Struct):
    """A recording, read."""

    head: Head
    lines: list[Line]
    """Frames, losses and deeds, in order."""
    answers: dict[str, list[Line]]
    """By the call and its argument, in order."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.lines[-1].t if self.lines else 0.0


def read_reel(path: Path) -> Reel:
    """Read a recording. Its last line may be cut: the console may have been killed.

    Raises:
        Invalid: It can't be read, or is none; names the line.
    """
    try:
        if path.stat().st_size > BYTES_MAX:
            raise Invalid(
                f"{path} is larger than {BYTES_MAX >> 30} GiB",
                remedy="record less of it: nexa console --record FILE",
            )
        data = path.read_bytes()
    except OSError as error:
        raise Invalid(
            f"{path} can't be read: {error.strerror}",
            remedy="nexa console --record FILE makes one",
        ) from error
    first, _, rest = data.partition(b"\n")
    try:
        head = msgspec.json.decode(first, type=Head)
    except msgspec.DecodeError as error:
        raise Invalid(
            f"{path} is no recording of a console: {error}",
            remedy="nexa console --record FILE makes one",
        ) from error
    if head.format != FORMAT:
        raise Invalid(
            f"{path} was written by nexa {head.nexa[:20]!a} in the form {head.format}",
            remedy="replay it with that version",
        )
    return _read(path, head, rest)


def _read(path: Path, head: Head, data: bytes) -> Reel:
    reel = Reel(head, [], defaultdict(list))
    decoder = msgspec.json.Decoder(Line)
    lines = data.split(b"\n")
    for number, text in enumerate(lines, 2):
        if not text:
            continue
        try:
            line = decoder.decode(text)
        except msgspec.DecodeError as error:
            if number - 1 == len(lines):
                break
            raise Invalid(
                f"{path}:{number}: {error}", remedy="record it anew"
            ) from error
        if line.asked is not None:
            reel.answers[line.asked].append(line)
        else:
            reel.lines.append(line)
    return reel


class Playback(Replay):
    """See `api.NodeClient`; nothing can be changed in a recording."""

    def __init__(
        self,
        target: Target,
        reel: Reel,
        clock: Clock,
        *,
        speed: float = 1.0,
        tell: Callable[[str], None],
    ) -> None:
        """Stand at the beginning.

        Args:
            target: What it pretends to be.
            reel: What is told.
            clock: For the moment a frame is told.
            speed: How many times faster than it was.
            tell: Told what the person did who recorded it.
        """
        refusal = Forbidden(
            "this is a recording: nothing can be changed in it",
            remedy="nexa console, without --replay",
        )
        super().__init__(target, refusal=refusal)
        self._reel = reel
        self._clock = clock
        self._speed = speed
        self._say = tell
        self._at = 0.0
        """How far it is, in seconds of the recording."""

    async def feed(self) -> AsyncIterator[FeedNews]:
        """Tell it again, then wait."""
        decoder = msgspec.json.Decoder(FeedFrame)
        began = self._clock.monotonic()
        yield Connecting(self.target, 0)
        for line in self._reel.lines:
            due = began + line.t / self._speed
            await asyncio.sleep(max(0.0, due - self._clock.monotonic()))
            self._at = line.t
            if line.did is not None:
                self._say(f"recorded: {line.did}")
            elif line.lost is not None:
                now = self._clock.monotonic()
                yield Lost(line.lost, None, now, 1)
            elif bytes(line.frame):
                try:
                    frame = decoder.decode(line.frame)
                except msgspec.DecodeError:
                    continue  # of a kind that this version does not know
                yield Received(frame, self._clock.monotonic())
        self._say("the recording ends here; , and < go back")
        await asyncio.Event().wait()

    async def task(self, task_id: TaskId) -> Task:
        """The task, as it was told last."""
        return self._answer(f"task {task_id}", Task)

    async def explain(self, task_id: TaskId) -> Explanation:
        """Why it was where it was."""
        return self._answer(f"explain {task_id}", Explanation)

    async def alert(self, fingerprint: str) -> AlertDetail:
        """The alert, as it was told last."""
        return self._answer(f"alert {fingerprint}", AlertDetail)

    async def alert_history(self) -> Sequence[AlertChange]:
        """What had become of alerts."""
        return self._list("alert_history", tuple[AlertChange, ...])

    async def silences(self) -> Sequence[Silence]:
        """The silences of then."""
        return self._list("silences", tuple[Silence, ...])

    async def rules(self) -> Sequence[Rule]:
        """The rules of then."""
        return self._list("rules", tuple[Rule, ...])

    async def audit(self) -> Sequence[AuditRecord]:
        """The audit of then."""
        return self._list("audit", tuple[AuditRecord, ...])

    async def namespaces(self) -> Sequence[NamespaceView]:
        """What each namespace might use then."""
        return self._list("namespaces", tuple[NamespaceView, ...])

    async def query_range(
        self, expression: str, *, start: float, end: float, step: float
    ) -> Sequence[Row]:
        """What was answered to that expression, whatever time is asked for."""
        return self._list(f"query_range {expression}", tuple[Row, ...])

    def _list(self, asked: str, kind: type[T]) -> T:
        found = self._find(asked)
        return msgspec.json.decode(b"[]" if found is None else found, type=kind)

    def _answer(self, asked: str, kind: Any) -> Any:
        found = self._find(asked)
        if found is None:
            raise NotFound(f"nobody asked for that while it was recorded: {asked[:80]}")
        return msgspec.json.decode(found, type=kind)

    def _find(self, asked: str) -> msgspec.Raw | None:
        told = self._reel.answers.get(asked, [])
        if not told:
            return None
        index = bisect_right(told, self._at, key=lambda line: line.t)
        return told[max(0, index - 1)].answer
