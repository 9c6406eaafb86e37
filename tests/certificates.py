"""A cluster's `tls/` folder and clients of it, for tests of the port."""

import ssl
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from nexa_node.adapters.tls import authority, certificates
from nexa_node.adapters.tls.folder import Bearer, TlsFolder
from nexa_node.adapters.tls.port import PortTls, files_of
from tests.joining import wall

BEARER = Bearer("nexa", "alpha", ("127.0.0.1",))


def folder_at(path: Path, *, now: datetime | None = None) -> TlsFolder:
    """A folder with authorities and the node's certificate."""
    made = TlsFolder(path)
    made.establish(BEARER, now=now or wall())
    return made


def port_of(folder: TlsFolder, **more: str) -> PortTls:
    return PortTls(files_of(folder, **more))


def write_pair(
    path: Path,
    by: authority.Authority,
    *,
    identity: str = "token:certified",
    now: datetime | None = None,
    length: timedelta = timedelta(days=1),
) -> tuple[Path, Path, str]:
    """A client's certificate and key in files, and the certificate's SHA-256."""
    key = certificates.new_key()
    made = authority.sign_client(
        by, key.public_key(), identity=identity, now=now or wall(), length=length
    )
    return written(path, made, key)


def write_node_pair(
    path: Path,
    by: authority.Authority,
    *,
    hosts: tuple[str, ...] = ("127.0.0.1",),
    now: datetime | None = None,
    length: timedelta = timedelta(days=1),
) -> tuple[Path, Path, str]:
    """A server's certificate and key in files, and the certificate's SHA-256."""
    key = certificates.new_key()
    made = authority.sign_node(
        by, key.public_key(), name="own", hosts=hosts, now=now or wall(), length=length
    )
    return written(path, made, key)


def written(
    path: Path, made: x509.Certificate, key: certificates.Key
) -> tuple[Path, Path, str]:
    pem, secret = path.with_suffix(".pem"), path.with_suffix(".key")
    pem.write_bytes(certificates.to_pem(made))
    secret.write_bytes(certificates.key_to_pem(key))
    secret.chmod(0o600)
    return pem, secret, made.fingerprint(hashes.SHA256()).hex()


def client(
    trusted: Path, shown: tuple[Path, Path, str] | None = None
) -> ssl.SSLContext:
    """How a client speaks with the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trusted)
    if shown is not None:
        context.load_cert_chain(*shown[:2])
    return context


def elsewhere_pair(
    path: Path, by: authority.Authority, *, now: datetime
) -> tuple[Path, Path, str]:
    """A server's certificate for `nexa.example` alone: our own are for loopback, too."""
    key = certificates.new_key()
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("nexa.example")]), critical=False
        )
        .sign(by.key, hashes.SHA256())
    )
    return written(path, made, key)
