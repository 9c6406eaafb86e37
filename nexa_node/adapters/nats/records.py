"""Records with revisions: KV buckets, one JSON document under each key.

A revision is the record's position in the bucket's stream: it grows with every write to
the bucket, and a compare-and-set names the one it expects.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

import msgspec
import structlog

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection, WrongSequence
from nexa_node.adapters.nats.reader import Began, CaughtUp, Entry, follow
from nexa_node.contract.access import Role
from nexa_node.contract.agents import Agent
from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.contract.ids import AgentId, Namespace, TaskId
from nexa_node.contract.quotas import Quota
from nexa_node.contract.tasks import Task
from nexa_node.core.budgets import Share
from nexa_node.ports import (
    Caught,
    Known,
    Removed,
    SessionRecord,
    TokenRecord,
    Versioned,
)

T = TypeVar("T")

MARKER_S = 3600
"""How long a removed key's marker stays. A watch that was away for longer finds out all
the same: after a reconnect it reads everything and compares."""
_TRIES = 8

_log = structlog.get_logger("nexa.store")


class Records(Generic[T]):
    """One bucket."""

    def __init__(
        self, connection: Connection, bucket: str, kind: type[T], *, under: str = ""
    ) -> None:
        """Name the bucket and what it holds; `under`: only keys that begin so."""
        self._connection = connection
        self._stream = topology.bucket_stream(bucket)
        self._prefix = topology.bucket_prefix(bucket) + under
        self._decoder = msgspec.json.Decoder(kind)

    async def read(self, key: str) -> Versioned[T] | None:
        """Read the newest record, from the bucket's leader."""
        stored = await self._last(key)
        if stored is None or wire.is_marker(stored.headers):
            return None
        return Versioned(self._decode(stored.data, key), stored.seq)

    async def write(self, key: str, value: T, *, ttl_s: int | None = None) -> int:
        """Store, whatever was there, for `ttl_s` or for good; the revision."""
        ack = await self._connection.store(
            self._prefix + key,
            msgspec.json.encode(value),
            message_id=_new_id(),
            headers={} if ttl_s is None else {wire.TTL: str(ttl_s)},
        )
        return ack.seq

    async def add(self, key: str, value: T) -> int | None:
        """Store the first record under `key`; None if there is one.

        A removed one is none: nats-py's `create` fails on the marker of an expired key.
        """
        expected = 0
        for _ in range(_TRIES):
            revision = await self._swap(key, msgspec.json.encode(value), expected)
            if revision is not None:
                return revision
            stored = await self._last(key)
            if stored is not None and not wire.is_marker(stored.headers):
                return None
            expected = 0 if stored is None else stored.seq
        raise Unavailable(f"{key} changes too fast to be created: try again")

    async def replace(self, key: str, value: T, *, revision: int) -> int:
        """Store if the record is still at `revision`; the new revision.

        Raises:
            Conflict: It is not; `details` says where it is.
        """
        new = await self._swap(key, msgspec.json.encode(value), revision)
        if new is not None:
            return new
        stored = await self._last(key)
        gone = stored is None or wire.is_marker(stored.headers)
        at = "gone" if stored is None or gone else f"at revision {stored.seq}"
        raise Conflict(
            f"{key} is {at}, not at revision {revision}: read it again",
            details={"revision": None if stored is None or gone else stored.seq},
        )

    async def remove(self, key: str, *, revision: int | None = None) -> bool:
        """Remove; False if there was none.

        Raises:
            Conflict: The record is not at `revision`, if one is named.
        """
        for _ in range(_TRIES):
            stored = await self._last(key)
            if stored is None or wire.is_marker(stored.headers):
                return False
            if revision not in (None, stored.seq):
                raise Conflict(f"{key} is at revision {stored.seq}: read it again")
            headers = {
                wire.OPERATION: "PURGE",
                wire.ROLLUP: "sub",
                wire.TTL: str(MARKER_S),
            }
            if await self._swap(key, b"", stored.seq, headers) is not None:
                return True
        raise Unavailable(f"{key} changes too fast to be removed: try again")

    async def watch(
        self, *, known: Known | None = None
    ) -> AsyncIterator[Versioned[T] | Removed | Caught]:
        """Every record, then `Caught`, then every change, across reconnects.

        What `known` knows by its key and revision is not even read, after `Caught`.

        After a reconnect all records are read again and compared with what was told:
        nothing is told twice, and what was removed meanwhile is told, even if the
        store was restored or remade.
        """
        told_at: dict[str, int] = {}
        seen: set[str] = set()
        caught = False
        async for told in follow(self._connection, self._stream, self._everything):
            if isinstance(told, Began):
                seen = set()
            elif isinstance(told, CaughtUp):
                for key in [key for key in told_at if key not in seen]:
                    del told_at[key]
                    yield Removed(key)
                if not caught:
                    caught = True
                    yield Caught()
            else:
                change = self._change(told, told_at, known if caught else None)
                seen.add(told.subject.removeprefix(self._prefix))
                if change is not None:
                    yield change

    async def all(self) -> AsyncIterator[tuple[str, Versioned[T]]]:
        """Every record with its key, as they are now.

        Raises:
            Unavailable: The store tells no more for as long as a call may take.
        """
        reading = follow(self._connection, self._stream, self._everything)
        async with contextlib.aclosing(reading):
            while True:
                try:
                    async with asyncio.timeout_at(self._connection.deadline()):
                        told = await anext(reading)
                except TimeoutError as error:
                    raise Unavailable(
                        f"reading {self._stream} was not answered in time"
                    ) from error
                if isinstance(told, CaughtUp):
                    return
                if isinstance(told, Entry) and not wire.is_marker(told.headers):
                    key = told.subject.removeprefix(self._prefix)
                    yield key, Versioned(self._decode(told.data, key), told.seq)

    def _change(
        self, entry: Entry, told_at: dict[str, int], known: Known | None
    ) -> Versioned[T] | Removed | None:
        key = entry.subject.removeprefix(self._prefix)
        if wire.is_marker(entry.headers):
            return Removed(key) if told_at.pop(key, None) is not None else None
        if told_at.get(key) == entry.seq:
            return None
        told_at[key] = entry.seq
        if known is not None and known(key, entry.seq):
            return None
        try:
            return Versioned(self._decoder.decode(entry.data), entry.seq)
        except msgspec.DecodeError as error:
            _log.error("a record can't be read", key=key, cause=str(error))
            return None

    def _everything(self, _stream: wire.StreamInfo) -> wire.ConsumerConfig:
        return wire.ConsumerConfig(
            name="",
            ack_policy="none",
            deliver_policy="last_per_subject",
            filter_subject=f"{self._prefix}>",
        )

    async def _swap(
        self,
        key: str,
        payload: bytes,
        expected: int,
        headers: dict[str, str] | None = None,
    ) -> int | None:
        """Store if the key is still at `expected`; None if it is not.

        The server compares before it looks for the message id, so a second try of a
        write that was made, and whose answer was lost, looks like a lost one: the
        record's own message id tells them apart. Only if others have written over it
        since does a write that was made count as lost: its caller reads again anyway.
        """
        try:
            ack = await self._connection.store(
                self._prefix + key,
                payload,
                message_id=_new_id(),
                headers={wire.EXPECTED_LAST: str(expected), **(headers or {})},
            )
        except WrongSequence as lost:
            if not lost.unsure:
                return None
            stored = await self._last(key)
            if stored is None or stored.headers.get(wire.MSG_ID) != lost.message_id:
                return None
            return stored.seq
        return ack.seq

    async def _last(self, key: str) -> wire.Entry | None:
        return await self._connection.last(self._stream, self._prefix + key)

    def _decode(self, payload: bytes, key: str) -> T:
        try:
            return self._decoder.decode(payload)
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"the record {key} can't be read: {error}",
                remedy="was it written by a newer nexa? update this node",
            ) from error


