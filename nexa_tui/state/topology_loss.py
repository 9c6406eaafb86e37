"""What it would do that a node stops: its blast radius, before it happens.

Arithmetic over what is known, in sentences; the same function tells the console's panel,
its dialogs and the commands.
"""

from collections.abc import Iterable

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.nodes import StreamPlace
from nexa_tui.state.severity import StyleKey
from nexa_tui.state.text import clean
from nexa_tui.state.topology import Topology

ELECTION = "4 to 9 s"
"""Raft's election time in nats-server; no setting changes it."""
TAKEOVER = "5 s"
"""Within that another node is controller."""
_TAUGHT_MAX = 6
"""Whoever has more nodes knows."""
JOIN_HERE = "nexa cluster join-token"
JOIN_THERE = "nexa node start --join TOKEN"


class Loss(msgspec.Struct, frozen=True):
    """What follows from the end of one node."""

    node: str
    down: bool = False
    """It is gone already: what is told then is how things stand."""
    alone: bool = False
    """There is no other node."""
    last: bool = False
    """No other node is up."""
    broken: bool = False
    """There is no quorum already."""
    attached: bool = False
    """The store is somebody else's: `have` counts nodes that are left, one is needed."""
    agents: int = 0
    """Connected to it."""
    inflight: int = 0
    """Tasks in their hands."""
    elects: tuple[str, ...] = ()
    """Streams it leads that get another leader."""
    stops: tuple[str, ...] = ()
    """Streams that could not be written any more."""
    only: tuple[str, ...] = ()
    """Streams whose only copy is there."""
    meta: bool = False
    """It leads the store's own group."""
    controller: bool = False
    have: int = 0
    """Voters left."""
    need: int = 0
    members: int = 0

    @property
    def margin(self) -> int:
        """Voters left above those needed."""
        return self.have - self.need

    @property
    def breaks(self) -> bool:
        """Whether writes would stop that go on now."""
        stops = bool(self.stops) or self.margin < 0
        return stops and not (self.down or self.alone or self.broken)


class Sentence(msgspec.Struct, frozen=True):
    """A clean sentence and how bad it is."""

    text: str
    style: StyleKey = "text"


def loss(view: Topology, agents: Iterable[Agent], name: str) -> Loss | None:
    """Say what the end of a node would do; None if there is no such node.

    Args:
        view: The cluster.
        agents: Those that are known; without any the node's own count is taken.
        name: Of the node, or its id.
    """
    part = view.part(name)
    if part is None:
        return None
    mine = [one for one in agents if one.node == part.name and one.connected]
    streams = view.cluster.streams
    living = {one.name for one in view.parts if not one.down} - {part.name}
    stops = [one for one in streams if _stops(one, part.name, living)]
    only = [one.name for one in stops if len(one.replicas) == 1]
    quorum = view.cluster.quorum
    return Loss(
        node=part.name,
        down=part.down,
        alone=len(view.parts) == 1,
        last=not living,
        broken=quorum.have < quorum.need,
        attached=view.attached,
        agents=len(mine) or part.node.agents,
        inflight=sum(one.inflight for one in mine),
        elects=tuple(
            one.name for one in streams if one.leader == part.name and one not in stops
        ),
        stops=tuple(one.name for one in stops if len(one.replicas) > 1),
        only=tuple(only),
        meta=part.node.role == "leader",
        controller=part.controller,
        have=len(living)
        if view.attached
        else quorum.have
        if part.down
        else quorum.have - 1,
        need=1 if view.attached else quorum.need,
        members=view.members,
    )


def loss_sentences(told: Loss) -> list[Sentence]:
    """The same in sentences, what it does to writes first."""
    if told.alone:
        return _alone(told)
    if told.down:
        return _down(told)
    return [quorum_sentence(told), *_streams(told), *_work(told), *_offices(told)]


def quorum_sentence(told: Loss) -> Sentence:
    """What is left of the quorum, and what that means for writes."""
    if told.attached:
        return _attached(told)
    left = f"{told.have} of {told.members} left, {told.need} needed"
    if told.broken:
        return Sentence(f"no quorum already; {left}", "crit")
    if told.margin < 0:
        return Sentence(f"QUORUM BREAKS: {left}; every write stops", "crit")
    if told.margin == 0:
        return Sentence(f"margin 0: {left}; then no other may stop", "warn")
    more = f"{told.margin} more may stop"
    return Sentence(f"margin {told.margin}: {left}; {more}", "ok")


def _attached(told: Loss) -> Sentence:
    if told.have < told.need:
        return Sentence("no node is left: nothing goes on until one is back", "crit")
    goes = "goes" if told.have == 1 else "go"
    left = f"{count(told.have, 'node')} {goes} on; the data is in the attached NATS"
    return Sentence(left, "warn" if told.have == told.need else "ok")


