"""Clusters of any size for scenes and tests: whole, damaged, cut in two."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from nexa_node.contract.ids import NodeId
from nexa_node.contract.nodes import (
    Cluster,
    Node,
    Opinion,
    Quorum,
    Replica,
    Route,
    StreamPlace,
)
from tests.builders import NOW, cluster, node, sample

GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota",
    "kappa",
)  # fmt: skip
STREAMS = (
    "NX_TASKQ", "KV_nx_tasks", "NX_INBOX", "NX_TOPIC", "NX_EVENTS", "KV_nx_agents",
    "KV_nx_tokens", "NX_DLQ", "NX_OBJECTS", "KV_nx_nodes", "KV_nx_leases",
)  # fmt: skip


def names_of(number: int) -> list[str]:
    """Names for so many nodes: Greek for a few, racks for many."""
    if number <= len(GREEK):
        return list(GREEK[:number])
    return [f"r{1 + n // 10}-{n % 10:02d}" for n in range(number)]


def nodes_of(
    number: int,
    *,
    down: Collection[str] = (),
    agents: Mapping[str, int] | None = None,
    **overrides: Mapping[str, Any],
) -> tuple[Node, ...]:
    made: list[Node] = []
    for n, name in enumerate(names_of(number)):
        fields: dict[str, Any] = {
            "id": NodeId(f"01jn8qk0000000000000node{n:02d}"),
            "url": f"http://10.0.{n // 100}.{10 + n % 100}:6392",
            "role": "single" if number == 1 else "leader" if n == 0 else "follower",
            "agents": (agents or {}).get(name, 4),
            "rtt_ms": None if n == 0 else 0.4 + 0.03 * (n * 7 % 11),
            "started": NOW - timedelta(hours=3 + n),
            "host": sample(
                cpu=0.12 + 0.07 * (n * 5 % 9),
                memory=0.31 + 0.04 * (n * 3 % 8),
                disk=0.2 + 0.05 * (n % 7),
            ),
        }
        if name in down:
            fields |= {
                "state": "error", "health": "unhealthy", "role": "follower",
                "agents": 0, "host": None, "rtt_ms": None,
                "reasons": (f"no word from {name} for 41 s",),
            }  # fmt: skip
        made.append(node(name, **{**fields, **overrides.get(name, {})}))
    return tuple(made)


def opinions_of(
    nodes: tuple[Node, ...],
    *,
    down: Collection[str] = (),
    doubts: Mapping[tuple[str, str], tuple[str, float]] | None = None,
) -> tuple[Opinion, ...]:
    made: list[Opinion] = []
    for n, by in enumerate(nodes):
        for m, of in enumerate(nodes):
            if by.name == of.name or by.name in down:
                continue
            word, heard = (doubts or {}).get((by.name, of.name), ("alive", 240.0))
            reason = ""
            if of.name in down:
                word, heard = "dead", 41_000.0
            if word != "alive":
                reason = "its beats do not come"
            rtt = 0.4 + 0.05 * ((n + m) * 7 % 9)
            made.append(
                Opinion(
                    by=by.name,
                    of=of.name,
                    suspicion=word,  # pyright: ignore[reportArgumentType]  # one of them
                    reason=reason,
                    heard_ms=heard,
                    rtt_ms=rtt if word == "alive" else None,
                )
            )
    return tuple(made)


def routes_of(
    nodes: tuple[Node, ...],
    *,
    down: Collection[str] = (),
    slow: Mapping[tuple[str, str], float] | None = None,
    cut: Collection[tuple[str, str]] = (),
) -> tuple[Route, ...]:
    made: list[Route] = []
    for n, one in enumerate(nodes):
        for m, other in enumerate(nodes):
            key = (min(one.name, other.name), max(one.name, other.name))
            gone = {one.name, other.name} & set(down) or key in cut
            if n == m or gone:
                continue
            usual = 0.4 + 0.05 * ((n + m) * 7 % 9)
            rtt = (slow or {}).get(key, usual)
            made.append(Route(node=one.name, peer=other.name, rtt_ms=rtt))
    return tuple(made)


def streams_of(
    nodes: tuple[Node, ...],
    *,
    copies: int,
    down: Collection[str] = (),
    lags: Mapping[tuple[str, str], int] | None = None,
    headless: Collection[str] = (),
) -> tuple[StreamPlace, ...]:
    made: list[StreamPlace] = []
    for n, stream in enumerate(STREAMS):
        held = [nodes[(n + k) % len(nodes)].name for k in range(copies)]
        living = [one for one in held if one not in down]
        leader = None if stream in headless or not living else living[0]
        made.append(
            StreamPlace(
                name=stream,
                leader=leader,
                replicas=tuple(
                    Replica(
                        node=one,
                        current=one not in down and (one, stream) not in (lags or {}),
                        offline=one in down,
                        lag=(lags or {}).get((one, stream), 0),
                    )
                    for one in held
                ),
                messages=1_204 * (n * 7 % 13 + 1),
                bytes=811_233 * (n * 5 % 11 + 1),
            )
        )
    return tuple(made)


def cluster_of(
    number: int,
    *,
    down: Collection[str] = (),
    doubts: Mapping[tuple[str, str], tuple[str, float]] | None = None,
    slow: Mapping[tuple[str, str], float] | None = None,
    cut: Collection[tuple[str, str]] = (),
    lags: Mapping[tuple[str, str], int] | None = None,
    headless: Collection[str] = (),
    copies: int | None = None,
    agents: Mapping[str, int] | None = None,
    nodes: Mapping[str, Mapping[str, Any]] | None = None,
    **overrides: Any,
) -> Cluster:
    """A cluster of so many nodes; name only what is wrong with it."""
    made = nodes_of(number, down=down, agents=agents, **(nodes or {}))
    copies = copies or (3 if number >= 3 else 1)
    have = number - len(down)
    fields: dict[str, Any] = {
        "name": "prod",
        "controller": next(one.name for one in made if one.name not in down),
        "quorum": Quorum(have=have, need=number // 2 + 1),
        "nodes": made,
        "replicas": copies,
        "tolerates": (number - 1) // 2 if copies > 1 else 0,
        "streams": streams_of(
            made, copies=copies, down=down, lags=lags, headless=headless
        ),
    }
    if number > 1:
        fields |= {
            "opinions": opinions_of(made, down=down, doubts=doubts),
            "routes": routes_of(made, down=down, slow=slow, cut=cut),
        }
    return cluster(**{**fields, **overrides})


ONE = cluster_of(1, agents={"alpha": 12})
TWO = cluster_of(
    2,
    verdict="degraded",
    reasons=("two nodes: the loss of either stops every write",),
    agents={"alpha": 7, "beta": 5},
)
THREE = cluster_of(3, agents={"alpha": 5, "beta": 3, "gamma": 4}, controller="beta")
LOST = cluster_of(
    3,
    down=("gamma",),
    verdict="degraded",
    reasons=("gamma is dead", "none of the 2 nodes left may fail"),
    agents={"alpha": 7, "beta": 5},
    tolerates=0,
)
NO_QUORUM = cluster_of(
    3,
    down=("beta", "gamma"),
    headless=STREAMS,
    verdict="unhealthy",
    reasons=("1 of 3 nodes can vote, 2 must", "beta is dead", "gamma is dead"),
    agents={"alpha": 12},
    controller=None,
    stale=True,
    tolerates=0,
)
SEVEN = cluster_of(
    7,
    doubts={("beta", "zeta"): ("suspect", 2100.0), ("delta", "zeta"): ("dead", 3400.0)},
    slow={("alpha", "eta"): 48.0, ("beta", "eta"): 51.0},
    lags={("gamma", "NX_TASKQ"): 1204, ("gamma", "KV_nx_tasks"): 88},
    verdict="degraded",
    reasons=("nodes disagree on zeta", "gamma is behind by 1292 operations"),
    nodes={"zeta": {"health": "degraded"}, "gamma": {"health": "degraded"}},
)
CUT = cluster_of(
    5,
    doubts={
        (one, other): ("dead", 6200.0)
        for side, far in (
            (("alpha", "beta", "gamma"), ("delta", "epsilon")),
            (("delta", "epsilon"), ("alpha", "beta", "gamma")),
        )
        for one in side
        for other in far
    },
    cut=[
        (one, other)
        for one in ("alpha", "beta", "gamma")
        for other in ("delta", "epsilon")
    ],
    quorum=Quorum(have=3, need=3),
    verdict="degraded",
    reasons=("delta and epsilon are cut off",),
    tolerates=0,
)
FIFTY = cluster_of(
    50,
    down=("r3-07",),
    doubts={
        ("r1-00", "r4-02"): ("suspect", 1900.0),
        ("r2-05", "r4-02"): ("suspect", 2000.0),
        **{(f"r5-0{n}", "r2-08"): ("suspect", 1700.0) for n in range(4)},
    },
    slow={("r1-04", "r5-06"): 31.0, ("r1-04", "r5-07"): 29.0},
    lags={("r1-03", "KV_nx_tasks"): 410},
    verdict="degraded",
    reasons=("r3-07 is dead", "nodes disagree on r4-02 and r2-08"),
)
