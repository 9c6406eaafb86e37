"""nexa's streams in a NATS of somebody else's: made, verified, adapted, or refused.

They are marked with the cluster's name, so that two clusters in one account do not write
into each other's. Several nodes may make them at once: whoever comes second finds them.
"""

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.config import MAX_PAYLOAD
from nexa_node.adapters.nats.failures import RECORD_NAME, StoreDamaged, StoreFailed
from nexa_node.adapters.nats.session import Session
from nexa_node.adapters.nats.streams import Mark, Topology
from nexa_node.contract.nodes import Replica, StreamPlace
from nexa_node.contract.version import VERSION
from nexa_node.core.stream_settings import Difference, adapted, differences

ASK_S, MAKE_S = 4.0, 10.0
_NO_PLACE = frozenset((10005, 10074))
"""Too few servers for the copies; no cluster at all."""
_TAKEN = 10058
"""Somebody makes the same stream this moment."""
_SERVERS_OWN = "_nats."


class _Copy(msgspec.Struct, frozen=True, kw_only=True):
    name: str = ""
    current: bool = False
    offline: bool = False
    lag: int = 0


class _Group(msgspec.Struct, frozen=True, kw_only=True):
    leader: str = ""
    replicas: tuple[_Copy, ...] | None = None


class _State(msgspec.Struct, frozen=True, kw_only=True):
    messages: int = 0
    bytes: int = 0
    last_seq: int = 0


class Seen(wire.Answer, frozen=True, kw_only=True):
    """A stream as its leader tells it."""

    config: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    state: _State = _State()
    cluster: _Group | None = None

    @property
    def metadata(self) -> Mapping[str, str]:
        """What was noted on it."""
        found: dict[str, str] = self.config.get("metadata") or {}
        return found

    @property
    def mark(self) -> Mark:
        """How far it has come."""
        return Mark(self.metadata.get(topology.EPOCH, ""), self.state.last_seq)

    def place(self, name: str) -> StreamPlace:
        """Where it is; of a server that is alone, only that it is there."""
        group = self.cluster
        if group is None or not group.leader:
            leader = None if group is not None else "nats-server"
            copies = () if leader is None else (Replica(node=leader, current=True),)
        else:
            leader = group.leader
            copies = (
                Replica(node=leader, current=True),
                *(
                    Replica(
                        node=one.name,
                        current=one.current and not one.offline,
                        offline=one.offline,
                        lag=one.lag,
                    )
                    for one in group.replicas or ()
                ),
            )
        return StreamPlace(
            name=name,
            leader=leader,
            replicas=copies,
            messages=self.state.messages,
            bytes=self.state.bytes,
        )


async def see(session: Session, names: tuple[str, ...]) -> dict[str, Seen]:
    """Ask for each stream; those that do not exist are left out.

    Raises:
        topology.NotReady: One has no leader.
        StoreFailed: The server can't tell.
    """
    told = await asyncio.gather(*(_see(session, name) for name in names))
    return {name: one for name, one in zip(names, told, strict=True) if one is not None}


