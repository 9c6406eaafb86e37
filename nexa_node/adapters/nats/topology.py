"""Which streams and buckets there are, under which names, and how each is kept.

A stream that was there and is gone, or that has gone back behind a position that was
acknowledged, is damage and never repaired silently. What must be there is noted in the
store's own folder (`failures.RECORD_NAME`), so that it moves with the data.
"""

import asyncio
import secrets
from pathlib import Path

import msgspec
import structlog

from nexa_node.adapters.nats import private, wire
from nexa_node.adapters.nats.failures import RECORD_NAME, StoreFailed, damaged
from nexa_node.adapters.nats.session import Session
from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import is_slug
from nexa_node.core.lifetimes import objects_age_s, stream_age_s
from nexa_node.core.policies import RetentionPolicy
from nexa_node.core.topics import check_pattern

TASKS, AGENTS, SESSIONS, TOKENS = "nx_tasks", "nx_agents", "nx_sessions", "nx_tokens"
PROBES = "nx_probe"
BUCKETS = (TASKS, AGENTS, SESSIONS, TOKENS)

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
PROBE_S = 60
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


def plan(retention: RetentionPolicy) -> tuple[wire.StreamConfig, ...]:
    """Say how every stream should be kept."""
    return (
        *(_bucket(name) for name in BUCKETS),
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


def _bucket(name: str, *, max_age_s: int = 0) -> wire.StreamConfig:
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
    )


class Mark(msgspec.Struct, frozen=True):
    """How far one stream had come."""

    epoch: str
    last_seq: int


class Topology:
    """The streams of one store folder: made, verified, noted."""

    def __init__(self, store: Path, plan: tuple[wire.StreamConfig, ...]) -> None:
        """Name the folder and what should be in it."""
        self.epochs: dict[str, str] = {}
        """The epoch of each stream, by its name."""
        self._store = store
        self._plan = plan

    async def ensure(self, session: Session) -> None:
        """Make what is missing, adapt what has changed; refuse what was lost.

        Raises:
            StoreDamaged: A noted stream is gone, or has gone back.
            StoreFailed: The server does not keep a setting it was given.
        """
        noted = await asyncio.to_thread(self._read)
        found = await _streams(session)
        if noted is not None:
            self._verify(noted, found)
        made = await asyncio.gather(
            *(
                self._one(session, wanted, found.get(wanted.name), renew=noted is None)
                for wanted in self._plan
            )
        )
        self.epochs = {name: mark.epoch for name, mark in made}
        if noted != dict(made):
            await self._keep(dict(made), needed=noted is None)

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
        *,
        renew: bool,
    ) -> tuple[str, Mark]:
        had = {} if there is None or there.config is None else there.config.metadata
        epoch = had.get(EPOCH, "")
        if renew or not epoch:
            epoch = secrets.token_hex(8)
        wanted = msgspec.structs.replace(wanted, metadata={EPOCH: epoch})
        if there is None or not _agrees(there.config, wanted):
            verb = "CREATE" if there is None else "UPDATE"
            there = await _ask(session, f"STREAM.{verb}.{wanted.name}", wanted)
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


def _agrees(told: wire.StreamConfig | None, wanted: wire.StreamConfig) -> bool:
    """Compare but for what the server adds to the metadata."""
    if told is None or told.metadata.get(EPOCH) != wanted.metadata.get(EPOCH):
        return False
    return msgspec.structs.replace(told, metadata={}) == msgspec.structs.replace(
        wanted, metadata={}
    )


def _mark(info: wire.StreamInfo) -> Mark:
    metadata = {} if info.config is None else info.config.metadata
    return Mark(metadata.get(EPOCH, ""), info.state.last_seq)


async def _streams(session: Session) -> dict[str, wire.StreamInfo]:
    found: dict[str, wire.StreamInfo] = {}
    while True:
        page = await _list(session, len(found))
        for info in page.streams or ():
            if info.config is not None:
                found[info.config.name] = info
        if len(found) >= page.total or not page.streams:
            return found


async def _list(session: Session, offset: int) -> wire.StreamList:
    body = msgspec.json.encode({"offset": offset})
    answer = await session.request("$JS.API.STREAM.LIST", body)
    told = msgspec.json.decode(answer.data, type=wire.StreamList)
    if told.error is not None:
        raise StoreFailed(f"nats-server can't list its streams: {told.error}")
    return told


async def _ask(
    session: Session, subject: str, config: wire.StreamConfig
) -> wire.StreamInfo:
    answer = await session.request(f"$JS.API.{subject}", msgspec.json.encode(config))
    told = msgspec.json.decode(answer.data, type=wire.StreamInfo)
    if told.error is not None:
        raise StoreFailed(
            f"nats-server refused {subject}: {told.error.description}",
            remedy="nexa logs; if [retention] was changed, put it back",
        )
    return told
