"""Roll facts up into one verdict with its reasons: of a node, of its cluster.

The verdict is the worst of its reasons; a healthy one has none. Every reason is a
sentence an operator can act on, and is shown as it is.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nexa_node.contract.checks import SelfTest
from nexa_node.contract.nodes import Health, HostSample, Node, NodeState, Quorum, Ready
from nexa_node.core.policies import SelfTestPolicy
from nexa_node.core.store_shape import Shape, store_reasons

REASONS_MAX = 20
"""More are summed up: a screen shows a handful, and a failed network fails every check."""

_SEVERITY: tuple[Health, ...] = ("healthy", "degraded", "unknown", "unhealthy")
"""From best to worst."""
_READINESS: dict[Health, Literal["ready", "degraded", "not_ready"]] = {
    "healthy": "ready",
    "degraded": "degraded",
    "unknown": "not_ready",
    "unhealthy": "not_ready",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a node at one instant."""

    state: NodeState
    store_connected: bool
    store_detail: str
    """Why the store is not connected, or which one it is."""
    caught_up: bool
    """Everything that was in the store when the node started has been read."""
    selftest: SelfTest | None
    """The latest run; None before the first."""
    required_failures: tuple[str, ...] = ()
    """Ids of failed checks without which the node cannot do its work."""
    host: HostSample | None = None


@dataclass(frozen=True, slots=True)
class Assessment:
    """One verdict and what it rests on."""

    health: Health
    reasons: tuple[str, ...]
    maintenance: bool = False
    """It is out of service by an operator's word: that is no fault, and not its health."""

    @property
    def ready(self) -> Ready:
        """The same, as /readyz tells it; maintenance is told there, since agents can't come."""
        if self.maintenance and self.health == "healthy":
            told = "the node is in maintenance and takes no new work"
            return Ready(status="degraded", reasons=(told,))
        return Ready(status=_READINESS[self.health], reasons=self.reasons)


def assess(facts: Facts, *, limits: SelfTestPolicy) -> Assessment:
    """Say how a node is.

    A node that is starting is `unknown`; one without its store, with a failed required
    check, or on its way out is `unhealthy`; any other failure or warning degrades it.
    Maintenance does not: it is the node's state, and what somebody wanted.
    """
    found = _roll_up(
        [*_of_state(facts), *_of_checks(facts), *_of_disk(facts.host, limits)]
    )
    return replace(found, maintenance=facts.state == "maintenance")


def assess_cluster(
    nodes: Sequence[Node],
    quorum: Quorum,
    *,
    shape: Shape | None = None,
    disagreements: Sequence[str] = (),
    controller: str | None = None,
    is_cut_off: bool = False,
) -> Assessment:
    """Say how a cluster is: quorum first, then its store, then its worst node.

    One bad node of several degrades the cluster; only when no node is well, the voters
    are too few, or a stream has no leader, is it `unhealthy`.

    Args:
        nodes: All of them, as one of them sees them.
        quorum: Of the store.
        shape: How the store lies; None or not clustered: there is nothing to say of it.
        disagreements: One sentence for each node that some hear and others do not.
        controller: Who has the lease; without one a cluster is degraded.
        is_cut_off: Whether the node that tells this refuses writes, since it hears too
            few others.
    """
    found: list[tuple[Health, str]] = []
    if shape is not None and shape.attached and shape.have < shape.need:
        found.append(
            ("unhealthy", "the attached NATS is not reached: nothing is stored")
        )
    if quorum.have < quorum.need:
        missing = f"{quorum.have} of {quorum.need} needed nodes can vote"
        found.append(("unhealthy", f"no quorum: {missing}; writes are refused"))
    elif is_cut_off:
        told = "too few other nodes are heard here: writes are refused"
        found.append(("unhealthy", told))
    if shape is not None and shape.clustered:
        found += store_reasons(shape)
        if controller is None and quorum.have >= quorum.need:
            found.append(("degraded", "no node is the controller: duties wait"))
    for told in disagreements:
        found.append(("degraded", told))
    found += _of_nodes(nodes)
    return _roll_up(found)


def _of_nodes(nodes: Sequence[Node]) -> Iterator[tuple[Health, str]]:
    working = any(node.health in ("healthy", "degraded") for node in nodes)
    for node in nodes:
        if node.health == "healthy":
            continue
        weight = "degraded" if working else node.health
        told = "; ".join(node.reasons) or f"is {node.health}"
        yield weight, f"{node.name}: {told}"


def _of_state(facts: Facts) -> Iterator[tuple[Health, str]]:
    match facts.state:
        case "running" | "maintenance":
            pass
        case "starting":
            yield "unknown", "the node is starting"
        case "stopping":
            yield "unhealthy", "the node is draining and takes nothing new"
        case "stopped" | "error":
            yield "unhealthy", f"the node's state is {facts.state}"
    if not facts.store_connected:
        yield "unhealthy", f"the store is not connected: {facts.store_detail}"
    elif not facts.caught_up and facts.state != "starting":
        yield "unknown", "the node is still reading what is in the store"


def _of_checks(facts: Facts) -> Iterator[tuple[Health, str]]:
    checks = () if facts.selftest is None else facts.selftest.checks
    known = {check.id: check for check in checks}
    for check_id in facts.required_failures:
        if check_id not in known:
            yield "unhealthy", f"{check_id}: failed, and it is required"
    for check in checks:
        if check.status not in ("fail", "warn"):
            continue
        told = check.cause or check.detail or check.status
        required = check.id in facts.required_failures
        yield "unhealthy" if required else "degraded", f"{check.id}: {told}"


def _of_disk(
    host: HostSample | None, limits: SelfTestPolicy
) -> Iterator[tuple[Health, str]]:
    if host is None:
        return
    free = host.disk_free_bytes
    told = f"{free / 1024**2:.0f} MiB are free on the disk of the state folder"
    if free < limits.disk_free_fail_bytes:
        yield "unhealthy", f"{told}: the store cannot write much longer"
    elif free < limits.disk_free_warn_bytes:
        yield "degraded", told


def _roll_up(found: Iterable[tuple[Health, str]]) -> Assessment:
    ranked = sorted(found, key=lambda one: -_SEVERITY.index(one[0]))
    reasons = tuple(reason for _, reason in ranked)
    if len(reasons) > REASONS_MAX:
        left = len(reasons) - REASONS_MAX + 1
        reasons = (*reasons[: REASONS_MAX - 1], f"and {left} more reasons")
    return Assessment(ranked[0][0] if ranked else "healthy", reasons)
