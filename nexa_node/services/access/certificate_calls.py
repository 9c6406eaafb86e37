"""A node's calls about clients' certificates: may the caller, and whom to ask."""

from collections.abc import Callable
from dataclasses import dataclass

from nexa_node.contract.access import (
    CertificateIssued,
    Identity,
    NewCertificate,
    RenewCertificate,
    TokenView,
)
from nexa_node.contract.rest import Page
from nexa_node.services.access.access import Access
from nexa_node.services.access.client_certificates import ClientCertificates
from nexa_node.services.access.permissions import Permissions


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: a further base of `Node`
class CertificateCalls:
    """`services.certificate_api.CertificateApi`."""

    permissions: Permissions
    access: Access
    writable: Callable[[], None]
    client_certificates: ClientCertificates
    """Signs for clients."""

    async def authenticate_certificate(self, sha256: str, *, address: str) -> Identity:
        """Say whose certificate that is; see `Access.by_certificate`."""
        return self.access.by_certificate(sha256, address=address)

    async def issue_certificate(
        self, identity: Identity, wanted: NewCertificate
    ) -> CertificateIssued:
        """Sign a certificate for a client, or take one of another authority."""
        self.permissions.allow(identity, "issue_certificate")
        self.writable()
        return await self.client_certificates.issue(wanted, by=identity)

    async def renew_certificate(
        self, identity: Identity, token_id: str, wanted: RenewCertificate
    ) -> CertificateIssued:
        """Sign another one for the same client; its holder may, too."""
        if identity.id != f"token:{token_id}":
            self.permissions.allow(identity, "renew_certificate")
        self.writable()
        return await self.client_certificates.renew(token_id, wanted, by=identity)

    def certificates(self, identity: Identity) -> Page[TokenView]:
        """List who has one."""
        self.permissions.allow(identity, "certificates")
        return Page(items=self.client_certificates.views())
