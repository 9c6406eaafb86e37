"""The streams of a store: made as planned, verified, noted, adapted.

A stream that was there and is gone, or that has gone back behind a position that was
acknowledged, is damage and never repaired silently. What must be there is noted in the
store's own folder (`failures.RECORD_NAME`), so that it moves with the data.

In a cluster the streams belong to all. One node, its founder, makes them and marks them
with the cluster's id; another one waits until they are there, and adds to them only
once it has seen them. From then on their settings are whoever's is the controller
(`adapt`), and never an older nexa's than the one that set them last. How many copies
there are, and where, is `cluster_admin`'s.
"""

import asyncio
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from nexa_node.adapters.nats import private, topology, wire
from nexa_node.adapters.nats.config import Member
from nexa_node.adapters.nats.failures import RECORD_NAME, StoreFailed, damaged
from nexa_node.adapters.nats.session import Session
from nexa_node.contract.version import VERSION

LIST_S, MAKE_S = 2.0, 10.0
"""How long a server may take to list its streams, and to make one."""
_TOO_EARLY = frozenset((10005, 10058))
"""Too few members for the copies, so far; another member is making the same one."""
_VERSION = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})")

_log = structlog.get_logger("nexa.store")


class Mark(msgspec.Struct, frozen=True):
    """How far one stream had come."""

    epoch: str
    last_seq: int


class Topology:
    """The streams of one store folder: made, verified, noted."""

    def __init__(
        self,
        store: Path,
        plan: tuple[wire.StreamConfig, ...],
        member: Member | None = None,
    ) -> None:
        """Name the folder and what should be in it."""
        self.epochs: dict[str, str] = {}
        """The epoch of each stream, by its name."""
        self._store = store
        self._plan = plan
        self._member = member

    def move(self, store: Path, member: Member | None) -> None:
        """Go on in another folder, alone or as a member."""
        self._store, self._member = store, member

    async def ensure(self, session: Session) -> None:
        """Make what is missing, adapt what has changed; refuse what was lost.

        Raises:
            StoreDamaged: A noted stream is gone, or has gone back.
            StoreFailed: The server does not keep a setting it was given.
            topology.NotReady: A member asks too early; ask again.
        """
        noted = await asyncio.to_thread(self._read)
        found = await _streams(session)
        if noted is not None:
            self._verify(noted, found)
        if self._member is None:
            hands = _Hands(may_make=True, may_adapt=True, renew=noted is None)
        else:
            hands = self._hands(self._member, noted, found)
        made = await asyncio.gather(
            *(
                self._one(session, wanted, found.get(wanted.name), hands)
                for wanted in self._plan
            )
        )
        self.epochs = {name: mark.epoch for name, mark in made}
        if noted != dict(made):
            await self._keep(dict(made), needed=noted is None)

    def _hands(
        self,
        member: Member,
        noted: dict[str, Mark] | None,
        found: dict[str, wire.StreamInfo],
    ) -> "_Hands":
        """What a member may do. The founder sets what it has formed; later see `adapt`."""
        foreign = sorted(
            name
            for name, info in found.items()
            if _metadata(info).get(topology.CLUSTER_ID, member.cluster_id)
            != member.cluster_id
        )
        if foreign:
            raise StoreFailed(
                f"{', '.join(foreign)} belong to another cluster than {member.cluster}",
                remedy="see the routes in cluster.json",
            )
        ours = {n for n, i in found.items() if topology.CLUSTER_ID in _metadata(i)}
        return _Hands(
            may_make=member.founder or noted is not None,
            may_adapt=member.founder
            and not ours.issuperset(w.name for w in self._plan),
            renew=False,
            ours=frozenset(ours),
        )

    async def adapt(self, session: Session) -> None:
        """Give the streams of a cluster the settings that this node would give them.

        What a newer nexa has set stays: of two versions, while one follows the other node
        by node, only the newer one knows both.

        Raises:
            StoreFailed: The server does not keep a setting it was given.
            topology.NotReady: There is no leader; ask again.
        """
        member = self._member
        if member is None:
            return
        found = await _streams(session)
        for planned in self._plan:
            there = found.get(planned.name)
            had = {} if there is None else _metadata(there)
            if there is None or there.config is None or not had.get(topology.EPOCH):
                continue
            if _release(had.get(topology.SET_BY, "")) > _release(VERSION):
                continue
            metadata = {
                topology.EPOCH: had[topology.EPOCH],
                topology.SET_BY: VERSION,
                topology.CLUSTER_ID: member.cluster_id,
            }
            wanted = msgspec.structs.replace(
                planned, metadata=metadata, num_replicas=there.config.num_replicas
            )
            if _agrees(there.config, wanted):
                continue
            told = await _ask(session, f"STREAM.UPDATE.{wanted.name}", wanted)
            if not _agrees(told.config, wanted):
                raise _not_kept(session, wanted.name)
            _log.info("a stream was given this node's settings", stream=wanted.name)

    async def note(self, session: Session) -> None:
        """Note how far the streams have come, to find out later what was lost."""
        found = await _streams(session)
        marks = {name: _mark(info) for name, info in found.items()}
        if set(marks) >= {wanted.name for wanted in self._plan}:
            await self._keep(marks, needed=False)

    async def _keep(self, marks: dict[str, Mark], *, needed: bool) -> None:
        try:
            await asyncio.to_thread(self._write, marks)
        except StoreFailed as error:
            if needed:
                raise
            _log.warning("positions were not noted", cause=error.message)

    def _verify(
        self, noted: dict[str, Mark], found: dict[str, wire.StreamInfo]
    ) -> None:
        lost = sorted(noted.keys() - found.keys())
        if lost:
            raise damaged(self._store, f"{', '.join(lost)} can't be read any more")
        for name, mark in noted.items():
            last = found[name].state.last_seq
            epoch = _metadata(found[name]).get(topology.EPOCH, "")
            if self._member is not None and epoch != mark.epoch:
                continue  # another member made it anew, on its operator's word
            if last < mark.last_seq:
                raise damaged(
                    self._store,
                    f"{name} ends at {last}, but {mark.last_seq} was already safe",
                )

    async def _one(
        self,
        session: Session,
        wanted: wire.StreamConfig,
        there: wire.StreamInfo | None,
        hands: "_Hands",
    ) -> tuple[str, Mark]:
        had = {} if there is None else _metadata(there)
        epoch = had.get(topology.EPOCH, "")
        if hands.renew or not epoch:
            epoch = secrets.token_hex(8)
        metadata = {topology.EPOCH: epoch, topology.SET_BY: VERSION}
        if self._member is not None:
            metadata[topology.CLUSTER_ID] = self._member.cluster_id
        wanted = msgspec.structs.replace(wanted, metadata=metadata)
        if there is None or there.config is None:
            if not hands.may_make:
                raise topology.NotReady(f"{wanted.name} is not there yet")
            there = await _ask(session, f"STREAM.CREATE.{wanted.name}", wanted)
        elif not hands.may_adapt:
            if wanted.name not in hands.ours:
                raise topology.NotReady(f"{wanted.name} is not the cluster's yet")
            return wanted.name, _mark(there)
        elif not _agrees(there.config, wanted):
            adapted = msgspec.structs.replace(
                wanted, num_replicas=there.config.num_replicas
            )
            there = await _ask(session, f"STREAM.UPDATE.{wanted.name}", adapted)
        if not _agrees(there.config, wanted):
            raise _not_kept(session, wanted.name)
        return wanted.name, _mark(there)

    def _read(self) -> dict[str, Mark] | None:
        content = private.read(self._store / RECORD_NAME)
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=dict[str, Mark])
        except msgspec.DecodeError as error:
            raise damaged(
                self._store, f"{RECORD_NAME} can't be read: {error}"
            ) from error

    def _write(self, marks: dict[str, Mark]) -> None:
        private.write(self._store / RECORD_NAME, msgspec.json.encode(marks))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hands:
    """What one that looks at the streams may do to them."""

    may_make: bool
    may_adapt: bool
    renew: bool
    """Whether positions in what is there mean nothing any more."""
    ours: frozenset[str] = frozenset()
    """Streams that are marked as the cluster's."""


