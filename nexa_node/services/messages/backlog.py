"""What a session has not been told yet: its inbox and its topics, merged by position."""

import asyncio
from collections.abc import Sequence

from nexa_node.ports import Arrived, Inboxes
from nexa_node.services.messages.mailbox import Mailbox


async def backlog(
    inboxes: Inboxes, box: Mailbox, *, limit: int
) -> tuple[list[Arrived], int | None]:
    """Read what is past a box's position, oldest first.

    Returns:
        The messages up to a position to which they are whole, and that position; None
        in its place if there was no more.
    """
    namespace, agent = box.agent.key
    after = box.topics_after()
    sources: Sequence[Sequence[Arrived]] = await asyncio.gather(
        inboxes.read(namespace, agent, after=box.upto, limit=limit),
        *(
            inboxes.read_topics(namespace, pattern, after=after, limit=limit)
            for pattern in box.patterns()
        ),
    )
    ends = [source[-1].seq for source in sources if len(source) >= limit]
    horizon = min(ends, default=None)
    merged = {each.seq: each for source in sources for each in source}
    order = sorted(merged) if len(sources) > 1 else list(merged)
    found = [merged[at] for at in order if horizon is None or at <= horizon]
    return found, horizon
