"""What the servers of a cluster tell of themselves, read as one shape. No I/O."""

import re
from collections.abc import Collection

from nexa_node.adapters.nats.config import Member
from nexa_node.adapters.nats.system import Copy, Jsz, Routez, StreamDetail
from nexa_node.contract.nodes import Replica, Route, StreamPlace
from nexa_node.ports import StorePeer, StoreShape

ALONE = StoreShape(
    clustered=False,
    leader=None,
    peers=(),
    streams=(),
    routes=(),
    replicas=1,
    have=1,
    need=1,
)
_TERM = re.compile(r"([0-9.]+)(h|ms|us|µs|ns|m|s)")
_IN_MS = {
    "h": 3.6e6,
    "m": 6e4,
    "s": 1e3,
    "ms": 1.0,
    "us": 1e-3,
    "µs": 1e-3,
    "ns": 1e-6,
}


def first_sight(member: Member) -> StoreShape:
    """Before anybody was asked: this member, and those it knows of, unheard."""
    size = len(member.routes) + 1
    return StoreShape(
        clustered=True,
        leader=None,
        peers=(StorePeer(member.name, current=False, offline=False, active_ms=0.0),),
        streams=(),
        routes=(),
        replicas=member.replicas,
        have=1,
        need=size // 2 + 1,
    )


def places(told: dict[str, Jsz]) -> tuple[StreamPlace, ...]:
    """Where each stream is: its leader's word first, then what others have."""
    best: dict[str, tuple[bool, StreamDetail]] = {}
    for name, one in told.items():
        for stream in one.streams:
            leads = stream.cluster.leader == name
            if stream.name not in best or (leads and not best[stream.name][0]):
                best[stream.name] = (leads, stream)
    return tuple(
        _place(stream, leads=leads, heard=told.keys())
        for _, (leads, stream) in sorted(best.items())
    )


def _place(stream: StreamDetail, *, leads: bool, heard: Collection[str]) -> StreamPlace:
    group = stream.cluster
    copies = [_replica(copy, heard) for copy in group.replicas or ()]
    if leads:
        copies.insert(0, Replica(node=group.leader, current=True))
    return StreamPlace(
        name=stream.name,
        leader=group.leader if leads else None,
        replicas=tuple(copies),
        messages=stream.state.messages,
        bytes=stream.state.bytes,
    )


def _replica(copy: Copy, heard: Collection[str]) -> Replica:
    away = copy.offline or copy.name not in heard
    return Replica(
        node=copy.name,
        current=copy.current and not away,
        offline=away,
        lag=copy.lag,
    )


def is_whole(stream: StreamPlace, copies: int) -> bool:
    """Whether a stream has so many copies, and all are in step."""
    return len(stream.replicas) == copies and all(
        one.current for one in stream.replicas
    )


def routes(told: dict[str, Routez]) -> tuple[Route, ...]:
    """One for each pair of servers, of the several connections it is made of."""
    found: dict[tuple[str, str], Route] = {}
    for node, one in sorted(told.items()):
        for route in one.routes or ():
            key = (node, route.remote_name)
            had = found.get(key)
            rtt = _milliseconds(route.rtt)
            if had is not None and had.rtt_ms is not None:
                rtt = had.rtt_ms if rtt is None else min(rtt, had.rtt_ms)
            pending = route.pending_size + (0 if had is None else had.pending_bytes)
            found[key] = Route(
                node=node, peer=route.remote_name, rtt_ms=rtt, pending_bytes=pending
            )
    return tuple(found.values())


def _milliseconds(text: str) -> float | None:
    """Read a duration as Go writes it: 1.2ms, 1m3s."""
    terms = _TERM.findall(text)
    return sum(float(n) * _IN_MS[unit] for n, unit in terms) if terms else None
