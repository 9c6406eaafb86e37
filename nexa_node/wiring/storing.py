"""Which store a node has: a nats-server of its own, or a NATS that others run."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from nexa_node.adapters.nats.store import NatsStore, open_store
from nexa_node.contract.errors import Conflict
from nexa_node.core.policies import StorePolicy
from nexa_node.wiring.joining import has_data, member_now
from nexa_node.wiring.place import Place


def is_attached(policy: StorePolicy) -> bool:
    """Whether the store is a NATS that others run."""
    return policy.mode == "attached"


def opened(
    place: Place, on_change: Callable[[str], None]
) -> AbstractAsyncContextManager[NatsStore]:
    """Open the store that the settings ask for.

    Raises:
        Conflict: The node would lose sight of data it has in the other kind.
    """
    settings, name = place.loaded.settings, place.identity.name
    if is_attached(settings.store):
        check_free(place)
        # Nobody else needs it.
        from nexa_node.adapters.nats.attached.store import open_attached

        return open_attached(
            settings.store,
            place.folder.path,
            retention=settings.retention,
            on_change=on_change,
            cluster=settings.node.cluster,
            node=name,
        )
    return open_store(
        settings.store,
        place.folder.path,
        retention=settings.retention,
        on_change=on_change,
        member=member_now(place),
        node=name,
    )


def check_free(place: Place) -> None:
    """See that nothing is left behind in a supervised store.

    Raises:
        Conflict: There is.
    """
    name, folder = place.identity.name, place.folder.path
    if member_now(place) is not None:
        raise Conflict(
            f"{name} is a member of a cluster with stores of its own, and [store] mode"
            " is attached",
            remedy="nexa cluster leave, with mode = supervised; or another [node] name",
        )
    if has_data(folder):
        raise Conflict(
            f"{name} has data in a store of its own ({folder / 'jetstream'}), and"
            " [store] mode is attached",
            remedy="with mode = supervised: nexa cluster backup FILE; then move that"
            " folder away, attach, nexa cluster restore FILE",
        )


def refuse_if_attached(place: Place) -> None:
    """See that joining means something.

    Raises:
        Conflict: The store is attached: there is nothing to join.
    """
    if is_attached(place.loaded.settings.store):
        raise Conflict(
            "[store] mode is attached: there is nothing to join by a token",
            remedy="start it without --join; nodes with the same [node] cluster on one"
            " NATS find each other",
        )
