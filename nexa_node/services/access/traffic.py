"""Whether somebody may send there, or read that: asked for every message, at both ends."""

from nexa_node.contract.access import Identity
from nexa_node.contract.ids import Namespace
from nexa_node.contract.messages import Address
from nexa_node.core.authorization import authorize, demand
from nexa_node.core.replies import is_reserved
from nexa_node.services.access.view import sees_all


def check_send(identity: Identity, namespace: Namespace, to: Address) -> None:
    """Let a message pass to where its sender may send.

    An answer goes where it was asked for, whatever its sender may else: the address was
    made by the node, for this one answer.

    Raises:
        Forbidden: He may not.
    """
    if is_reserved(to.topic or to.agent or ""):
        return
    if to.topic is not None:
        where = f"topic.{to.topic}"
    elif to.agent is not None:
        where = f"agent.{to.agent}"
    elif to.capability is not None:
        where = f"capability.{to.capability}"
    else:
        where = "broadcast"
    demand(identity, "message.send", f"{namespace}.{where}")


def check_receive(identity: Identity, namespace: Namespace, topic: str) -> None:
    """Let a subscription pass if all that it matches may be read.

    Raises:
        Forbidden: Some of it may not.
    """
    demand(identity, "topic.subscribe", f"{namespace}.topic.{topic}")


def may_receive(identity: Identity, namespace: Namespace, topic: str) -> bool:
    """Whether a message of a topic may still be told to a subscriber."""
    if sees_all(identity) and identity.scope.may_receive is None:
        return True
    resource = f"{namespace}.topic.{topic}"
    return authorize(identity, "topic.subscribe", resource).allowed
