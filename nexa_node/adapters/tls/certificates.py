"""Reading keys, certificates and requests, and telling what is in them.

All keys are EC P-256, all signatures SHA-256: what OpenSSL and nats-server both take.
"""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nexa_node.contract.errors import Invalid
from nexa_node.core.certificates import Life

Key = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey

_BAD = (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says, for people and for renewal."""

    subject: str
    fingerprint: str
    """SHA-256 of it, hexadecimal: `openssl x509 -fingerprint -sha256` without colons."""
    key_pin: str
    """SHA-256 of its public key, hexadecimal: what nats-server's `pinned_certs` takes."""
    life: Life
    names: tuple[str, ...]
    """DNS names and addresses it is for."""
    is_authority: bool


def facts(certificate: x509.Certificate) -> Facts:
    """Read a certificate."""
    life = Life(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    return Facts(
        subject=certificate.subject.rfc4514_string(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        key_pin=key_pin(public_key(certificate)),
        life=life,
        names=names_of(certificate),
        is_authority=is_authority(certificate),
    )


def is_authority(certificate: x509.Certificate) -> bool:
    """Say whether it may sign others."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, *_BAD):
        return False
    return found.value.ca


def public_key(holder: x509.Certificate | x509.CertificateSigningRequest) -> PublicKey:
    """The key a certificate or a request is for.

    Raises:
        Invalid: It is not EC P-256.
    """
    try:
        key = holder.public_key()
    except _BAD as error:
        raise Invalid("the public key can't be read") from error
    if not isinstance(key, PublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Invalid("the public key is not EC P-256")
    return key


def key_pin(key: PublicKey) -> str:
    """SHA-256 of a public key, hexadecimal."""
    told = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(told).hexdigest()


def new_key() -> Key:
    """Make a private key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: Key) -> bytes:
    """Write a private key, not encrypted: the file's mode guards it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def key_from_pem(pem: bytes) -> Key:
    """Read a private key.

    Raises:
        Invalid: It is none of ours. Nothing of it is quoted.
    """
    try:
        key = serialization.load_pem_private_key(pem, None)
    except _BAD:
        raise Invalid("the private key can't be read: damaged or cut off") from None
    if not isinstance(key, Key) or not isinstance(key.curve, ec.SECP256R1):
        raise Invalid("the private key is not EC P-256")
    return key


def to_pem(*certificates: x509.Certificate) -> bytes:
    """Write certificates, one after the other."""
    encoding = serialization.Encoding.PEM
    return b"".join(each.public_bytes(encoding) for each in certificates)


def from_pem(pem: bytes) -> list[x509.Certificate]:
    """Read one or more certificates.

    Raises:
        Invalid: There is none, or it is damaged.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except _BAD as error:
        raise Invalid("the certificate can't be read: damaged or cut off") from error
    for each in found:
        public_key(each)
    return found


def to_der(certificate: x509.Certificate) -> bytes:
    """Write a certificate in the form that is hashed for join tokens."""
    return certificate.public_bytes(serialization.Encoding.DER)


def from_der(der: bytes) -> x509.Certificate:
    """Read a certificate.

    Raises:
        Invalid: It is damaged or of another kind of key.
    """
    try:
        found = x509.load_der_x509_certificate(der)
    except _BAD as error:
        raise Invalid("the certificate can't be read") from error
    public_key(found)
    return found


def pin(certificate: x509.Certificate) -> bytes:
    """What a join token holds of an authority: SHA-256 of its DER."""
    return hashlib.sha256(to_der(certificate)).digest()


def request_for(key: Key) -> bytes:
    """Write a signing request: the public key and a proof that we have the other half.

    It names nobody: who admits decides what the certificate says.
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def key_of_request(pem: bytes) -> PublicKey:
    """The public key of a request, proved; everything else in it counts for nothing.

    Raises:
        Invalid: It is no request, signed by another key, or of another kind of key.
    """
    try:
        request = x509.load_pem_x509_csr(pem)
        proved = request.is_signature_valid
    except _BAD as error:
        raise Invalid("the certificate request can't be read") from error
    if not proved:
        raise Invalid("the certificate request is not signed by its own key")
    return public_key(request)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """DNS names and addresses that it is for."""
    try:
        found = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except (x509.ExtensionNotFound, *_BAD):
        return ()
    dns = found.get_values_for_type(x509.DNSName)
    return (*dns, *(str(each) for each in found.get_values_for_type(x509.IPAddress)))
