"""Which streams and buckets there are, under which names, and how each is kept.

A stream that was there and is gone, or that has gone back behind a position that was
acknowledged, is damage and never repaired silently. What must be there is noted in the
store's own folder (`failures.RECORD_NAME`), so that it moves with the data.

In a cluster the streams belong to all. One node, its founder, makes them and marks them
with the cluster's id; another one waits until they are there, and adds to them only
once it has seen them. How many copies there are, and where, is `cluster_admin`'s.
"""

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from nexa_node.adapters.nats import private, wire
from nexa_node.adapters.nats.config import Member
from nexa_node.adapters.nats.failures import RECORD_NAME, StoreFailed, damaged
from nexa_node.adapters.nats.session import Session
from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import is_slug
from nexa_node.core.lifetimes import objects_age_s, stream_age_s
from nexa_node.core.policies import RetentionPolicy
from nexa_node.core.topics import check_pattern

TASKS, AGENTS, SESSIONS, TOKENS = "nx_tasks", "nx_agents", "nx_sessions", "nx_tokens"
PROBES = "nx_probe"
NODES, LEASES, CLUSTER = "nx_nodes", "nx_leases", "nx_cluster"
BUCKETS = (TASKS, AGENTS, SESSIONS, TOKENS, CLUSTER)
EXPIRING = (NODES, LEASES)
"""Of entries with a time to live of their own, whose end watchers hear of."""

TASKQ, INBOX, EVENTS, PROBE = "NX_TASKQ", "NX_INBOX", "NX_EVENTS", "NX_PROBE"
OBJECTS = "NX_OBJECTS"
TASKQ_PREFIX = "nx.task.q"
INBOX_PREFIX = "nx.inbox"
TOPIC_PREFIX = "nx.topic"
"""In the inboxes' stream, so that one position tells how far an agent has read."""
FAST_PREFIX = "nx.fast"
FAST_TOPIC_PREFIX = "nx.fast-topic"
REPLY_PREFIX = "nx.reply"
PARTIAL_PREFIX = "nx.partial"
PIECE_PREFIX, META_PREFIX = "nx.object.piece", "nx.object.meta"
EVENTS_SUBJECT = "nx.events"
PROBE_SUBJECT = "nx.probe"

EPOCH = "nexa.epoch"
"""In a stream's metadata: drawn when it was made, so a lost and remade one differs."""
CLUSTER_ID = "nexa.cluster"
"""In a stream's metadata: whose it is. A cluster that is being formed has none yet."""
PROBE_S = 60
MARKER_S = 60
"""How long it can be seen that an entry's time was over."""
LIST_S, MAKE_S = 2.0, 10.0
"""How long a server may take to list its streams, and to make one."""
_TOO_EARLY = frozenset((10005, 10058))
"""Too few members for the copies, so far; another member is making the same one."""
_HOUR_S = 3600

_log = structlog.get_logger("nexa.store")


def subject(*tokens: str) -> str:
    """Join tokens; the first may have dots, what comes from outside may not.

    Raises:
        Invalid: One of them is not a slug, so it could mean another subject.
    """
    for token in tokens[1:]:
        if not is_slug(token):
            raise Invalid(
                f"{token[:80]!r} can't be part of a name in the store",
                remedy="use a-z, 0-9, _ and -, at most 63 of them",
            )
    return ".".join(tokens)


def topic_subject(prefix: str, namespace: str, topic: str) -> str:
    """Join a namespace and a topic, or a pattern of topics.

    Raises:
        Invalid: The namespace or a token of the topic could mean something else.
    """
    start = subject(prefix, namespace)
    check_pattern("topic", topic)
    return f"{start}.{topic}"


def bucket_stream(bucket: str) -> str:
    """Name the stream of a KV bucket."""
    return f"KV_{bucket}"


def bucket_prefix(bucket: str) -> str:
    """What stands before a key in its subject."""
    return f"$KV.{bucket}."


class NotReady(Exception):
    """The cluster has no leader yet, or its founder has not made everything."""


def plan(
    retention: RetentionPolicy, replicas: int = 1
) -> tuple[wire.StreamConfig, ...]:
    """Say how every stream should be kept, and in how many copies it is made."""
    planned = _plan(retention)
    return tuple(msgspec.structs.replace(one, num_replicas=replicas) for one in planned)


