"""Clients' certificates: who has one, signing, renewing.

A certificate is a token without a secret: it has an id, a role, a scope and an end, it is
listed and revoked as one, and what is connected by it ends with it, on every node. Its
record holds the hash of the very certificate; what that says of its holder counts for
nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from nexa_node.contract.access import (
    CertificateIssued,
    Identity,
    NewCertificate,
    NewToken,
    RenewCertificate,
    TokenView,
)
from nexa_node.contract.errors import Invalid
from nexa_node.ports import Clock, TokenRecord
from nexa_node.services.access.access import Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A client's certificate."""

    sha256: str
    ends: datetime
    certificate: str = ""
    """PEM; empty of one that was made elsewhere."""


class Signer(Protocol):
    """The authority of the cluster's clients, and what is trusted besides."""

    async def sign(self, csr: str, *, identity: str, until: datetime) -> Signed:
        """Sign for the public key of a request.

        Raises:
            Invalid: The request is none, or of another kind of key.
            Conflict: There is no authority here to sign with.
        """
        ...

    async def examine(self, certificate: str) -> Signed:
        """Look at a certificate of another authority.

        Raises:
            Invalid: It is none, is over, or of no authority that the port trusts.
        """
        ...

    async def authorities(self) -> str:
        """Those by which the cluster's nodes are known, PEM; empty if they are others'."""
        ...


class ClientCertificates:
    """Issues and renews them."""

    def __init__(self, access: Access, signer: Signer, *, clock: Clock) -> None:
        """Sign by `signer`; records are kept by `access`."""
        self._access = access
        self._signer = signer
        self._clock = clock

    async def issue(self, wanted: NewCertificate, *, by: Identity) -> CertificateIssued:
        """Make one; it opens this node as soon as this returns.

        Raises:
            Invalid: What is wanted makes no sense.
            Forbidden: Its holder could what its maker can't.
            Conflict: This node has no authority to sign with.
            Unavailable: The store did not take it.
        """
        if (wanted.csr is None) == (wanted.certificate is None):
            raise Invalid("give a signing request or a certificate, one of the two")
        found: list[tuple[TokenRecord, Signed]] = []

        async def prove(record: TokenRecord) -> TokenRecord:
            signed = await self._sign(wanted, record)
            ends = min(signed.ends, record.expires or signed.ends)
            record = msgspec.structs.replace(
                record, certificates=(signed.sha256,), expires=ends
            )
            found.append((record, signed))
            return record

        token = NewToken(
            role=wanted.role,
            name=wanted.name,
            expires_s=wanted.expires_s,
            scope=wanted.scope,
        )
        await self._access.create(token, by=by, prove=prove)
        return await self._told(*found[0])

    async def renew(
        self, token_id: str, wanted: RenewCertificate, *, by: Identity
    ) -> CertificateIssued:
        """Make another one for the same holder, for as long as the one before.

        The one before opens the node until its own end, or until the next renewal.

        Raises:
            NotFound: There is no such certificate.
            Forbidden: Its holder may what the caller may not.
            Conflict: No authority to sign with; or somebody changed it meanwhile.
            Unavailable: The store did not take it.
        """
        record = self._access.must_have(token_id)
        self._access.check_may_renew(record, by)
        assert record.expires is not None, "a certificate ends"
        length = record.expires - (record.rotated or record.created)
        until = self._clock.now() + length
        signed = await self._signer.sign(
            wanted.csr, identity=f"token:{record.id}", until=until
        )
        record = await self._access.recertify(
            record.id, signed.sha256, ends=signed.ends, by=by
        )
        return await self._told(record, signed)

    def views(self) -> tuple[TokenView, ...]:
        """All there are, the newest first."""
        return tuple(one for one in self._access.views() if one.certificates)

    async def _sign(self, wanted: NewCertificate, record: TokenRecord) -> Signed:
        if wanted.certificate is not None:
            return await self._signer.examine(wanted.certificate)
        assert wanted.csr is not None
        assert record.expires is not None
        return await self._signer.sign(
            wanted.csr, identity=f"token:{record.id}", until=record.expires
        )

    async def _told(self, record: TokenRecord, signed: Signed) -> CertificateIssued:
        return CertificateIssued(
            id=record.id,
            certificate=signed.certificate,
            authorities=await self._signer.authorities(),
            role=record.role,
            name=record.name,
            expires=min(signed.ends, record.expires or signed.ends),
            scope=record.scope,
        )
