"""The example of a plan in the API's description."""

from datetime import UTC, datetime

from nexa_node.contract.plans import Plan

PLAN = Plan(
    id="plan-6a1f4c3b-0f5c0a3e7d9b4c52a1e8f60b7c2d9e41",
    action="node:drain",
    target="alpha",
    what="alpha would stop",
    effects=(
        "12 agents asked to move",
        "3 tasks in hand back to the queue",
        "it takes nothing new, then its process ends; the store keeps what it has",
        "quorum holds: 2 nodes left, 2 needed",
    ),
    counts={"agents": 12, "tasks": 3},
    expires=datetime(2026, 1, 2, 3, 14, 5, tzinfo=UTC),
)
