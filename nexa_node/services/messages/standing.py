"""What outlives a connection: the part of a session's record that messages need.

The record is compared and swapped, so a node that a session has left changes nothing of
it, and what was answered is never lost to a hello that comes at the same moment.
"""

import msgspec

from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.ports import (
    Inboxes,
    SessionRecord,
    SessionRecords,
    StandingSubscription,
    Versioned,
)
from nexa_node.services.messages.mailbox import Mailbox
from nexa_node.services.sessions.live import LiveAgent

TRIES = 5
"""Of a record that others write, too: a hello, a renewed token."""


class Standing:
    """Subscriptions and postponed messages, in the records of this node's sessions."""

    def __init__(self, records: SessionRecords, inboxes: Inboxes, *, node: str) -> None:
        """Join what is needed; `node` is this node's id, as the records hold it."""
        self._records = records
        self._inboxes = inboxes
        self._node = node

    async def load(self, box: Mailbox) -> SessionRecord | None:
        """Read what the box's session stands for; None if it is not held here.

        Positions of another epoch mean nothing any more: everything that is kept is
        wanted instead.
        """
        seen = await self._records.get(*box.agent.key)
        if seen is None or not self._holds(box.agent, seen.value):
            return None
        box.record = seen
        epoch = await self._inboxes.epoch()
        if seen.value.epoch in ("", epoch):
            return seen.value
        anew = tuple(
            msgspec.structs.replace(each, after=0) for each in seen.value.subscriptions
        )
        return msgspec.structs.replace(seen.value, subscriptions=anew, again={})

    async def write(
        self,
        box: Mailbox,
        *,
        subscriptions: tuple[StandingSubscription, ...] | None = None,
        again: dict[int, int] | None = None,
    ) -> None:
        """Store what a session stands for: as its box says, but for what is given.

        It is safe when this returns. The caller holds the box's turn.

        Raises:
            Conflict: The session goes on elsewhere, or is over.
            Unavailable: The store does not answer.
        """
        subscriptions = box.standing() if subscriptions is None else subscriptions
        again = dict(box.put_off) if again is None else again
        epoch = await self._inboxes.epoch()
        for _ in range(TRIES):
            seen = box.record or await self._records.get(*box.agent.key)
            if seen is None or not self._holds(box.agent, seen.value):
                box.record = None
                raise _elsewhere(box.agent)
            new = msgspec.structs.replace(
                seen.value, subscriptions=subscriptions, again=again, epoch=epoch
            )
            if new == seen.value:
                return
            box.record = None
            try:
                revision = await self._records.put(
                    *box.agent.key, new, revision=seen.revision
                )
            except Conflict:
                continue
            box.record = Versioned(new, revision)
            return
        raise Unavailable(
            f"the session of {box.agent.id} changes too fast to be noted",
            retry_after_ms=500,
        )

    def _holds(self, agent: LiveAgent, record: SessionRecord) -> bool:
        return record.session == agent.session and record.node == self._node


def _elsewhere(agent: LiveAgent) -> Conflict:
    return Conflict(
        f"the session of {agent.id} is over here, or goes on at another node",
        remedy="say session.hello again",
    )
