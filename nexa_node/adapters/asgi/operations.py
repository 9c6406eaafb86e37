"""The table of everything the port answers: routes and description come from here."""

from nexa_node.adapters.asgi import (
    agent_socket,
    agents,
    backups,
    cluster,
    console_socket,
    dead_letters,
    documents,
    events,
    health,
    messages,
    metrics,
    node,
    objects,
    queues,
    selftest,
    tasks,
    tokens,
)
from nexa_node.adapters.asgi.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *health.OPERATIONS,
    *node.OPERATIONS,
    *cluster.OPERATIONS,
    *backups.OPERATIONS,
    *agents.OPERATIONS,
    *tasks.OPERATIONS,
    *queues.OPERATIONS,
    *dead_letters.OPERATIONS,
    *messages.OPERATIONS,
    *objects.OPERATIONS,
    *events.OPERATIONS,
    *selftest.OPERATIONS,
    *tokens.OPERATIONS,
    *metrics.OPERATIONS,
    *documents.OPERATIONS,
    *agent_socket.OPERATIONS,
    *console_socket.OPERATIONS,
)
