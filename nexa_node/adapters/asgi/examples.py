"""The records that the API's description shows. Each is decoded in the tests."""

from datetime import UTC, datetime, timedelta

import msgspec

from nexa_node.contract.access import NewToken, TokenCreated, TokenView
from nexa_node.contract.agents import Agent, Capability
from nexa_node.contract.checks import CheckResult, SelfTest
from nexa_node.contract.cluster import ClusterChange, Growth, JoinToken
from nexa_node.contract.events import Event
from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId, NodeId, TaskId
from nexa_node.contract.messages import Address, NewMessage, ObjectRef, Posted, Sent
from nexa_node.contract.metrics import Target
from nexa_node.contract.nodes import (
    Cluster,
    Node,
    NodeStatus,
    Profile,
    Quorum,
    Setting,
    Stack,
    TaskCounts,
)
from nexa_node.contract.notifications import (
    Delivery,
    ReceiversTested,
    ReceiverTest,
    ReceiverTested,
    WatchdogSeen,
)
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import (
    Attempt,
    Considered,
    Explanation,
    NewTask,
    Queue,
    Redrive,
    Redriven,
    Submitted,
    Task,
    summarize,
)
from nexa_node.contract.version import CONSOLE_PROTOCOL, VERSION

_NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_TASK = TaskId("01jd9z4n3q8w7x2y5v6t0r1s4p")
_AGENT = AgentId("wc-1")
_URL = "http://127.0.0.1:6392"

NODE = Node(
    id=NodeId("01jd9z0000alpha0000000000"),
    name="alpha",
    url=_URL,
    state="running",
    health="healthy",
    role="single",
    agents=1,
    version=VERSION,
    started=_NOON,
)
STATUS = NodeStatus(
    id=NODE.id,
    name=NODE.name,
    state="running",
    url=_URL,
    pid=4711,
    version=VERSION,
    started=_NOON,
    cluster="nexa",
    health="healthy",
    console_protocol=CONSOLE_PROTOCOL,
    whoami="token:1a2b3c",
    who="ada",
    role="operator",
    tasks=TaskCounts(running=1, completed=41),
    agents=1,
)
PROFILE = Profile(
    node="alpha",
    seconds=5.0,
    cpu_s=0.31,
    samples=77,
    stacks=(
        Stack(
            frames=("nexa_node.__main__:main", "asyncio.runners:run"),
            samples=77,
        ),
    ),
)
CONFIG = Page[Setting](
    items=(
        Setting(key="leases.lease_ms", value=15000, origin="default"),
        Setting(key="node.port", value=6392, origin="/etc/nexa/nexa.toml:3"),
    )
)

CLUSTER = Cluster(
    name="nexa",
    verdict="healthy",
    reasons=(),
    controller="alpha",
    quorum=Quorum(have=1, need=1),
    nodes=(NODE,),
)
NODES = Page(items=(NODE,))
JOIN_TOKEN = JoinToken(
    token="nxj1.yJ8c0RrT5v.WyJhIl0.s3cr3t",  # noqa: S106  an example of one
    expires=_NOON + timedelta(minutes=30),
)
GROWTH = Growth(action="replicas", phase="copy", done=41_000, total=100_000)
CHANGE = ClusterChange(
    done=True,
    what="gamma was struck off",
    effects=("7 streams get a third copy on delta",),
)

AGENT = Agent(
    id=_AGENT,
    name="word counter",
    state="busy",
    node="alpha",
    capabilities=(Capability(name="wc"),),
    slots=1,
    inflight=1,
    connected=True,
    completed=41,
    since=_NOON,
    last_seen=_NOON,
)
AGENTS = Page(items=(AGENT,))

NEW_TASK = NewTask(type="wc", data="to be or not to be", priority="high")
SUBMITTED = Submitted(id=_TASK, status="pending", duplicate=False)
TASK = Task(
    id=_TASK,
    type="wc",
    status="completed",
    priority="high",
    submitted=_NOON,
    submitter="token:1a2b3c",
    data="to be or not to be",
    attempts=1,
    claim_epoch=1,
    agent=_AGENT,
    node="alpha",
    result="6",
    started=_NOON + timedelta(milliseconds=8),
    finished=_NOON + timedelta(milliseconds=31),
    history=(
        Attempt(
            attempt=1,
            claim_epoch=1,
            agent=_AGENT,
            node="alpha",
            started=_NOON + timedelta(milliseconds=8),
            ended=_NOON + timedelta(milliseconds=31),
            outcome="completed",
        ),
    ),
)
TASKS = Page(items=(summarize(TASK),))
EXPLANATION = Explanation(
    id=_TASK,
    status="pending",
    verdict="no agent that can do wc has a free slot",
    considered=(
        Considered(agent=_AGENT, eligible=False, reason="all 1 slots are taken"),
    ),
)

