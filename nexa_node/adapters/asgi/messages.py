"""Messages to agents, topics and capabilities."""

import msgspec

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.contract.errors import (
    Draining,
    Invalid,
    NoAgentAvailable,
    NotFound,
    Unavailable,
)
from nexa_node.contract.messages import NewMessage, Sent


async def send_message(call: Call[Query, NewMessage]) -> Sent:
    """Send; the header's idempotency key becomes the message's id."""
    message = call.body
    key = call.idempotency_key
    if key is not None and message.id not in (None, key):
        raise Invalid(
            "the Idempotency-Key header and id in the body differ",
            remedy="send one of them",
            details={"field": "id"},
        )
    if key is not None:
        message = msgspec.structs.replace(message, id=key)
    return await call.api.send(call.identity, message)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/messages",
        action="send",
        tag="messages",
        summary="Send a message",
        description="A durable message is in the store when this is answered. `from` is"
        " set by the node.",
        handler=send_message,
        body=NewMessage,
        body_example=examples.NEW_MESSAGE,
        answer=Sent,
        example=examples.SENT,
        status=201,
        errors=(NotFound, NoAgentAvailable, Draining, Unavailable),
        idempotent=True,
    ),
)
