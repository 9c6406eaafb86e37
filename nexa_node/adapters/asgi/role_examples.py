"""Examples for the description of roles and namespaces."""

from nexa_node.contract.access import (
    AccessDecision,
    NamespaceView,
    NewRole,
    Permission,
    Role,
    RotateToken,
)
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
NAMESPACES = Page(items=(NamespaceView(name="team-a", agents=3, tasks=120),))
ROTATE = RotateToken(overlap_s=600)
