"""A node's calls about the audit: may the caller, and whom to ask."""

from dataclasses import dataclass

from nexa_node.contract.access import Identity
from nexa_node.contract.audit import AuditRecord, AuditVerdict
from nexa_node.contract.rest import Page
from nexa_node.services.access.audit_desk import AuditDesk
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.audit_api import AuditFilter


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: a further base of `Node`
class AuditCalls:
    """`services.audit_api.AuditApi`."""

    permissions: Permissions
    auditing: AuditDesk
    """What was written down."""

    async def audit(self, identity: Identity, query: AuditFilter) -> Page[AuditRecord]:
        """List what was written down, the newest first."""
        self.permissions.allow(identity, "audit")
        return await self.auditing.page(query)

    async def verify_audit(self, identity: Identity) -> AuditVerdict:
        """Verify the chains of all nodes."""
        self.permissions.allow(identity, "verify_audit")
        return await self.auditing.verify()
