"""The self-test's rows about a NATS that the node is attached to."""

from nexa_node.adapters.files.config import Loaded
from nexa_node.services.health.self_test import Check, Outcome

TIMES = 2
"""Two looks' worth of time: each server is asked."""


def attachment_checks(loaded: Loaded) -> list[Check]:
    """List them; none of a node with a store of its own."""
    settings = loaded.settings
    if settings.store.mode != "attached":
        return []

    async def servers() -> Outcome:
        # Only who is attached needs it.
        from nexa_node.adapters.nats.attached.looking import review

        found = await review(
            settings.store,
            cluster=settings.node.cluster,
            retention=settings.retention,
        )
        detail = f"attached, nothing is supervised: {'; '.join(found.seen)}"
        if found.silent:
            return Outcome(
                "warn",
                detail=detail,
                cause=f"no answer: {'; '.join(found.silent)}",
                remedy="start them, or correct [store] urls",
            )
        return Outcome("pass", detail=detail)

    async def synced() -> Outcome:
        if settings.store.sync_always:
            told = "sync_interval: always on every server, by your word"
            return Outcome("pass", detail=told)
        return Outcome(
            "warn",
            cause="whether the attached NATS syncs each write before it answers can't be"
            " seen by a client; by default it does not, and a power loss takes up to two"
            " minutes of acknowledged writes",
            remedy="sync_interval: always in the jetstream section of every server; then"
            " [store] sync_always = true",
        )

    seconds = TIMES * settings.selftest.timeout_ms / 1000
    rows = (
        ("attached", "attached NATS", servers, True),
        ("sync", "synced writes", synced, False),
    )
    return [
        Check(
            id=f"node.{name}",
            group="node",
            title=title,
            look=look,
            timeout_s=seconds,
            late_remedy="see that every server of [store] urls answers",
            required=required,
        )
        for name, title, look, required in rows
    ]