def _agrees(told: wire.StreamConfig | None, wanted: wire.StreamConfig) -> bool:
    """Compare but for the copies, and for what the server adds to the metadata."""
    if told is None:
        return False
    if any(told.metadata.get(key) != value for key, value in wanted.metadata.items()):
        return False
    return _bare(told) == _bare(wanted)


def _not_kept(session: Session, name: str) -> StoreFailed:
    return StoreFailed(
        f"nats-server {session.version} does not keep the settings of {name}",
        remedy="use the bundled nats-server: remove [store] nats_server",
    )


def _release(version: str) -> tuple[int, ...]:
    """Read 1.2.3 so that it can be compared; () of what is none."""
    found = _VERSION.match(version)
    return tuple(int(each) for each in found.groups()) if found else ()


def _bare(config: wire.StreamConfig) -> wire.StreamConfig:
    return msgspec.structs.replace(config, metadata={}, num_replicas=1)


def _metadata(info: wire.StreamInfo) -> dict[str, str]:
    return {} if info.config is None else info.config.metadata


def _mark(info: wire.StreamInfo) -> Mark:
    return Mark(_metadata(info).get(topology.EPOCH, ""), info.state.last_seq)


async def _streams(session: Session) -> dict[str, wire.StreamInfo]:
    found: dict[str, wire.StreamInfo] = {}
    while True:
        page = await _list(session, len(found))
        if page.missing or page.offline:
            names: list[str] = sorted({*(page.missing or ()), *(page.offline or {})})
            raise topology.NotReady(f"{', '.join(names)} has no leader yet")
        for info in page.streams or ():
            if info.config is not None:
                found[info.config.name] = info
        if len(found) >= page.total or not page.streams:
            return found


def _until(seconds: float) -> float:
    """A cluster without a leader does not answer at all."""
    return asyncio.get_running_loop().time() + seconds


async def _list(session: Session, offset: int) -> wire.StreamList:
    body = msgspec.json.encode({"offset": offset})
    answer = await session.request("$JS.API.STREAM.LIST", body, until=_until(LIST_S))
    told = msgspec.json.decode(answer.data, type=wire.StreamList)
    if told.error is not None:
        if told.error.code == wire.BUSY:
            raise topology.NotReady(told.error.description)
        raise StoreFailed(f"nats-server can't list its streams: {told.error}")
    return told


async def _ask(
    session: Session, subject: str, config: wire.StreamConfig
) -> wire.StreamInfo:
    body = msgspec.json.encode(config)
    answer = await session.request(f"$JS.API.{subject}", body, until=_until(MAKE_S))
    told = msgspec.json.decode(answer.data, type=wire.StreamInfo)
    if told.error is not None:
        if told.error.code == wire.BUSY or told.error.err_code in _TOO_EARLY:
            raise topology.NotReady(told.error.description)
        raise StoreFailed(
            f"nats-server refused {subject}: {told.error.description}",
            remedy="nexa logs; if [retention] was changed, put it back",
        )
    return told