class NatsTasks:
    """`ports.TaskRecords` in the bucket `nx_tasks`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(connection, topology.TASKS, Task)

    async def get(self, task_id: TaskId) -> Versioned[Task] | None:
        """Read the newest committed record."""
        return await self._records.read(_task_key(task_id))

    async def create(self, task: Task) -> int | None:
        """Store the first record; its revision, or None if there is one already."""
        return await self._records.add(_task_key(task.id), task)

    async def update(self, task: Task, *, revision: int) -> int:
        """Store `task` if the record is still at `revision`."""
        key = _task_key(task.id)
        return await self._records.replace(key, task, revision=revision)

    async def delete(self, task_id: TaskId, *, revision: int | None = None) -> None:
        """Forget a task; only if it is still at `revision`, if one is named."""
        await self._records.remove(_task_key(task_id), revision=revision)

    def watch(
        self, *, known: Known | None = None
    ) -> AsyncIterator[Versioned[Task] | Removed | Caught]:
        """Every record, then `Caught`, then every change `known` does not know."""
        return self._records.watch(known=known)


class NatsAgents:
    """`ports.AgentRecords` in the bucket `nx_agents`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(connection, topology.AGENTS, Agent)

    async def put(self, agent: Agent) -> None:
        """Store the newest record of `agent`."""
        await self._records.write(_agent_key(agent.namespace, agent.id), agent)

    async def delete(self, namespace: Namespace, agent_id: AgentId) -> None:
        """Forget an agent."""
        await self._records.remove(_agent_key(namespace, agent_id))

    def watch(self) -> AsyncIterator[Versioned[Agent] | Removed | Caught]:
        """Every record, then `Caught`, then every change."""
        return self._records.watch()