def growing(members: int) -> list[Sentence]:
    """Why more than one node, and the exact commands that add one."""
    if members != 1:
        return []
    return [
        Sentence("One node: complete, and nothing goes on while it is away.", "strong"),
        Sentence("Two survive no loss either; of three any one may stop.", "muted"),
        Sentence(f"here   {JOIN_HERE}", "strong"),
        Sentence(f"there  {JOIN_THERE}", "strong"),
    ]


def one_more(members: int) -> str | None:
    """What one more node would be good for, where there is an even number of them."""
    if members % 2 or members > _TAUGHT_MAX:
        return None
    survive = members // 2
    return (
        f"one more node, and any {survive} of {members + 1} may stop: {JOIN_HERE},"
        f" then there {JOIN_THERE}"
    )


def names(found: Iterable[str], most: int = 2) -> str:
    """Some names, and how many more: `NX_TASKQ, NX_INBOX and 3 more`."""
    all_ = [clean(one, 40) for one in found]
    if len(all_) <= most + 1:
        return " and ".join(filter(None, (", ".join(all_[:-1]), *all_[-1:])))
    return f"{', '.join(all_[:most])} and {len(all_) - most} more"


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 agent`, `3 agents`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _stops(stream: StreamPlace, name: str, living: set[str]) -> bool:
    """Whether a stream that can be written now could not be without a node."""
    held = {one.node for one in stream.replicas}
    if name not in held or stream.leader is None:
        return False
    left = {one.node for one in stream.replicas if not one.offline} & living
    return len(left) < len(held) // 2 + 1


def _alone(told: Loss) -> list[Sentence]:
    lines = [
        Sentence("everything waits until it is back: tasks, messages, agents", "warn"),
        Sentence("nothing is lost: what was acknowledged is on its disk"),
    ]
    if told.agents:
        again = "comes" if told.agents == 1 else "come"
        lines.insert(
            1, Sentence(f"{count(told.agents, 'agent')} {again} back by themselves")
        )
    return lines


def _down(told: Loss) -> list[Sentence]:
    shown = clean(told.node, 40)
    return [
        _standing(told),
        Sentence("bring it back, on its machine:", "muted"),
        Sentence(f"  nexa node start --name {shown}", "strong"),
        Sentence("or strike it off for good:", "muted"),
        Sentence(f"  nexa cluster remove {shown}", "strong"),
    ]


def _standing(told: Loss) -> Sentence:
    if told.attached:
        return _attached(told)
    left = f"{told.have} of {told.members} vote, {told.need} needed"
    if told.broken:
        return Sentence(f"no quorum without it: {left}", "crit")
    if told.margin == 0:
        return Sentence(f"without it: {left}; no other may stop", "warn")
    return Sentence(f"without it: {left}; {told.margin} more may stop", "ok")


def _work(told: Loss) -> list[Sentence]:
    if not told.agents:
        return [Sentence("no agent is connected there", "muted")]
    moves = "moves" if told.agents == 1 else "move"
    where = "to other nodes"
    if told.last:
        moves = "waits" if told.agents == 1 else "wait"
        where = "until a node is back"
    lines = [Sentence(f"{count(told.agents, 'agent')} {moves} {where}")]
    if told.inflight:
        goes = "goes" if told.inflight == 1 else "go"
        again = "is tried again" if told.inflight == 1 else "are tried again"
        back = "its agent is" if told.inflight == 1 else "their agents are"
        lines.append(
            Sentence(
                f"{count(told.inflight, 'task')} in hand {goes} on if {back} back in"
                f" time, else {again}"
            )
        )
    return lines


def _streams(told: Loss) -> list[Sentence]:
    lines: list[Sentence] = []
    if told.only:
        are = "is" if len(told.only) == 1 else "are"
        text = f"{names(told.only)} {are} away until it is back: the only copy"
        lines.append(Sentence(text, "crit"))
    if told.stops:
        lines.append(Sentence(f"{names(told.stops)}: no majority, writes stop", "crit"))
    if told.elects:
        elects = "elects" if len(told.elects) == 1 else "elect"
        lines.append(
            Sentence(f"{names(told.elects)} {elects} anew: writes wait {ELECTION}")
        )
    return lines


def _offices(told: Loss) -> list[Sentence]:
    lines: list[Sentence] = []
    if told.meta:
        lines.append(Sentence("the store's own group elects another leader"))
    if told.controller:
        lines.append(Sentence(f"a new controller within {TAKEOVER}"))
    return lines
