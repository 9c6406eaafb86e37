"""The driving side of clients' certificates: a part of `api.NodeApi`, in its own file."""

from typing import Protocol

from nexa_node.contract.access import (
    CertificateIssued,
    Identity,
    NewCertificate,
    RenewCertificate,
    TokenView,
)
from nexa_node.contract.rest import Page


class CertificateApi(Protocol):
    """Who proves who he is by a certificate."""

    async def authenticate_certificate(self, sha256: str, *, address: str) -> Identity:
        """Say whose certificate that is, which TLS has verified already.

        Raises:
            Unauthorized: Nobody's: it was revoked, or its time is over.
        """
        ...

    async def issue_certificate(
        self, identity: Identity, wanted: NewCertificate
    ) -> CertificateIssued:
        """Sign a certificate for a client, or take one of another authority."""
        ...

    async def renew_certificate(
        self, identity: Identity, token_id: str, wanted: RenewCertificate
    ) -> CertificateIssued:
        """Sign another one for the same client; its holder may, too."""
        ...

    def certificates(self, identity: Identity) -> Page[TokenView]:
        """List who has one."""
        ...
