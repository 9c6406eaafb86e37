"""Hello: who is it, may it come in, and is it somebody we know?

What a resumption needs is in the store, so any node can grant it; a gap in what the
agent may have read is told, never hidden. An agent's id belongs to the identity that
opened its session: nobody else gets its tasks and its letters by calling himself so.
"""

import hmac
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.errors import Conflict, Forbidden, Unavailable
from nexa_node.contract.frames import Auth, Gap, Hello
from nexa_node.contract.ids import DEFAULT_NAMESPACE, Namespace, SessionId
from nexa_node.contract.login import Challenge, KeyProof, NewChallenge, Purpose
from nexa_node.core.authorization import demand
from nexa_node.ports import Inboxes, SessionRecord, SessionRecords, Versioned
from nexa_node.services.directory.sight import Sight
from nexa_node.services.sessions.live import AgentKey

SECRET_BYTES = 32
SESSION_LENGTH = 26
TRIES = 5
"""Of a record that others write, too."""
ENDED_MAX = 10_000

Authenticate = Callable[[str | None, str], Awaitable[Identity]]
"""Says who holds a token, given it and the address; raises `Unauthorized`."""


class Proofs(Protocol):
    """Who checks signatures; see `services.access.logins`."""

    def challenge(self, token_id: str) -> Challenge:
        """Give a nonce."""
        ...

    def prove(self, proof: KeyProof, *, purpose: Purpose, address: str) -> Identity:
        """Say who signed; raises `Unauthorized` or `RateLimited`."""
        ...


@dataclass(frozen=True, slots=True)
class Admission:
    """An agent that may come in."""

    identity: Identity
    key: AgentKey
    incarnation: str | None
    session: SessionId
    token: str
    """With which it may resume."""
    revision: int
    """Of its session's record: grows with each session."""
    epoch: str
    gap: Gap | None
    resumed: bool
    restarted: bool
    """Its process is another than before: it knows of no earlier task."""
    read_upto: int
    """How far it has read its inbox, in this epoch."""
    drained: bool = False
    """An operator drained it, and its process is still the same."""


