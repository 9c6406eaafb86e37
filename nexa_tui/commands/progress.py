"""How far something is: one line on a terminal, written over; nothing elsewhere."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import TracebackType

import msgspec

from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import NexaError
from nexa_tui.client.discovery import Target
from nexa_tui.client.rest import Rest
from nexa_tui.commands.output import Call, clean

_EVERY_S, _FOLLOW_S = 0.1, 0.5
_BAR = 24
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


class Progress:
    """One line on standard error that says how far it is; use with `with`."""

    def __init__(self, call: Call, *, quiet: bool = False) -> None:
        """Show nothing yet; and nothing at all off a terminal, or if `quiet`."""
        self._err = call.err
        self._shown = call.err.isatty() and not quiet
        self._width = 0
        self._last = 0.0

    def __enter__(self) -> "Progress":
        """Nothing to open."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Take the line away: what came of it is told by others."""
        self._write("", force=True)

    def bytes(self, what: str, done: int, total: int | None = None) -> None:
        """Say how many bytes are through, of how many if that is known."""
        of = "" if total is None else f" of about {human(total)}"
        self._write(f"{what}  {bar(done, total)}{human(done)}{of}")

    def growth(self, growth: Growth) -> None:
        """Say how far a change of the cluster's shape is."""
        self._write(growth_words(growth))

    @contextmanager
    def following(self, target: Target) -> Generator[Callable[[], None]]:
        """Say how far the node is while it is silent itself; call the answer to stop.

        It is asked over a connection of its own, and only where somebody watches.
        """
        stop = threading.Event()
        if not self._shown:
            yield stop.set
            return
        asking = threading.Thread(target=self._follow, args=(target, stop))
        asking.start()
        try:
            yield stop.set
        finally:
            stop.set()
            asking.join()

    def _follow(self, target: Target, stop: threading.Event) -> None:
        with Rest(target) as node, suppress(NexaError):
            while not stop.wait(_FOLLOW_S):
                growth = growth_of(node)
                if growth is not None and not stop.is_set():
                    self.growth(growth)

    def _write(self, text: str, *, force: bool = False) -> None:
        now = time.monotonic()
        if not self._shown or (not force and now - self._last < _EVERY_S):
            return
        if text or self._width:
            self._err.write("\r" + text.ljust(self._width) + ("" if text else "\r"))
            self._err.flush()
        self._last, self._width = now, len(text)


def growth_of(node: Rest) -> Growth | None:
    """How far the newest change of the cluster's shape is; None if there was none."""
    return msgspec.json.decode(node.text("/v1/cluster/growth"), type=Growth | None)


def growth_words(growth: Growth) -> str:
    """How far a change is, in words: `replicas copy 1204 of 5000 NX_TASKQ`."""
    number = ""
    if growth.total:
        number = f"  {bar(growth.done, growth.total)}{growth.done} of {growth.total}"
    elif growth.done:
        number = f"  {growth.done}"
    detail = f"  {clean(growth.detail, 60)}" if growth.detail else ""
    return f"{growth.action} {clean(growth.phase, 30)}{number}{detail}"


def bar(done: int, total: int | None) -> str:
    """A bar of ASCII with a blank behind it; nothing while the whole is not known."""
    if not total:
        return ""
    full = min(_BAR, _BAR * done // total)
    return "[" + "#" * full + "." * (_BAR - full) + "] "


def human(count: float) -> str:
    """Bytes for a person: `12.3 MiB`."""
    for unit in _UNITS[:-1]:
        if count < _STEP:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} {_UNITS[-1]}"
