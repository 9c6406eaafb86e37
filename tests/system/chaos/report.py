"""What a run found and measured, for people and for JSON. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.system.chaos.evidence import Evidence
from tests.system.chaos.windows import Struck, slowest, windows
from tests.system.crashes.checker import Violation
from tests.system.crashes.figures import quantiles

if TYPE_CHECKING:
    from tests.system.chaos.runner import Order


def report(
    order: "Order",
    evidence: Evidence,
    struck: Sequence[Struck],
    found: Sequence[Violation],
    skipped: Mapping[str, str],
    notes: Mapping[str, Any],
) -> dict[str, Any]:
    """Put it together."""
    outcomes = Counter(f"{op.kind} {op.outcome}" for op in evidence.ops)
    records = Counter(task.status for task in evidence.records.values() if task)
    back = [
        op.returned - op.invoked
        for op in evidence.ops
        if op.kind == "session.back" and op.returned is not None
    ]
    return {
        "seed": order.seed,
        "nodes": order.nodes,
        "seconds": order.seconds,
        "faults": dict(Counter(one.kind for one in struck)),
        "skipped": dict(skipped),
        **notes,
        "calls": dict(sorted(outcomes.items())),
        "records": dict(records),
        "executions": len(evidence.executed),
        "messages_received": len(evidence.received),
        "longest_without_success": _by_kind(windows(struck, evidence.ops)),
        "slowest_call": _by_kind(slowest(struck, evidence.ops)),
        "sessions_back": quantiles(back),
        "crowd_at_node": crowd_at(evidence),
        "violations_by_kind": dict(Counter(one.kind for one in found)),
        "violations": [
            {"kind": one.kind, "subject": one.subject, "words": one.words}
            for one in found[:200]
        ],
    }


def crowd_at(evidence: Evidence) -> dict[str, int]:
    """How the crowd has spread over the nodes in the end."""
    last = {
        op.client: op.answer["node"]
        for op in evidence.ops
        if op.kind in {"session.first", "session.back"}
        and op.client.startswith("crowd")
        and op.outcome == "ok"
    }
    return dict(Counter(last.values()))


def _by_kind(
    figures: Mapping[str, Mapping[str, Sequence[float]]],
) -> dict[str, dict[str, dict[str, float | int]]]:
    return {
        kind: {name: quantiles(values) for name, values in services.items()}
        for kind, services in sorted(figures.items())
    }


def lines(told: Mapping[str, Any], most: int = 10) -> list[str]:
    """Say it to people: faults, windows, and the evidence of what went wrong."""
    said = [
        (
            f"seed {told['seed']}, {told['nodes']} nodes, {told['seconds']:.0f} s, "
            f"{sum(told['faults'].values())} faults, {sum(told['calls'].values())} calls, "
            f"{sum(told['records'].values())} tasks, {told['messages_received']} messages"
        ),
        "longest time without a success, seconds, p50 / p99:",
    ]
    for kind, services in told["longest_without_success"].items():
        parts = [
            f"{name} {one['p50_s']:.1f} / {one['p99_s']:.1f}"
            for name, one in services.items()
        ]
        said.append(f"  {kind:<13} ×{told['faults'][kind]:<3} {', '.join(parts)}")
    if told["crowd_at_node"]:
        back = told["sessions_back"]
        said.append(
            f"  crowd: {told['crowd_at_node']}, {back['count']} came back"
            f" within {back.get('p50_s')} / {back.get('p99_s')} s"
        )
    for kind, words in told["skipped"].items():
        said.append(f"  {kind:<13} not tried: {words}")
    said += [
        f"  register {key}: the search was given up, nothing is proven"
        for key in told.get("undecided", ())
    ]
    said += [f"  STALE READ {words}" for words in told.get("stale_reads", ())]
    if told.get("early"):
        said.append(f"  swaps refused before the winner could be read: {told['early']}")
    said += [
        f"VIOLATION {one['kind']} {one['subject']}: {one['words']}"
        for one in told["violations"][:most]
    ]
    count = sum(told["violations_by_kind"].values())
    said.append(f"{count} violations {told['violations_by_kind'] or ''}".rstrip())
    return said