class Door:
    """Admits agents."""

    def __init__(
        self,
        *,
        records: SessionRecords,
        inboxes: Inboxes,
        authenticate: Authenticate,
        entropy: Callable[[int], bytes],
        node: str,
        sight: Sight | None = None,
        check_writable: Callable[[], None] | None = None,
    ) -> None:
        """Join what admission needs.

        Args:
            records: Sessions, replicated.
            inboxes: Their epoch and newest position.
            authenticate: Says who holds a token.
            entropy: That many random bytes, fit for secrets.
            node: This node's id, as the records hold it.
            sight: Tells since when an agent is gone; without it, an id stays its
                identity's until its session is ended.
            check_writable: Raises `Unavailable` while nothing can be stored, so that an
                agent tries another node at once.
        """
        self._records = records
        self._inboxes = inboxes
        self._authenticate = authenticate
        self._entropy = entropy
        self._node = node
        self._sight = sight
        self._check_writable = check_writable
        self.proofs: Proofs | None = None
        """Checks signatures; without it, nobody comes in by one."""
        self.check_quota: Callable[[Namespace], None] = lambda _: None
        """Raises `RateLimited` where a namespace has too many agents."""
        self._ended: dict[str, None] = {}
        """Identities that are no more: what they held is free."""

    async def identify(self, token: str | None, address: str) -> Identity:
        """Say who holds `token`, if that one may have a session.

        Raises:
            Unauthorized: Nobody.
            Forbidden: Somebody who may not.
        """
        identity = await self._authenticate(token, address)
        demand(identity, "session.hello")
        return identity

    async def who(
        self, hello: Hello, identity: Identity | None, address: str
    ) -> Identity:
        """Say who says hello: whom the upgrade proved, else whom its token proves.

        Raises:
            Unauthorized: It is nobody we know.
            Forbidden: It may not have a session.
        """
        if identity is not None:
            return identity
        auth = hello.auth or Auth()
        if auth.key is None or auth.token is not None or self.proofs is None:
            return await self.identify(auth.token, address)
        proved = self.proofs.prove(auth.key, purpose="session", address=address)
        demand(proved, "session.hello")
        return proved

    def challenge(self, asked: NewChallenge) -> Challenge:
        """Give a nonce to whoever asks.

        Raises:
            Unavailable: Nobody checks signatures here.
        """
        if self.proofs is None:
            raise Unavailable("this node takes no logins by a key")
        return self.proofs.challenge(asked.id)

    async def admit(
        self,
        hello: Hello,
        identity: Identity,
        *,
        now: datetime,
        hold_s: float,
        is_here: bool = False,
    ) -> Admission:
        """Take up the agent's session, or begin one; it is recorded when this returns.

        Args:
            hello: What the agent says.
            identity: Who says it.
            now: The wall clock.
            hold_s: How long an agent's id is kept for its identity when it is gone.
            is_here: The agent has a session on this node, connected or in its grace.

        Raises:
            Forbidden: The agent's id is another identity's.
            RateLimited: Its namespace has as many agents as it may.
            Unavailable: The store does not answer.
        """
        key = key_of(hello)
        if self._check_writable is not None:
            self._check_writable()
        for _ in range(TRIES):
            seen = await self._records.get(*key)
            known = None if seen is None else seen.value
            if not _may_have(identity, known) and (
                is_here or not await self._is_over(key, known, now, hold_s)
            ):
                raise _held(key, hold_s)
            if not is_here and (known is None or not known.token_sha256):
                self.check_quota(key[0])  # one more, not one that comes back
            try:
                return await self._begin(hello, identity, seen, now)
            except Conflict:
                continue
        raise Unavailable(
            f"the session of {key[1]} changes too fast to be taken up",
            remedy="see that only one process calls itself so",
            retry_after_ms=1000,
        )

    async def end(self, key: AgentKey, session: SessionId) -> None:
        """Note that a session ended in order: it can't be resumed, its id is free.

        Raises:
            Unavailable: The store does not answer.
        """
        await self._change(key, session, token_sha256="")

    async def gone_to(self, key: AgentKey) -> SessionRecord | None:
        """Say who has an agent's session, if another node has; None if this one has.

        Raises:
            Unavailable: The store does not answer.
        """
        seen = await self._records.get(*key)
        return None if seen is None or seen.value.node == self._node else seen.value

    async def hand_over(
        self, key: AgentKey, session: SessionId, identity: Identity
    ) -> None:
        """Note that a session has another identity from now on: its token was renewed.

        Raises:
            Unavailable: The store does not answer.
        """
        await self._change(key, session, identity=identity.id)

    def revoked(self, identity_id: str) -> None:
        """Keep no id for an identity that is no more."""
        self._ended[identity_id] = None
        while len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]

    async def _begin(
        self,
        hello: Hello,
        identity: Identity,
        seen: Versioned[SessionRecord] | None,
        now: datetime,
    ) -> Admission:
        key = key_of(hello)
        known = None if seen is None else seen.value
        resume = hello.resume if _may_resume(hello, known) else None
        if resume is not None:
            session, token = SessionId(resume.session), resume.token
        else:
            fresh = self._entropy(SECRET_BYTES)
            session = SessionId(sha256(fresh).hexdigest()[:SESSION_LENGTH])
            token = self._entropy(SECRET_BYTES).hex()
        epoch, gap = await self._position(hello)
        record = SessionRecord(
            session=session,
            token_sha256=_hash(token),
            node=self._node,
            incarnation=_incarnation(hello),
            identity=identity.id,
            opened=now,
        )
        if resume is not None and known is not None:
            record = _carried_over(known, record)
        revision = await self._records.put(
            *key, record, revision=None if seen is None else seen.revision
        )
        restarted = _has_restarted(hello, known, resumed=resume is not None)
        return Admission(
            identity=identity,
            key=key,
            incarnation=record.incarnation,
            session=session,
            token=token,
            revision=revision,
            epoch=epoch,
            gap=gap,
            resumed=resume is not None,
            restarted=restarted,
            read_upto=resume.last_seq if resume is not None and gap is None else 0,
            drained=not restarted and self._is_drained(key),
        )

    def _is_drained(self, key: AgentKey) -> bool:
        agent = None if self._sight is None else self._sight.agent(*key)
        return agent is not None and agent.drained

    async def _is_over(
        self,
        key: AgentKey,
        known: SessionRecord | None,
        now: datetime,
        hold_s: float,
    ) -> bool:
        """Whether nobody can be on that session, or come back to it."""
        if known is None or not known.token_sha256 or known.identity in self._ended:
            return True
        if self._sight is None or known.opened is None:
            return False
        await self._sight.caught_up()
        agent, since = self._sight.agent(*key), known.opened
        if agent is not None:
            if agent.connected:
                return False
            since = max(since, agent.since or since)
        return now - since >= timedelta(seconds=hold_s)

    async def _change(self, key: AgentKey, session: SessionId, **change: str) -> None:
        """Change the record of a session that is still the agent's newest."""
        for _ in range(TRIES):
            seen = await self._records.get(*key)
            if seen is None or seen.value.session != session:
                return
            record = msgspec.structs.replace(seen.value, **change)
            try:
                await self._records.put(*key, record, revision=seen.revision)
            except Conflict:
                continue
            return
        raise Unavailable(f"the session of {key[1]} changes too fast to be noted")

    async def _position(self, hello: Hello) -> tuple[str, Gap | None]:
        """Compare what the agent knows of its inbox with what there is."""
        epoch = await self._inboxes.epoch()
        if hello.resume is None or hello.resume.epoch == epoch:
            return epoch, None
        first = hello.resume.last_seq + 1
        last = max(first, await self._inboxes.last_seq())
        return epoch, Gap(first=first, last=last, reason="epoch_changed")