QUEUES = Page(
    items=(
        Queue(
            name="wc",
            namespace=DEFAULT_NAMESPACE,
            pending=3,
            by_priority={"high": 1, "normal": 2},
            delayed=1,
            running=4,
            dead_lettered=1,
            oldest_wait_s=2.5,
            agents=2,
            slots=4,
            free_slots=0,
            strategy="least_loaded",
        ),
    )
)
DEAD_LETTERS = Page(
    items=(
        summarize(
            msgspec.structs.replace(
                TASK, status="dead_lettered", result=None, error="exit code 2"
            )
        ),
    )
)
REDRIVE = Redrive(type="wc")
REDRIVEN = Redriven(done=(_TASK,), failed={})

NEW_MESSAGE = NewMessage(
    to=Address(topic="reports.daily"), type="report.ready", data={"pages": 3}
)
SENT = Sent(id="01jd9z4n3q8w7x2y5v6t0r1s4q", seq=12)

POSTED = Page(
    items=(
        Posted(
            seq=12,
            id=SENT.id,
            sender="reporter-1",
            topic="reports.daily",
            type="report.ready",
            time=_NOON,
            data={"pages": 3},
        ),
    ),
    next_cursor="12",
)
OBJECT = ObjectRef(ref=f"nexa:object/{'0f' * 32}", size=1_048_576, sha256="0f" * 32)

EVENTS = Page(
    items=(
        Event(
            id="01jd9z4n3q8w7x2y5v6t0r1s4r",
            time=_NOON,
            kind="task.completed",
            severity="info",
            subject=f"task/{_TASK}",
            message="completed by wc-1 after 23 ms",
            node="alpha",
        ),
    ),
    next_cursor="01jd9z4n3q8w7x2y5v6t0r1s4r",
)

CHECK = CheckResult(
    id="machine.disk",
    group="machine",
    title="Disk space",
    status="pass",
    duration_ms=0.4,
    detail="212 GB free of 500 GB",
)
SELFTEST = SelfTest(status="pass", started=_NOON, duration_ms=180.2, checks=(CHECK,))

NEW_TOKEN = NewToken(role="agent", name="word counters", expires_s=30 * 86_400)
TOKEN_CREATED = TokenCreated(
    id="1a2b3c",
    token="nxa_1a2b3c_…",  # noqa: S106  # shows where the secret stands
    role="agent",
    name="word counters",
    expires=_NOON + timedelta(days=30),
)
TOKENS = Page(
    items=(
        TokenView(
            id="1a2b3c",
            role="agent",
            name="word counters",
            created=_NOON,
            expires=_NOON + timedelta(days=30),
        ),
    )
)
METRICS = b"""# HELP nexa_agents Agents by state.
# TYPE nexa_agents gauge
nexa_agents{state="idle"} 1
"""

PROMETHEUS = {
    "status": "success",
    "data": {
        "resultType": "vector",
        "result": [
            {
                "metric": {"__name__": "up", "instance": "alpha", "job": "nexa"},
                "value": [1760000400.0, "1"],
            }
        ],
    },
}
TARGET = Target(
    targets=("127.0.0.1:6392",), labels={"instance": "alpha", "job": "nexa"}
)

DELIVERIES = Page(
    items=(
        Delivery(
            id="5f0c1d2e3a4b5c6d-2",
            receiver="on-call",
            kind="pagerduty",
            reason="firing",
            state="retrying",
            at=_NOON + timedelta(seconds=1),
            created=_NOON,
            group='{}:{alertname="NexaNodeDown"}',
            alerts=("NexaNodeDown",),
            firing=2,
            attempts=1,
            detail="503 try later",
            next_attempt=_NOON + timedelta(seconds=2),
            node="alpha",
        ),
    )
)
RECEIVER_TEST = ReceiverTest(receiver="on-call")
RECEIVERS_TESTED = ReceiversTested(
    items=(
        ReceiverTested(
            receiver="on-call",
            kind="pagerduty",
            delivered=True,
            detail="202 Event processed",
            took_ms=212.4,
        ),
    )
)
WATCHDOG_SEEN = WatchdogSeen(name="uptime", at=_NOON)
