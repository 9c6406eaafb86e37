"""What topics and inboxes keep: how many in each, and what waits in one."""

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import AgentId, Namespace, is_slug
from nexa_node.contract.messages import Posted, Shelf
from nexa_node.contract.rest import PAGE_MAX, Page
from nexa_node.ports import Inboxes

LISTED_MAX = 10_000
"""The fullest of them; a list of more helps nobody."""


class Shelves:
    """Looks, and changes nothing: nothing is delivered or dropped by it."""

    def __init__(self, inboxes: Inboxes) -> None:
        """Look into `inboxes`."""
        self._inboxes = inboxes

    async def listed(self, namespace: Namespace, *, topics: bool) -> tuple[Shelf, ...]:
        """How many messages each topic, or each inbox, keeps; the fullest first.

        Raises:
            Invalid: The namespace is no slug.
            Unavailable: The store does not answer.
        """
        _check("namespace", namespace)
        counts = await self._inboxes.counts(namespace, topics=topics)
        ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        return tuple(
            Shelf(name=name, messages=number) for name, number in ordered[:LISTED_MAX]
        )

    async def peek(
        self, namespace: Namespace, agent: AgentId, *, after: int, limit: int
    ) -> Page[Posted]:
        """What waits in an inbox past a position, the oldest first.

        Raises:
            Invalid: A name is no slug, or the limit is out of range.
            Unavailable: The store does not answer.
        """
        _check("namespace", namespace)
        if not 1 <= limit <= PAGE_MAX:
            raise Invalid(f"limit: 1 to {PAGE_MAX:,} is allowed")
        found = await self._inboxes.read(namespace, agent, after=after, limit=limit)
        items = tuple(
            Posted(
                seq=one.seq,
                id=one.message.id,
                sender=one.message.sender,
                topic=one.message.subject or f"inbox/{agent}",
                type=one.message.type,
                time=one.message.time,
                data=one.message.data,
                reply_to=one.message.reply_to,
            )
            for one in found
        )
        return Page(items=items, next_cursor=str(items[-1].seq if items else after))


def _check(member: str, text: str) -> None:
    if not is_slug(text):
        raise Invalid(f"{member}: it is not a slug", details={"member": member})
