"""What the API's port shows, as of now: the cluster's certificate, or one of your own.

The files are looked at again and again. When they change, whoever renewed them, new
connections get the new certificate and connections that are there stay as they are. What
can't be used is told, and the certificate before is shown on.
"""

import ssl
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cryptography import x509

from nexa_node.adapters.tls import certificates
from nexa_node.adapters.tls.contexts import check_context, port_context
from nexa_node.adapters.tls.folder import TlsFolder
from nexa_node.contract.errors import Invalid
from nexa_node.core.certificates import Life

OUTCOMES = ("done", "refused", "timeout", "plain", "lost")
_OTHERS = 0o077
_Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFiles:
    """Where it all lies."""

    certificate: Path
    key: Path
    clients: Path
    """The authorities that sign for clients."""
    trusted: Path
    """By which programs on this machine know the port."""
    is_own: bool
    """The operator brought the certificate; nexa renews nothing."""
    minimum: str = "1.3"

    def stamp(self) -> _Stamp:
        """What changes when one of them does."""
        return tuple(
            _stamp(each) for each in (self.certificate, self.key, self.clients)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What there is to tell about the certificate that is shown."""

    subject: str
    names: tuple[str, ...]
    life: Life
    is_own: bool


def files_of(
    folder: TlsFolder,
    *,
    certificate: str = "",
    key: str = "",
    clients: str = "",
    minimum: str = "1.3",
) -> PortFiles:
    """Take the operator's files where they are named, and the cluster's else."""
    files = PortFiles(
        certificate=folder.node_certificate,
        key=folder.node_key,
        clients=folder.trusted("clients"),
        trusted=folder.trusted("nodes"),
        is_own=False,
        minimum=minimum,
    )
    if certificate:
        own = Path(certificate).expanduser()
        files = replace(
            files,
            certificate=own,
            key=Path(key).expanduser(),
            trusted=own,
            is_own=True,
        )
    if clients:
        files = replace(files, clients=Path(clients).expanduser())
    return files


class PortTls:
    """The context that the port takes for each connection."""

    def __init__(self, files: PortFiles) -> None:
        """Read all of it.

        Raises:
            Invalid: It can't be used; says which file, why, and what mends it.
        """
        self.files = files
        self._stamp = files.stamp()
        self._context, self.shown = _read(files)
        self.handshakes: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        """How handshakes ended, counted by the port."""

    def context(self) -> ssl.SSLContext:
        """For the next connection. Fit for `serve`."""
        return self._context

    def check_context(self) -> ssl.SSLContext:
        """How to call our own port."""
        return check_context(self.files.trusted, by_name=not self.files.is_own)

    def look(self) -> bool:
        """Read the files anew if they changed; whether they did. Blocks for a moment.

        Raises:
            Invalid: What is there now can't be used; what was there before is.
        """
        stamp = self.files.stamp()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self._context, self.shown = _read(self.files)
        return True


def _read(files: PortFiles) -> tuple[ssl.SSLContext, Shown]:
    pem = _content(files.certificate)
    try:
        found = x509.load_pem_x509_certificates(pem)[0]
    except ValueError:
        raise Invalid(
            f"{files.certificate} holds no certificate in PEM",
            remedy=f"openssl x509 -in {files.certificate} -noout -subject",
        ) from None
    _check_key(files.key)
    clients = _content(files.clients).decode("ascii", "replace")
    try:
        context = port_context(
            files.certificate, files.key, clients=clients, minimum=files.minimum
        )
    except ssl.SSLError as error:
        told = (error.reason or "not understood").lower().replace("_", " ")
        raise Invalid(
            f"{files.certificate} and {files.key} can't be used for TLS: {told}",
            remedy="see that both are PEM, and of one pair",
        ) from None
    except OSError as error:
        raise Invalid(
            f"{files.certificate} can't be used: {error.strerror}",
            remedy=f"ls -l {files.certificate} {files.key}",
        ) from None
    life = Life(found.not_valid_before_utc, found.not_valid_after_utc)
    return context, Shown(
        subject=found.subject.rfc4514_string(),
        names=certificates.names_of(found),
        life=life,
        is_own=files.is_own,
    )


def _check_key(path: Path) -> None:
    """Refuse a key that others may read. Links are followed: some programs renew so."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise Invalid(
            f"the key {path} can't be read: {error.strerror}", remedy=f"ls -l {path}"
        ) from None
    if mode & _OTHERS:
        raise Invalid(
            f"the key {path} can be read by other users",
            remedy=f"chmod 600 {path}, and have a new certificate if others had access",
        )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(
            f"{path} can't be read: {error.strerror}", remedy=f"ls -l {path}"
        ) from None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def days_left(life: Life, now: datetime) -> int:
    """Whole days that a certificate is good for; negative once it is over."""
    return life.remaining(now).days
