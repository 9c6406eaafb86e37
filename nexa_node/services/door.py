"""Hello: who is it, may it come in, and is it somebody we know?

What a resumption needs is in the store, so any node can grant it; a gap in what the
agent may have read is told, never hidden.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256

from nexa_node.contract.access import Identity
from nexa_node.contract.frames import Gap, Hello
from nexa_node.contract.ids import DEFAULT_NAMESPACE, SessionId
from nexa_node.core.access import demand
from nexa_node.ports import Inboxes, SessionRecord, SessionRecords
from nexa_node.services.live import AgentKey

SECRET_BYTES = 32
SESSION_LENGTH = 26

Authenticate = Callable[[str | None, str], Awaitable[Identity]]
"""Says who holds a token, given it and the address; raises `Unauthorized`."""


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
    ) -> None:
        """Join what admission needs.

        Args:
            records: Sessions, replicated.
            inboxes: Their epoch and newest position.
            authenticate: Says who holds a token.
            entropy: That many random bytes, fit for secrets.
            node: This node's id, as the records hold it.
        """
        self._records = records
        self._inboxes = inboxes
        self._authenticate = authenticate
        self._entropy = entropy
        self._node = node

    async def identify(self, token: str | None, address: str) -> Identity:
        """Say who holds `token`, if that one may have a session.

        Raises:
            Unauthorized: Nobody.
            Forbidden: Somebody who may not.
        """
        identity = await self._authenticate(token, address)
        demand(identity, "session.hello")
        return identity

    async def admit(
        self, hello: Hello, identity: Identity | None, address: str
    ) -> Admission:
        """Take up the agent's session, or begin one; it is recorded when this returns.

        Args:
            hello: What the agent says.
            identity: Whom the upgrade proved, if it did.
            address: Where it comes from.

        Raises:
            Unauthorized: It is nobody we know.
            Forbidden: It may not have a session.
            Unavailable: The store does not answer.
        """
        if identity is None:
            token = None if hello.auth is None else hello.auth.token
            identity = await self.identify(token, address)
        key = (hello.namespace or DEFAULT_NAMESPACE, hello.agent.id)
        seen = await self._records.get(*key)
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
        )
        revision = await self._records.put(*key, record)
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
            restarted=_has_restarted(hello, known, resumed=resume is not None),
            read_upto=resume.last_seq if resume is not None and gap is None else 0,
        )

    async def _position(self, hello: Hello) -> tuple[str, Gap | None]:
        """Compare what the agent knows of its inbox with what there is."""
        epoch = await self._inboxes.epoch()
        if hello.resume is None or hello.resume.epoch == epoch:
            return epoch, None
        first = hello.resume.last_seq + 1
        last = max(first, await self._inboxes.last_seq())
        return epoch, Gap(first=first, last=last, reason="epoch_changed")


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