def placed(hello: Hello, identity: Identity) -> Hello:
    """Hello with its namespace: what it says, else the first one of its token.

    Raises:
        Forbidden: The token is not for that namespace, that agent's id, or a capability.
    """
    within = identity.scope.namespaces
    first = Namespace(within[0]) if within else DEFAULT_NAMESPACE
    hello = msgspec.structs.replace(hello, namespace=hello.namespace or first)
    check_place(identity, key_of(hello), (each.name for each in hello.capabilities))
    return hello


def check_place(identity: Identity, key: AgentKey, capabilities: Iterable[str]) -> None:
    """Let an agent be where its token reaches.

    Raises:
        Forbidden: The token is not for that namespace, that agent's id, or a capability.
    """
    namespace, agent_id = key
    demand(identity, "session.hello", f"{namespace}.{agent_id}")
    for name in capabilities:
        demand(identity, "tasks:work", f"{namespace}.{name}")


def key_of(hello: Hello) -> AgentKey:
    """Who it says it is."""
    return hello.namespace or DEFAULT_NAMESPACE, hello.agent.id


def _may_have(identity: Identity, known: SessionRecord | None) -> bool:
    """Whether the id is free to this identity, whatever became of the session."""
    owner = None if known is None else known.identity
    return owner is None or owner == identity.id or identity.role == "admin"


def _held(key: AgentKey, hold_s: float) -> Forbidden:
    return Forbidden(
        f"the agent id {key[1]} is another token's, whose session lives or can be resumed",
        remedy=(
            "give this agent an id of its own (--id); if it is the same agent with a new"
            " token: let the old one say bye, or revoke its token, or wait"
            f" {hold_s / 60:.0f} min (sessions.hold_ms)"
        ),
        details={"member": "agent.id"},
    )


def _carried_over(known: SessionRecord, record: SessionRecord) -> SessionRecord:
    """A session that goes on keeps what others noted in its record."""
    return msgspec.structs.replace(
        known,
        token_sha256=record.token_sha256,
        node=record.node,
        incarnation=record.incarnation,
        identity=record.identity,
        opened=record.opened,
    )


def _incarnation(hello: Hello) -> str | None:
    told = hello.agent.incarnation
    return None if told is None else str(told)


def _may_resume(hello: Hello, known: SessionRecord | None) -> bool:
    resume = hello.resume
    if resume is None or known is None or resume.session != known.session:
        return False
    return hmac.compare_digest(_hash(resume.token), known.token_sha256)


def _has_restarted(hello: Hello, known: SessionRecord | None, *, resumed: bool) -> bool:
    told = _incarnation(hello)
    before = None if known is None else known.incarnation
    if told is not None and before is not None:
        return told != before
    return not resumed


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()
