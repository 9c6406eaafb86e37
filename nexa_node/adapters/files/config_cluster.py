"""What `[cluster]` must mean: times in an order that works, ports that are ports."""

from collections.abc import Callable, Mapping
from typing import NoReturn

from nexa_node.contract.errors import Invalid
from nexa_node.core.addresses import parse_host
from nexa_node.core.policies import ClusterPolicy

LEASE_LEAST_MS = 1000
"""The store counts leases in whole seconds."""
_PORT_MAX = 65535

Refuse = Callable[[str, str], NoReturn]


def check_cluster(
    policy: ClusterPolicy, origins: Mapping[str, str], refuse: Refuse
) -> None:
    """Refuse what no cluster could be kept by; `refuse` is told the key and why.

    A pair that does not fit is told of the one that somebody set.
    """

    def of(first: str, second: str) -> str:
        return first if f"cluster.{first}" in origins else second

    if policy.suspect_ms < 2 * policy.beat_ms:
        why = (
            f"a node that gives a sign of life each {policy.beat_ms} ms (beat_ms) can't be"
            f" suspected after {policy.suspect_ms} ms (suspect_ms): one that got lost"
            " would do; suspect_ms must be at least twice beat_ms"
        )
        refuse(f"cluster.{of('suspect_ms', 'beat_ms')}", why)
    if policy.dead_ms <= policy.suspect_ms:
        why = (
            f"a node can't be dead after {policy.dead_ms} ms (dead_ms) that is suspected"
            f" after {policy.suspect_ms} ms (suspect_ms); dead_ms must be more"
        )
        refuse(f"cluster.{of('dead_ms', 'suspect_ms')}", why)
    if policy.lease_ms < LEASE_LEAST_MS:
        why = f"{policy.lease_ms} is too little; it must be at least {LEASE_LEAST_MS}"
        refuse("cluster.lease_ms", why)
    _check_ports(policy, of, refuse)
    _check_rest(policy, refuse)


def _check_ports(
    policy: ClusterPolicy, of: Callable[[str, str], str], refuse: Refuse
) -> None:
    for key in ("route_port", "join_port"):
        port: int = getattr(policy, key)
        if port > _PORT_MAX:
            refuse(f"cluster.{key}", f"{port} is no port (0 to {_PORT_MAX})")
    if policy.route_port and policy.route_port == policy.join_port:
        why = f"{policy.join_port} is the route_port, too: each needs its own"
        refuse(f"cluster.{of('join_port', 'route_port')}", why)


def _check_rest(policy: ClusterPolicy, refuse: Refuse) -> None:
    if policy.certificate_hours <= 0:
        why = f"{policy.certificate_hours} is no life for a certificate"
        refuse("cluster.certificate_hours", why)
    if policy.host:
        try:
            parse_host(policy.host)
        except Invalid as error:
            refuse("cluster.host", error.message)
    if policy.backup_every_hours > 0 and policy.backup_keep < 1:
        why = f"{policy.backup_keep} would keep none of the backups that are made"
        refuse("cluster.backup_keep", why)
