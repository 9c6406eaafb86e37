"""A node's `tls/` folder: its cluster's authorities, its own certificate, its key.

Every member has the authorities' keys, so any may admit the next one and each renews
its own certificate. `node-ca.pem` may hold several authorities, all trusted; the one
that `node-ca.key` belongs to signs. So an authority is changed by overlap, in three
steps that are each one atomic write and each may be a crash apart: `trust` (all members
trust the new one), `promote` (it signs; certificates are made anew), `retire`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from nexa_node import private_files
from nexa_node.adapters.tls import authority, certificates
from nexa_node.adapters.tls.authority import Authority, Purpose
from nexa_node.adapters.tls.certificates import Facts, Key
from nexa_node.contract.errors import Invalid
from nexa_node.core.addresses import parse_host
from nexa_node.core.certificates import NODE_LIFE
from nexa_node.core.join_tokens import Admitted

_FILES: dict[Purpose, str] = {"nodes": "node-ca", "clients": "client-ca"}


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom the node's certificate is for."""

    cluster: str
    name: str
    hosts: tuple[str, ...]
    """Names and addresses by which other nodes reach it."""


@dataclass(frozen=True, slots=True)
class TlsFolder:
    """The folder; nothing is touched before something is asked."""

    path: Path
    node_life: timedelta = NODE_LIFE
    """Of certificates for nodes that are made here."""

    @property
    def node_certificate(self) -> Path:
        """The node's own, PEM."""
        return self.path / "node.pem"

    @property
    def node_key(self) -> Path:
        """Its key."""
        return self.path / "node.key"

    def trusted(self, purpose: Purpose) -> Path:
        """The certificates of the authorities that are trusted, PEM."""
        return self.path / f"{_FILES[purpose]}.pem"

    def signing_key(self, purpose: Purpose) -> Path:
        """The key of the one that signs."""
        return self.path / f"{_FILES[purpose]}.key"

    # -- what is there -----------------------------------------------------------

    def authority(self, purpose: Purpose) -> Authority | None:
        """Read the authority that signs; None before there is one.

        Raises:
            Invalid: Damaged, without its key, or others may read it.
        """
        pem = private_files.read(self.trusted(purpose))
        if pem is None:
            return None
        key = private_files.read(self.signing_key(purpose))
        if key is None:
            raise Invalid(
                f"{self.signing_key(purpose)} is missing",
                remedy=f"copy it, mode 0600, from {self.path.name}/ of another member",
            )
        return authority.load(purpose, pem, key)

    def authorities(self, purpose: Purpose) -> list[x509.Certificate]:
        """All that are trusted, the signing one first; none before there is one."""
        pem = private_files.read(self.trusted(purpose))
        found = [] if pem is None else certificates.from_pem(pem)
        signing = self.authority(purpose)
        if signing is None:
            return found
        others = [each for each in found if each != signing.certificate]
        return [signing.certificate, *others]

    def own(self) -> x509.Certificate | None:
        """Read the node's certificate; None if it has none that fits its key.

        Raises:
            Invalid: Others may read the key.
        """
        pem, key = (
            private_files.read(self.node_certificate),
            private_files.read(self.node_key),
        )
        if pem is None or key is None:
            return None
        try:
            found = certificates.from_pem(pem)[0]
            fits = certificates.key_from_pem(key).public_key()
        except Invalid:
            return None
        return found if certificates.public_key(found) == fits else None

    def facts(self) -> Facts | None:
        """Tell of the node's certificate; None if it has none."""
        found = self.own()
        return None if found is None else certificates.facts(found)

    def issuer(self) -> x509.Certificate | None:
        """The trusted authority that signed the node's certificate, if any."""
        found = self.own()
        if found is None:
            return None
        for each in self.authorities("nodes"):
            try:
                found.verify_directly_issued_by(each)
            except (ValueError, TypeError, certificates.InvalidSignature):
                continue
            return each
        return None

    # -- making ------------------------------------------------------------------

    def establish(self, bearer: Bearer, *, now: datetime) -> bool:
        """Make what is missing: authorities, and the node's certificate if it is due.

        Safe to call at every start and every hour: what is good is left alone.

        Returns:
            Whether the node's certificate is another one now: who uses it must read it
            anew.

        Raises:
            Invalid: An authority is there and can't be used; it is never replaced.
            Unavailable: The folder can't be written.
        """
        private_files.make_folder(self.path)
        for purpose in _FILES:
            if self.authority(purpose) is None:
                self._create(authority.make(purpose, cluster=bearer.cluster, now=now))
        if not self._is_due(bearer, now):
            return False
        self._sign_own(bearer, now)
        return True

    def request(self) -> bytes:
        """Write a request for a certificate, for a key that is kept for the answer.

        Asked again it is for the same key: so a node that was admitted and did not hear
        of it may ask once more.
        """
        private_files.make_folder(self.path)
        return certificates.request_for(self._key())

    def keep(self, admitted: Admitted, *, ca_sha256: bytes, now: datetime) -> None:
        """Write what an admitting node answered, once it proves to be whole.

        Args:
            admitted: The answer.
            ca_sha256: Of the authority that the join token named.
            now: Aware.

        Raises:
            Invalid: The parts don't belong together, or aren't for our key; nothing
                was written.
        """
        trusted = admitted.node_ca.encode()
        nodes = authority.load("nodes", trusted, admitted.node_ca_key.encode())
        clients = authority.load(
            "clients", admitted.client_ca.encode(), admitted.client_ca_key.encode()
        )
        found = certificates.from_pem(admitted.certificate.encode())[0]
        pins = [certificates.pin(each) for each in certificates.from_pem(trusted)]
        if ca_sha256 not in pins:
            raise Invalid("the answer is of another cluster than the join token")
        if certificates.public_key(found) != self._key().public_key():
            raise Invalid("the certificate in the answer is for another key than ours")
        if not nodes.signed(found) or not certificates.facts(found).life.is_valid(now):
            raise Invalid(
                "the certificate in the answer is not valid now",
                remedy="set the clock of this machine, then join again",
            )
        private_files.make_folder(self.path)
        self._write(nodes, trusted)
        self._write(clients, admitted.client_ca.encode())
        private_files.write(self.node_certificate, certificates.to_pem(found))

    # -- changing the authority --------------------------------------------------

    def successor(self, purpose: Purpose, *, cluster: str, now: datetime) -> Authority:
        """Make an authority to take over; `trust` it on every member, then `promote`."""
        return authority.make(purpose, cluster=cluster, now=now)

    def trust(self, successor: Authority) -> None:
        """Trust another authority besides, and have its key ready."""
        purpose = successor.purpose
        private_files.write(
            self._next_key(purpose), certificates.key_to_pem(successor.key)
        )
        held = self.authorities(purpose)
        if successor.certificate not in held:
            both = certificates.to_pem(*held, successor.certificate)
            private_files.write(self.trusted(purpose), both)

    def promote(self, purpose: Purpose, bearer: Bearer, *, now: datetime) -> bool:
        """Have the successor sign from now on; only when every member trusts it.

        Idempotent: run once more after a crash it finishes.

        Returns:
            Whether the node's certificate is another one now.

        Raises:
            Invalid: There is no trusted successor.
        """
        key = private_files.read(self._next_key(purpose))
        if key is not None:
            authority.load(
                purpose, private_files.read(self.trusted(purpose)) or b"", key
            )
            private_files.write(self.signing_key(purpose), key)
            self._next_key(purpose).unlink(missing_ok=True)
        elif len(self.authorities(purpose)) < 2:
            raise Invalid(
                f"there is no successor to the authority of {purpose}",
                remedy="trust one first",
            )
        return self.establish(bearer, now=now)

    def retire(self, purpose: Purpose, *, keep: int = 0) -> None:
        """Trust the signing authority alone; only when no member needs the old one.

        Args:
            purpose: Of which.
            keep: So many that signed before are trusted on. Fit for clients: who they
                are is by the record of their very certificate, so an old authority in
                wrong hands opens nothing.

        Raises:
            Invalid: This node's own certificate is still the old one's.
        """
        signing = self.authority(purpose)
        if signing is None:
            return
        if purpose == "nodes" and self.issuer() != signing.certificate:
            raise Invalid(
                "this node's certificate is of the authority that is to be retired",
                remedy="promote its successor on this node first",
            )
        kept = self.authorities(purpose)[: 1 + keep]
        private_files.write(self.trusted(purpose), certificates.to_pem(*kept))

    def _is_due(self, bearer: Bearer, now: datetime) -> bool:
        found, signing = self.own(), self.authority("nodes")
        if found is None or signing is None or not signing.signed(found):
            return True
        told = certificates.facts(found)
        wanted = {parse_host(host) for host in bearer.hosts}
        return told.life.is_due(now) or not wanted <= set(told.names)

    def _sign_own(self, bearer: Bearer, now: datetime) -> None:
        signing = self.authority("nodes")
        assert signing is not None
        made = authority.sign_node(
            signing,
            self._key().public_key(),
            name=bearer.name,
            hosts=bearer.hosts,
            now=now,
            length=self.node_life,
        )
        private_files.write(self.node_certificate, certificates.to_pem(made))

    def _key(self) -> Key:
        """The node's key, made if there is none that can be read."""
        pem = private_files.read(self.node_key)
        if pem is not None:
            try:
                return certificates.key_from_pem(pem)
            except Invalid:
                pass
        key = certificates.new_key()
        private_files.write(self.node_key, certificates.key_to_pem(key))
        return key

    def _create(self, made: Authority) -> None:
        self._write(made, certificates.to_pem(made.certificate))

    def _write(self, made: Authority, trusted: bytes) -> None:
        """The key first: a key without a certificate is nobody's, and made anew."""
        self.trusted(made.purpose).unlink(missing_ok=True)
        key = certificates.key_to_pem(made.key)
        private_files.write(self.signing_key(made.purpose), key)
        private_files.write(self.trusted(made.purpose), trusted)

    def _next_key(self, purpose: Purpose) -> Path:
        return self.path / f"{_FILES[purpose]}-next.key"
