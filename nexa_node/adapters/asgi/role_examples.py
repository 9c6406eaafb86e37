"""Examples for the description of roles and namespaces."""

from datetime import UTC, datetime

from nexa_node.contract.access import (
    AccessDecision,
    NamespaceView,
    NewRole,
    Permission,
    Role,
    RotateToken,
)
from nexa_node.contract.quotas import Allowance, BudgetView, Limits, Quota, Spent
from nexa_node.contract.rest import Page

_PERMISSIONS = (
    Permission(allow="tasks:read", on="team-a.>"),
    Permission(allow="tasks:cancel", on="team-a.>"),
)
NEW_ROLE = NewRole(name="dispatcher", permissions=_PERMISSIONS)
ROLE = Role(name="dispatcher", permissions=_PERMISSIONS)
ROLES = Page(items=(ROLE,))
DECISION = AccessDecision(
    who="token:k3v9q1x7m2d",
    action="tasks:cancel",
    resource="team-b.resize",
    allowed=False,
    rule="dispatcher lacks tasks:cancel on team-b.resize",
)
QUOTA = Quota(
    name="team-a",
    limits=Limits(agents=50, waiting=10_000, tasks_per_s=20.0),
    budget=Allowance(tokens=2_000_000, cost_usd=25.0),
)
NAMESPACES = Page(
    items=(
        NamespaceView(
            name="team-a",
            agents=3,
            tasks=120,
            quota=QUOTA,
            budget=BudgetView(
                state="ok",
                spent=Spent(tokens=312_400, cost_usd=4.2),
                resets=datetime(2026, 3, 2, tzinfo=UTC),
                remaining=0.832,
            ),
        ),
    )
)
ROTATE = RotateToken(overlap_s=600)
