"""What a failed check of the self-test means for each panel of the dashboard.

Whoever goes on degraded must see which panels can't be trusted wholly, and why. The ids
are the self-test's own; a check that is not known here (a newer node's) touches what its
group touches.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from nexa_node.contract.checks import CheckGroup, CheckResult
from nexa_tui.state.text import clean

PanelName = Literal["agents", "tasks", "host", "flow", "events"]
PANELS: Mapping[PanelName, str] = MappingProxyType(
    {
        "agents": "Agents",
        "tasks": "Tasks",
        "host": "Host",
        "flow": "Throughput",
        "events": "Events",
    }
)
"""Their titles, in the order they are looked at."""

Effects = Mapping[PanelName, str]
_NO_ROOM: Effects = {
    "tasks": "new ones may be refused",
    "flow": "may stand still",
    "events": "may have holes",
}
_UNSAVED: Effects = {
    "agents": "may be out of date",
    "tasks": "may not be kept",
    "flow": "may stand still",
    "events": "may have holes",
}
_ABSENT: Effects = {
    "agents": "none can join",
    "tasks": "nothing is done",
    "flow": "nothing is measured",
    "events": "nothing is kept",
}
_OF_CHECK: Mapping[str, Effects] = {
    "machine.python": {"host": "unsupported Python"},
    "machine.cores": {"host": "overloaded", "flow": "slowed down"},
    "machine.memory": {"host": "short of memory", "tasks": "may be cut off"},
    "machine.disk": {"host": "short of space", **_NO_ROOM},
    "machine.fsync": {"host": "disk can't be relied on", **_NO_ROOM},
    "machine.clock": {
        "tasks": "ages may be wrong",
        "events": "times may be wrong",
        "agents": "ages may be wrong",
    },
    "machine.locale": {"events": "letters may be lost"},
    "machine.port": {"agents": "none can join"},
    "machine.modes": {"host": "secrets open to others"},
    "configuration.settings": {"host": "runs on other settings"},
    "node.binary": _ABSENT,
    "node.start": _ABSENT,
    "node.store": _UNSAVED,
    "node.rest": {"tasks": "can't be opened", "agents": "can't be told anything"},
    "node.agents": {"agents": "none can join", "tasks": "may wait in vain"},
    "cluster.peers": {"host": "no spare node", "tasks": "may stand still"},
}
_OF_GROUP: Mapping[CheckGroup, Effects] = {
    "machine": {"host": "not as it should be"},
    "configuration": {"host": "runs on other settings"},
    "node": {"tasks": "may stand still", "agents": "may be out of date"},
    "connectivity": {"tasks": "work may fail"},
    "cluster": {"host": "no spare node", "tasks": "may stand still"},
}


class Doubt(msgspec.Struct, frozen=True):
    """Why one panel can't be trusted wholly."""

    effect: str
    """In a few words of our own: what it means for what is shown there."""
    checks: tuple[str, ...]
    """Titles of the checks that failed, clean; the first has that effect."""

    @property
    def text(self) -> str:
        """For a border: `nothing new is kept: disk space, store round trip`."""
        return f"{self.effect}: {', '.join(self.checks)}"


def effects(check: CheckResult) -> Effects:
    """Say what a check that fails means for which panel."""
    return _OF_CHECK.get(check.id) or _OF_GROUP[check.group]


def doubts(checks: Iterable[CheckResult]) -> Mapping[PanelName, Doubt]:
    """Say which panels the failed ones among `checks` make doubtful, and how."""
    found: dict[PanelName, Doubt] = {}
    for check in checks:
        if check.status != "fail":
            continue
        title = clean(check.title, 60)
        for panel, effect in effects(check).items():
            known = found.get(panel)
            if known is None:
                found[panel] = Doubt(effect, (title,))
            else:
                found[panel] = Doubt(known.effect, (*known.checks, title))
    return {panel: found[panel] for panel in PANELS if panel in found}
