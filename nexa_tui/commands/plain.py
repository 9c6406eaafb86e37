"""The plain report: what the Overview shows, as lines, without one escape sequence.

For dumb terminals, pipes and screen readers: a heading, then one fact a line.
"""

from datetime import UTC, datetime
from itertools import islice

from nexa_node.contract.agents import Agent
from nexa_node.contract.alerts import Alert
from nexa_node.contract.checks import SelfTest
from nexa_node.contract.errors import NotFound
from nexa_node.contract.events import Event
from nexa_node.contract.nodes import Cluster, HostSample, NodeStatus
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import TaskSummary
from nexa_tui.client.discovery import discover
from nexa_tui.client.rest import NoNode, Rest
from nexa_tui.commands.output import EXIT_NO_NODE, Call, age, clean
from nexa_tui.state.alerts import is_problem
from nexa_tui.state.topology import topology
from nexa_tui.state.topology_told import findings

_MIB = 1024 * 1024


def report(call: Call, *, context: str | None = None, attach: str | None = None) -> int:
    """Print the report; exit 3 if there is no node to report on."""
    call.colour = False
    target = discover(call.environ, context=context, attach=attach)
    if target is None:
        call.line("nexa: no node runs here and no context is set.")
        call.line("Start one: nexa node start")
        call.line("Check this machine: nexa selftest")
        return EXIT_NO_NODE
    try:
        with Rest(target) as node:
            _report(node, call)
    except NoNode as error:
        call.line(f"nexa: {clean(error.message, 400)}")
        call.line(f"Mend: {error.remedy}")
        return EXIT_NO_NODE
    return 0


def _report(node: Rest, call: Call) -> None:
    now = datetime.now(UTC)
    cluster = node.get("/v1/cluster", Cluster)
    status = node.get("/v1/node", NodeStatus)
    _say_cluster(cluster, status, call, now)
    _say_selftest(node, call)
    if status.host is not None:
        _say_host(status.host, call)
    _say_alerts(node.get("/v1/alerts", Page[Alert], query={"limit": 100}), call)
    _say_agents(node.get("/v1/agents", Page[Agent], query={"limit": 50}), call)
    _say_tasks(node.get("/v1/tasks", Page[TaskSummary], query={"limit": 20}), call, now)
    _say_events(node.get("/v1/events", Page[Event], query={"limit": 10}), call, now)


def _say_cluster(
    cluster: Cluster, status: NodeStatus, call: Call, now: datetime
) -> None:
    call.line(f"Cluster {cluster.name}: {cluster.verdict.upper()}")
    for reason in cluster.reasons:
        call.line(f"  because {clean(reason)}")
    call.line(f"  as {status.whoami or '-'}, {status.role or '-'}")
    _say_topology(cluster, call)
    call.line("Nodes")
    for one in cluster.nodes:
        call.line(
            f"  {one.name} {one.state}, {one.health}, {one.role}, {one.agents} agents,"
            f" up {age(one.started, now)}, {one.url}"
        )


def _say_topology(cluster: Cluster, call: Call) -> None:
    """Votes and what is wrong, where there is more than one node to be wrong with."""
    if len(cluster.nodes) < 2:
        return
    view = topology(cluster)
    votes = (
        f"{cluster.quorum.have} of {view.members} vote, {cluster.quorum.need} needed"
    )
    keeper = clean(cluster.controller or "nobody")
    if view.attached:
        call.line(f"  store attached, its votes are unknown; controller {keeper}")
    else:
        call.line(f"  {votes}, margin {view.margin}; controller {keeper}")
    for one in findings(view):
        call.line(f"  {one.text}")


def _say_selftest(node: Rest, call: Call) -> None:
    try:
        done = node.get("/v1/selftest", SelfTest)
    except NotFound:
        call.line("Self-test: not run yet; nexa selftest")
        return
    call.line(f"Self-test: {done.status}")
    for check in done.checks:
        if check.status in {"warn", "fail"}:
            call.line(f"  {check.status} {check.id}: {clean(check.cause or '', 300)}")
            call.line(f"    mend: {clean(check.remedy or '-', 300)}")


def _say_host(host: HostSample, call: Call) -> None:
    call.line("Host")
    call.line(f"  cpu {host.cpu:.0%}, memory {host.memory:.0%}, disk {host.disk:.0%}")
    call.line(
        f"  node memory {host.rss_bytes / _MIB:.0f} MiB, loop lag {host.loop_lag_ms:.1f} ms"
    )


def alert_line(alert: Alert) -> str:
    """One alert in a sentence."""
    about = clean(str(alert.annotations.get("summary", "")), 300)
    said = f": {about}" if about else ""
    acked = f", acknowledged by {clean(alert.ack.by, 40)}" if alert.ack else ""
    return (
        f"{clean(alert.severity, 20).capitalize()} alert {clean(alert.name, 80)}"
        f" {clean(alert.state, 20)}{acked}{said}"
    )


def _say_alerts(page: Page[Alert], call: Call) -> None:
    waiting = [one for one in page.items if is_problem(one)]
    call.line(f"Alerts that wait for somebody: {len(waiting)}")
    for alert in waiting:
        call.line(f"  {alert_line(alert)}")


def _say_agents(page: Page[Agent], call: Call) -> None:
    call.line(f"Agents: {len(page.items)}{'+' if page.next_cursor else ''}")
    for agent in page.items:
        abilities = ", ".join(capability.name for capability in agent.capabilities)
        call.line(
            f"  {agent.id} {agent.state}, {agent.inflight} of {agent.slots} slots,"
            f" can {clean(abilities)}"
        )
    if not page.items:
        call.line("  none; make one: nexa agent run --id wc-1 --capability wc -- wc -w")


def _say_tasks(page: Page[TaskSummary], call: Call, now: datetime) -> None:
    call.line("Tasks, the newest first")
    for task in page.items:
        who = f" on {task.agent}" if task.agent else ""
        says = f": {clean(task.summary, 60)}" if task.summary else ""
        call.line(
            f"  {task.id} {task.type} {task.status}{who}, {age(task.submitted, now)} old{says}"
        )
    if not page.items:
        call.line("  none; submit one: nexa task submit wc --data @README.md --wait")


def _say_events(page: Page[Event], call: Call, now: datetime) -> None:
    call.line("Events, the newest first")
    for event in islice(page.items, 10):
        call.line(
            f"  {age(event.time, now)} ago {event.severity} {clean(event.message)}"
        )
