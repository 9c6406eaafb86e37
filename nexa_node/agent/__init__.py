"""The library agent authors import: `from nexa_node.agent import Agent`.

An agent connects to any node of a cluster, says what it can do, is given tasks and
brings back results. The library keeps the connection, the leases and the results; the
author writes handlers. It needs websockets, msgspec and the standard library alone.
"""

from nexa_node.agent.agent import Agent
from nexa_node.agent.job import Failed, Handler, Job
from nexa_node.agent.timing import Timing
from nexa_node.agent.upward import Connected, Disconnected
from nexa_node.contract.agents import Capability
from nexa_node.contract.errors import NexaError
from nexa_node.contract.frames import Deliver, Gap
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.tasks import Budget, NewTask, RetryPolicy, Task, Usage

__all__ = [
    "Address",
    "Agent",
    "Budget",
    "Capability",
    "Connected",
    "Deliver",
    "Disconnected",
    "Failed",
    "Gap",
    "Handler",
    "Job",
    "NewMessage",
    "NewTask",
    "NexaError",
    "RetryPolicy",
    "Task",
    "Timing",
    "Usage",
]
