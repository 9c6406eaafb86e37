"""Messages between agents. Attribute names follow CloudEvents."""

from datetime import datetime

import msgspec

from nexa_node.contract.ids import AgentId
from nexa_node.contract.tasks import Json


class Address(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a message goes: exactly one of the four is set."""

    agent: AgentId | None = None
    topic: str | None = None
    capability: str | None = None
    broadcast: bool | None = None


class NewMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a sender says: the parameters of `message.send`."""

    to: Address
    type: str
    data: Json = None
    id: str | None = None
    """The idempotency key: the same id within two minutes is stored once."""
    ttl_ms: int | None = None
    reply_to: str | None = None
    durable: bool = True
    priority: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message as it is stored and delivered."""

    id: str
    sender: str = msgspec.field(name="from")
    """An agent's id, or `token:<id>`; set by the node, never by the sender."""
    to: Address
    type: str
    time: datetime
    data: Json = None
    subject: str | None = None
    reply_to: str | None = None


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `message.send`. A durable message is in the store by then."""

    id: str
    duplicate: bool = False
    seq: int | None = None
    """Its position in the inbox; None for one that is not stored, or went to many."""