class NatsSessions:
    """`ports.SessionRecords` in the bucket `nx_sessions`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(connection, topology.SESSIONS, SessionRecord)

    async def get(
        self, namespace: Namespace, agent_id: AgentId
    ) -> Versioned[SessionRecord] | None:
        """Read the newest record."""
        return await self._records.read(_agent_key(namespace, agent_id))

    async def put(
        self,
        namespace: Namespace,
        agent_id: AgentId,
        record: SessionRecord,
        *,
        revision: int | None = None,
    ) -> int:
        """Store it; the revision grows with every session of this agent.

        With `revision`, only if the newest record is still at that one.
        """
        key = _agent_key(namespace, agent_id)
        if revision is None:
            return await self._records.write(key, record)
        return await self._records.replace(key, record, revision=revision)


class NatsTokens:
    """`ports.TokenRecords` in the bucket `nx_tokens`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(connection, topology.TOKENS, TokenRecord)

    async def put(self, record: TokenRecord) -> None:
        """Store a token's record."""
        await self._records.write(_key(record.id), record)

    async def replace(self, record: TokenRecord, *, revision: int) -> int:
        """Store it if the newest is still at that revision; Conflict if not."""
        return await self._records.replace(_key(record.id), record, revision=revision)

    async def delete(self, token_id: str) -> bool:
        """Revoke; False if there was none."""
        return await self._records.remove(_key(token_id))

    def watch(self) -> AsyncIterator[Versioned[TokenRecord] | Removed | Caught]:
        """Every record, then `Caught`, then every change."""
        return self._records.watch()


class NatsRoles:
    """`ports.RoleRecords` in the bucket `nx_roles`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(connection, topology.ROLES, Role)

    async def put(self, role: Role) -> None:
        """Store a role, in place of the one of that name."""
        await self._records.write(_key(role.name), role)

    async def delete(self, name: str) -> bool:
        """Forget one; False if there was none."""
        return await self._records.remove(_key(name))

    def watch(self) -> AsyncIterator[Versioned[Role] | Removed | Caught]:
        """Every role, then `Caught`, then every change."""
        return self._records.watch()


class _Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    quota: Quota | None = None
    share: Share | None = None


class NatsQuotas:
    """`ports.QuotaRecords` in the bucket `nx_quotas`: `q.NAMESPACE`, `s.NAMESPACE.NODE`."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._records = Records(connection, topology.QUOTAS, _Kept)

    async def put(self, quota: Quota) -> None:
        """Store a quota, in place of the one of that namespace."""
        await self._records.write(_key("q", quota.name), _Kept(quota=quota))

    async def delete(self, name: str) -> bool:
        """Forget one; False if there was none."""
        return await self._records.remove(_key("q", name))

    async def put_share(self, share: Share) -> None:
        """Store what a node counted, in place of what it stored of that namespace."""
        key = _key("s", share.namespace, share.node)
        await self._records.write(key, _Kept(share=share))

    async def watch(
        self,
    ) -> AsyncIterator[Versioned[Quota] | Versioned[Share] | Removed | Caught]:
        """All of both, then `Caught`, then every change. `Removed` is of quotas alone."""
        async for told in self._records.watch():
            if isinstance(told, Caught):
                yield told
            elif isinstance(told, Removed):
                kind, _, name = told.key.partition(".")
                if kind == "q":
                    yield Removed(name)
            elif told.value.quota is not None:
                yield Versioned(told.value.quota, told.revision)
            elif told.value.share is not None:
                yield Versioned(told.value.share, told.revision)


def _task_key(task_id: TaskId) -> str:
    return _key(task_id)


def _agent_key(namespace: Namespace, agent_id: AgentId) -> str:
    return _key(namespace, agent_id)


def _key(*tokens: str) -> str:
    return topology.subject("", *tokens)[1:]


def _new_id() -> str:
    return secrets.token_hex(12)
