"""The table of everything the port answers: routes and description come from here."""

from nexa_node.adapters.asgi import (
    agent_socket,
    agents,
    console_socket,
    documents,
    events,
    health,
    messages,
    metrics,
    node,
    selftest,
    tasks,
    tokens,
)
from nexa_node.adapters.asgi.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *health.OPERATIONS,
    *node.OPERATIONS,
    *agents.OPERATIONS,
    *tasks.OPERATIONS,
    *messages.OPERATIONS,
    *events.OPERATIONS,
    *selftest.OPERATIONS,
    *tokens.OPERATIONS,
    *metrics.OPERATIONS,
    *documents.OPERATIONS,
    *agent_socket.OPERATIONS,
    *console_socket.OPERATIONS,
)
