"""Messages between agents. Attribute names follow CloudEvents."""

from datetime import datetime

import msgspec

from nexa_node.contract.ids import AgentId
from nexa_node.contract.tasks import Json, Priority


class Address(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a message goes: exactly one of the four is set."""

    agent: AgentId | None = None
    """Its id, connected or not."""
    topic: str | None = None
    """Dotted slugs. A `reply_to` is one, too: to answer is to send to that topic."""
    capability: str | None = None
    """Any one connected agent that has it."""
    broadcast: bool | None = None
    """Every other agent of the namespace."""


class NewMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a sender says: the parameters of `message.send`."""

    to: Address
    type: str
    """What it means, in the words of sender and receiver."""
    data: Json = None
    """At most 256 KiB, or an `ObjectRef`."""
    id: str | None = None
    """The idempotency key: the same id within two minutes is stored once."""
    ttl_ms: int | None = None
    """Gone after so long, fetched or not."""
    reply_to: str | None = None
    """A topic, or an agent's id, where the answer is wanted."""
    durable: bool = True
    """Answered once the store has it. Otherwise it is lost if nobody listens."""
    priority: Priority | None = None
    """Told to the receiver; it does not change the order of an inbox."""


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
    """The topic it was sent to, if it was sent to one."""
    reply_to: str | None = None
    priority: Priority | None = None


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `message.send`. A durable message is in the store by then."""

    id: str
    duplicate: bool = False
    seq: int | None = None
    """Its position in the inbox or topic; None for one that is not stored, or went to
    many agents."""


class Posted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of a topic, as GET /v1/messages tells it."""

    seq: int
    id: str
    sender: str = msgspec.field(name="from")
    topic: str
    type: str
    time: datetime
    data: Json = None
    reply_to: str | None = None


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """A topic or an inbox, and how much it keeps."""

    name: str
    messages: int


class ObjectRef(msgspec.Struct, frozen=True, kw_only=True):
    """A claim check: stands in `data` for what is too large for a frame."""

    ref: str = msgspec.field(name="$ref")
    """`nexa:object/<sha256>`: where GET /v1/objects/<sha256> finds it."""
    size: int
    """Bytes."""
    sha256: str
    """Of the content, hexadecimal."""
