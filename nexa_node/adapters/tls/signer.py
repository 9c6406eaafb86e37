"""Signing for clients, and looking at certificates that others signed for them."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

from nexa_node.adapters.tls import authority, certificates
from nexa_node.adapters.tls.folder import TlsFolder
from nexa_node.contract.errors import Conflict, Invalid
from nexa_node.core.certificates import Life
from nexa_node.services.access.client_certificates import Signed


class ClientSigner:
    """`services.access.client_certificates.Signer` over `tls/`."""

    def __init__(
        self,
        folder: TlsFolder,
        *,
        clients: Path | None,
        nodes_are_ours: bool,
        now: Callable[[], datetime],
    ) -> None:
        """Read nothing yet.

        Args:
            folder: The cluster's authorities.
            clients: Which authorities the port trusts for clients; None of a plain one.
            nodes_are_ours: The port shows a certificate of the cluster's authority.
            now: The wall clock.
        """
        self._folder = folder
        self._clients = clients
        self._nodes_are_ours = nodes_are_ours
        self._now = now

    async def sign(self, csr: str, *, identity: str, until: datetime) -> Signed:
        """Sign for the public key of a request."""
        return await asyncio.to_thread(self._sign, csr, identity, until)

    async def examine(self, certificate: str) -> Signed:
        """Look at a certificate of another authority."""
        return await asyncio.to_thread(self._examine, certificate)

    async def authorities(self) -> str:
        """Those by which the cluster's nodes are known, PEM; empty if they are others'."""
        if not self._nodes_are_ours:
            return ""
        found = await asyncio.to_thread(self._folder.authorities, "nodes")
        return certificates.to_pem(*found).decode()

    def _trusted(self) -> Path:
        if self._clients is None:
            raise Conflict(
                "this node's port speaks no TLS, so nobody could show a certificate",
                remedy='set [tls] mode = "on", and restart it',
            )
        return self._clients

    def _sign(self, csr: str, identity: str, until: datetime) -> Signed:
        trusted = self._trusted()
        if trusted != self._folder.trusted("clients"):
            raise Conflict(
                f"clients' certificates are of the authorities in {trusted} here",
                remedy="have one signed there, then: nexa cert add FILE --role ROLE",
            )
        signing = self._folder.authority("clients")
        assert signing is not None, "made before the port was opened"
        key, now = certificates.key_of_request(csr.encode()), self._now()
        made = authority.sign_client(
            signing, key, identity=identity, now=now, length=until - now
        )
        return _signed(made, certificates.to_pem(made).decode())

    def _examine(self, pem: str) -> Signed:
        path = self._trusted()
        try:
            found = x509.load_pem_x509_certificate(pem.encode())
            trusted = x509.load_pem_x509_certificates(path.read_bytes())
        except (ValueError, OSError):
            raise Invalid("that is no certificate in PEM") from None
        now = self._now()
        if not Life(found.not_valid_before_utc, found.not_valid_after_utc).is_valid(
            now
        ):
            raise Invalid(
                "the certificate is not valid now", remedy="have a new one made"
            )
        if not any(_is_by(found, each) for each in trusted):
            raise Invalid(
                f"the certificate is of no authority in {path}",
                remedy="set [tls] client_ca_file to its authority, on every node",
            )
        return _signed(found, "")


def _is_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _signed(certificate: x509.Certificate, pem: str) -> Signed:
    return Signed(
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        ends=certificate.not_valid_after_utc,
        certificate=pem,
    )