def _plan(retention: RetentionPolicy) -> tuple[wire.StreamConfig, ...]:
    return (
        *(_bucket(name) for name in BUCKETS),
        *(_bucket(name, marker_s=MARKER_S) for name in EXPIRING),
        _bucket(PROBES, max_age_s=PROBE_S),
        wire.StreamConfig(
            name=TASKQ,
            subjects=(f"{TASKQ_PREFIX}.>",),
            retention="workqueue",
            discard="new",
            allow_atomic=True,
        ),
        _aging(INBOX, INBOX_PREFIX, TOPIC_PREFIX, age_s=stream_age_s(retention)),
        _aging(OBJECTS, PIECE_PREFIX, META_PREFIX, age_s=objects_age_s(retention)),
        wire.StreamConfig(
            name=EVENTS,
            subjects=(EVENTS_SUBJECT,),
            max_age=int(retention.events_hours * _HOUR_S) * wire.SECOND,
            allow_direct=True,
            allow_atomic=True,
        ),
        wire.StreamConfig(
            name=PROBE,
            subjects=(PROBE_SUBJECT,),
            max_age=PROBE_S * wire.SECOND,
            duplicate_window=PROBE_S * wire.SECOND,
        ),
    )


def _aging(name: str, *prefixes: str, age_s: int) -> wire.StreamConfig:
    return wire.StreamConfig(
        name=name,
        subjects=tuple(f"{prefix}.>" for prefix in prefixes),
        max_age=age_s * wire.SECOND,
        duplicate_window=min(120, age_s) * wire.SECOND,
        allow_direct=True,
        allow_msg_ttl=True,
        allow_atomic=True,
    )


def _bucket(name: str, *, max_age_s: int = 0, marker_s: int = 0) -> wire.StreamConfig:
    window = min(120, max_age_s or 120)
    return wire.StreamConfig(
        name=bucket_stream(name),
        subjects=(f"{bucket_prefix(name)}>",),
        max_msgs_per_subject=1,
        discard="new",
        max_age=max_age_s * wire.SECOND,
        duplicate_window=window * wire.SECOND,
        allow_rollup_hdrs=True,
        allow_direct=True,
        allow_msg_ttl=True,
        allow_atomic=True,
        deny_delete=True,
        subject_delete_marker_ttl=marker_s * wire.SECOND,
    )


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
            NotReady: A member asks too early; ask again.
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
        """What a member may do. Settings are the founder's: one of two must have its way."""
        foreign = sorted(
            name
            for name, info in found.items()
            if _metadata(info).get(CLUSTER_ID, member.cluster_id) != member.cluster_id
        )
        if foreign:
            raise StoreFailed(
                f"{', '.join(foreign)} belong to another cluster than {member.cluster}",
                remedy="see the routes in cluster.json",
            )
        ours = {n for n, i in found.items() if CLUSTER_ID in _metadata(i)}
        return _Hands(
            may_make=member.founder or noted is not None,
            may_adapt=member.founder,
            renew=False,
            ours=frozenset(ours),
        )

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
            epoch = _metadata(found[name]).get(EPOCH, "")
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
        epoch = had.get(EPOCH, "")
        if hands.renew or not epoch:
            epoch = secrets.token_hex(8)
        metadata = {EPOCH: epoch}
        if self._member is not None:
            metadata[CLUSTER_ID] = self._member.cluster_id
        wanted = msgspec.structs.replace(wanted, metadata=metadata)
        if there is None or there.config is None:
            if not hands.may_make:
                raise NotReady(f"{wanted.name} is not there yet")
            there = await _ask(session, f"STREAM.CREATE.{wanted.name}", wanted)
        elif not hands.may_adapt:
            if wanted.name not in hands.ours:
                raise NotReady(f"{wanted.name} is not the cluster's yet")
            return wanted.name, _mark(there)
        elif not _agrees(there.config, wanted):
            adapted = msgspec.structs.replace(
                wanted, num_replicas=there.config.num_replicas
            )
            there = await _ask(session, f"STREAM.UPDATE.{wanted.name}", adapted)
        if not _agrees(there.config, wanted):
            raise StoreFailed(
                f"nats-server {session.version} does not keep the settings of "
                f"{wanted.name}",
                remedy="use the bundled nats-server: remove [store] nats_server",
            )
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


def _bare(config: wire.StreamConfig) -> wire.StreamConfig:
    return msgspec.structs.replace(config, metadata={}, num_replicas=1)


def _metadata(info: wire.StreamInfo) -> dict[str, str]:
    return {} if info.config is None else info.config.metadata


def _mark(info: wire.StreamInfo) -> Mark:
    return Mark(_metadata(info).get(EPOCH, ""), info.state.last_seq)


async def _streams(session: Session) -> dict[str, wire.StreamInfo]:
    found: dict[str, wire.StreamInfo] = {}
    while True:
        page = await _list(session, len(found))
        if page.missing or page.offline:
            names: list[str] = sorted({*(page.missing or ()), *(page.offline or {})})
            raise NotReady(f"{', '.join(names)} has no leader yet")
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
            raise NotReady(told.error.description)
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
            raise NotReady(told.error.description)
        raise StoreFailed(
            f"nats-server refused {subject}: {told.error.description}",
            remedy="nexa logs; if [retention] was changed, put it back",
        )
    return told