class AttachedTopology(Topology):
    """`Topology` of streams that belong to a NATS of somebody else's."""

    def __init__(
        self, folder: Path, plan: tuple[wire.StreamConfig, ...], cluster: str
    ) -> None:
        """Say what should be there, and where this node notes what was."""
        super().__init__(folder, plan)
        self._cluster = cluster
        self.names = tuple(one.name for one in plan)

    async def review(self, session: Session) -> tuple[dict[str, Seen], list[str]]:
        """Look without changing anything: what is there, and what would be adapted.

        Raises:
            StoreFailed: Something can't be used as it is.
            topology.NotReady: There is no leader; ask again.
        """
        found = await see(session, self.names)
        told: list[str] = []
        for wanted in self._plan:
            there = found.get(wanted.name)
            if there is not None:
                told += [
                    f"{wanted.name}: {one.words}"
                    for one in self._judged(wanted, there)
                    if one.verdict == "adapt"
                ]
        return found, told

    async def ensure(self, session: Session) -> None:
        """Make what is missing, adapt what loses nothing, refuse the rest.

        Raises:
            StoreDamaged: A noted stream is gone, or has gone back.
            StoreFailed: A stream has settings that can't be adapted without a loss, or
                is another cluster's; names the setting, found, wanted and the remedy.
            topology.NotReady: There is no leader; ask again.
        """
        noted = await asyncio.to_thread(self._read)
        found, _ = await self.review(session)
        if noted is not None:
            self._hold_against(noted, found)
        made = await asyncio.gather(
            *(self._make(session, one, found.get(one.name)) for one in self._plan)
        )
        marks = dict(made)
        self.epochs = {name: mark.epoch for name, mark in marks.items()}
        if noted != marks:
            await self._keep(marks, needed=noted is None)

    async def adapt(self, session: Session) -> None:
        """Give the streams the settings that this node, the controller, would give them.

        Raises:
            StoreFailed: The server does not keep a setting it was given.
            topology.NotReady: There is no leader; ask again.
        """
        found = await see(session, self.names)
        for wanted in self._plan:
            there = found.get(wanted.name)
            if there is None or not there.metadata.get(topology.EPOCH):
                continue
            told = self._judged(wanted, there)
            kept = {one.setting: one.wanted for one in told if one.verdict == "keep"}
            if kept:
                await self._update(session, wanted.name, {**there.config, **kept})

    async def note(self, session: Session) -> None:
        """Note how far the streams have come, to find out later what was lost."""
        found = await see(session, self.names)
        if len(found) == len(self.names):
            marks = {name: one.mark for name, one in found.items()}
            await self._keep(marks, needed=False)

    def _judged(self, wanted: wire.StreamConfig, there: Seen) -> tuple[Difference, ...]:
        owner = there.metadata.get(topology.CLUSTER_ID, self._cluster)
        if owner != self._cluster:
            shown = owner[:80].encode("ascii", "backslashreplace").decode()
            raise StoreFailed(
                f"{wanted.name} belongs to the cluster {shown!r}, and this node's is"
                f" {self._cluster!r}",
                remedy="set [node] cluster to join that one; or give this one an account"
                " of its own in the NATS",
            )
        told = differences(
            there.config,
            msgspec.to_builtins(wanted),
            is_ours=bool(there.metadata.get(topology.EPOCH)),
            least_message=MAX_PAYLOAD,
        )
        refused = [one for one in told if one.verdict == "refuse"]
        if refused:
            words = "; ".join(one.words for one in refused)
            raise StoreFailed(
                f"the NATS has a stream {wanted.name} that nexa can't use: {words}",
                remedy="; ".join(dict.fromkeys(one.remedy for one in refused)),
            )
        return told

    async def _make(
        self, session: Session, wanted: wire.StreamConfig, there: Seen | None
    ) -> tuple[str, Mark]:
        ours = {topology.SET_BY: VERSION, topology.CLUSTER_ID: self._cluster}
        name = wanted.name
        if there is None:
            epoch = {topology.EPOCH: secrets.token_hex(8)}
            planned = msgspec.structs.replace(wanted, metadata={**epoch, **ours})
            body: dict[str, Any] = msgspec.to_builtins(planned)
            there = await self._ask(session, f"STREAM.CREATE.{name}", body)
            self._read_back(session, wanted, there)
            return name, there.mark
        told = self._judged(wanted, there)
        config = adapted(there.config, told)
        had = there.metadata
        if config is None and had.get(topology.EPOCH) and topology.CLUSTER_ID in had:
            return name, there.mark
        epoch = had.get(topology.EPOCH) or secrets.token_hex(8)
        noted = {
            **{k: v for k, v in had.items() if not k.startswith(_SERVERS_OWN)},
            topology.EPOCH: epoch,
            **ours,
        }
        there = await self._update(
            session, name, {**(config or there.config), "metadata": noted}
        )
        self._read_back(session, wanted, there)
        return name, there.mark

    async def _update(
        self, session: Session, name: str, config: dict[str, Any]
    ) -> Seen:
        return await self._ask(session, f"STREAM.UPDATE.{name}", config)

    def _read_back(
        self, session: Session, wanted: wire.StreamConfig, there: Seen
    ) -> None:
        """See that the server kept what it was told: old ones drop what they don't know."""
        lost = [one for one in self._judged(wanted, there) if one.verdict == "adapt"]
        if lost:
            raise StoreFailed(
                f"nats-server {session.version} does not keep the settings of"
                f" {wanted.name}: {'; '.join(one.words for one in lost)}",
                remedy="update every server of the NATS, also those this node is not"
                " connected to",
            )

    def _hold_against(self, noted: dict[str, Mark], found: dict[str, Seen]) -> None:
        record = self._store / RECORD_NAME
        mend = f"restore a backup into it; or go on with what is left: rm {record}"
        for name, mark in noted.items():
            there = found.get(name)
            if there is None and name in self.names:
                told = f"the NATS has no stream {name} any more, and it had acknowledged data"
                raise StoreDamaged(told, remedy=mend)
            if there is None or there.mark.epoch != mark.epoch:
                continue  # made anew by another node, on its operator's word
            if there.state.last_seq < mark.last_seq:
                raise StoreDamaged(
                    f"the NATS' stream {name} ends at {there.state.last_seq}, but"
                    f" {mark.last_seq} was already safe",
                    remedy=mend,
                )

    async def _ask(
        self, session: Session, subject: str, config: dict[str, Any]
    ) -> Seen:
        until = asyncio.get_running_loop().time() + MAKE_S
        answer = await session.request(
            f"$JS.API.{subject}", msgspec.json.encode(config), until=until
        )
        told = wire.read(answer.data, Seen)
        if told.error is None:
            return told
        code, why = told.error.err_code, told.error.description
        copies = config.get("num_replicas", 1)
        if code in _NO_PLACE and copies > 1:
            refused = StoreFailed(
                f"the NATS can't keep {copies} copies of {config['name']}: {why}",
                remedy=f"[store] replicas = {copies} needs {copies} servers with"
                " JetStream; start them, or set it to 1",
            )
            if code == 10005:  # a cluster that just came up knows of its servers late
                raise topology.NotReady(f"{refused.message}; {refused.remedy}")
            raise refused
        if told.error.code == wire.BUSY or code == _TAKEN:
            raise topology.NotReady(why)
        raise StoreFailed(
            f"the NATS refused {subject}: {why}",
            remedy="see the account's limits, and the log of nats-server",
        )


async def _see(session: Session, name: str) -> Seen | None:
    until = asyncio.get_running_loop().time() + ASK_S
    subject = f"$JS.API.STREAM.INFO.{name}"
    answer = await session.request(subject, b"", until=until)
    told = wire.read(answer.data, Seen)
    if told.error is None:
        return told
    if told.error.err_code == wire.STREAM_NOT_FOUND:
        return None
    if told.error.code == wire.BUSY:
        raise topology.NotReady(f"{name}: {told.error.description}")
    raise StoreFailed(f"the NATS can't tell of {name}: {told.error.description}")
