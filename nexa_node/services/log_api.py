"""The driving side of nodes' logs: a part of `api.NodeApi`, in a file of its own."""

from typing import Protocol

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.logs import LogLevel, LogLine, worse_or_equal
from nexa_node.contract.rest import Page


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines to tell, the oldest first."""

    level: LogLevel | None = None
    """The least that is wanted."""
    node: str | None = None
    component: str | None = None
    """A prefix."""
    text: str | None = None
    """A part of any of its words, whatever the case."""
    after: str | None = None
    """A cursor: only what was logged since. None: only the newest."""
    before: int | None = None
    """Without a cursor: the newest of those whose `seq` is smaller."""
    limit: int = 100
    wait_s: float = 0.0
    """Wait so long for the first line."""

    def takes(self, line: LogLine) -> bool:
        """Say whether a line is wanted, wherever it stands."""
        return (
            worse_or_equal(line.level, self.level)
            and (self.component is None or line.component.startswith(self.component))
            and (self.text is None or _has(line, self.text.casefold()))
        )


def _has(line: LogLine, wanted: str) -> bool:
    words = (line.event, line.component, line.level, line.node)
    if any(wanted in word.casefold() for word in words):
        return True
    return any(
        wanted in key.casefold() or wanted in str(value).casefold()
        for key, value in line.fields.items()
    )


class LogApi(Protocol):
    """What a node answers about logs."""

    async def logs(self, identity: Identity, query: LogFilter) -> Page[LogLine]:
        """Tell what nodes logged, the oldest first; those that answer."""
        ...
