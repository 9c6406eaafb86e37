"""The library agent authors import: `from nexa_node.agent import Agent`.

An agent connects to any node of a cluster, says what it can do, is given tasks and
brings back results. The library keeps the connection, the leases and the results; the
author writes handlers. It needs websockets, msgspec and the standard library alone.
"""

from nexa_node.agent.agent import Agent
from nexa_node.agent.job import Failed, Handler, Job
from nexa_node.agent.mailbox import Drop, Later
from nexa_node.agent.subscriptions import Subscription
from nexa_node.agent.timing import Timing
from nexa_node.agent.upward import Connected, Disconnected
from nexa_node.contract.agents import Capability
from nexa_node.contract.errors import NexaError
from nexa_node.contract.frames import Deliver, Gap, TaskUpdate
from nexa_node.contract.messages import Address, NewMessage, ObjectRef
from nexa_node.contract.tasks import Budget, NewTask, RetryPolicy, Task, Usage

__all__ = [
    "Address",
    "Agent",
    "Budget",
    "Capability",
    "Connected",
    "Deliver",
    "Disconnected",
    "Drop",
    "Failed",
    "Gap",
    "Handler",
    "Job",
    "Later",
    "NewMessage",
    "NewTask",
    "NexaError",
    "ObjectRef",
    "RetryPolicy",
    "Subscription",
    "Task",
    "TaskUpdate",
    "Timing",
    "Usage",
]
