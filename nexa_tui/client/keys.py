"""A key that never leaves this machine, and the request to have it certified."""

import os
from pathlib import Path

from nexa_node.contract.errors import Invalid, NotFound


def make_key() -> bytes:
    """Make an EC P-256 key, PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def request_for(key: bytes) -> str:
    """Write a signing request for a key, PEM; it names nobody.

    Raises:
        Invalid: The key is none.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        found = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError):
        raise Invalid("that is no private key in PEM without a password") from None
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise Invalid("the key is not EC P-256", remedy="nexa cert issue makes one")
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(found, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def holder_of(certificate: Path) -> str:
    """The id in a certificate that a cluster signed: `token:<id>` without `token:`.

    Raises:
        NotFound: There is no such file.
        Invalid: It is no certificate, or one of another authority.
    """
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    except FileNotFoundError:
        raise NotFound(f"there is no file {certificate}", remedy="ls") from None
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise Invalid(f"{certificate} holds no client's certificate: {error}") from None
    for uri in uris:
        if uri.startswith("nexa:token:"):
            return uri.removeprefix("nexa:token:")
    raise Invalid(
        f"{certificate} was not signed by a cluster",
        remedy="have its own authority renew it, then: nexa cert add FILE --role ROLE",
    )


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600, whole or not at all; one that is there is replaced.

    Raises:
        Invalid: It can't be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
            file.write(content)
        beside.replace(path)
    except OSError as error:
        raise Invalid(
            f"{path} can't be written: {error.strerror}",
            remedy="choose another place with --out",
        ) from error
