"""A cluster's authorities: one for its nodes and, apart, one for its clients.

A client's certificate never opens a route: the two have no key and no certificate in
common, the clients' authority may sign for no host and no address (name constraints)
and for clients only (extended key usage), and neither may sign further authorities.
"""

import ipaddress
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nexa_node.adapters.tls import certificates
from nexa_node.adapters.tls.certificates import Key, PublicKey
from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import slugify
from nexa_node.core.addresses import parse_host
from nexa_node.core.certificates import (
    AUTHORITY_LIFE,
    CLIENT_LIFE,
    NODE_LIFE,
    Life,
    new_life,
)

Purpose = Literal["nodes", "clients"]

HERE = ("localhost", "127.0.0.1", "::1")
"""Each node's certificate is for its own machine, too."""

_USAGES = {
    "nodes": (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    "clients": (ExtendedKeyUsageOID.CLIENT_AUTH,),
}
_NOBODY = x509.NameConstraints(
    permitted_subtrees=None,
    excluded_subtrees=[
        x509.DNSName(""),
        x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
        x509.IPAddress(ipaddress.ip_network("::/0")),
    ],
)
_NAME_MAX = 64
"""Characters of a common name."""
_CLUSTER_MAX = 30
"""Of them, those of a cluster's name."""
_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,119}")


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs, and its key."""

    purpose: Purpose
    certificate: x509.Certificate
    key: Key = field(repr=False)

    @property
    def life(self) -> Life:
        """From when until when it may sign."""
        return certificates.facts(self.certificate).life

    def signed(self, certificate: x509.Certificate) -> bool:
        """Say whether it signed `certificate`."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, certificates.InvalidSignature):
            return False
        return True


def make(purpose: Purpose, *, cluster: str, now: datetime) -> Authority:
    """Make an authority with a key of its own."""
    key = certificates.new_key()
    told = slugify(cluster, default="cluster")[:_CLUSTER_MAX]
    name = _named(f"nexa {purpose} of {told} {secrets.token_hex(4)}")
    life = new_life(now, AUTHORITY_LIFE)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _begin(name, name, key.public_key(), life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(_USAGES[purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
            critical=False,
        )
    )
    if purpose == "clients":
        builder = builder.add_extension(_NOBODY, critical=True)
    return Authority(purpose, builder.sign(key, hashes.SHA256()), key)


def load(purpose: Purpose, pem: bytes, key_pem: bytes) -> Authority:
    """Read an authority: of several certificates, the one that the key belongs to.

    Raises:
        Invalid: None does, or it may not sign.
    """
    key = certificates.key_from_pem(key_pem)
    for each in certificates.from_pem(pem):
        if certificates.public_key(each) == key.public_key():
            if certificates.is_authority(each):
                return Authority(purpose, each, key)
            raise Invalid(f"the authority of {purpose} may not sign certificates")
    raise Invalid(f"the authority of {purpose} and its key don't belong together")


def sign_node(
    authority: Authority,
    key: PublicKey,
    *,
    name: str,
    hosts: tuple[str, ...],
    now: datetime,
    length: timedelta = NODE_LIFE,
) -> x509.Certificate:
    """Sign a node's certificate, for both ends of a connection.

    Args:
        authority: The nodes'.
        key: The node's public key: all that is taken from it.
        name: The node's, as the cluster knows it.
        hosts: Names and addresses it is reached by; those of its own machine are added.
        now: Aware.
        length: How long it lives from then on.

    Raises:
        Invalid: A host that is none; an authority for something else, or expired.
    """
    _demand(authority, "nodes", now)
    told = dict.fromkeys((*(parse_host(host) for host in hosts), *HERE))
    names = x509.SubjectAlternativeName([_alternative(host) for host in told])
    life = new_life(now, length, within=authority.life)
    return _sign_leaf(authority, key, f"node {name}", names, life)


def sign_client(
    authority: Authority,
    key: PublicKey,
    *,
    identity: str,
    now: datetime,
    length: timedelta = CLIENT_LIFE,
) -> x509.Certificate:
    """Sign a client's certificate: it proves who calls, and serves for nothing else.

    Args:
        authority: The clients'.
        key: The client's public key.
        identity: Who it is, a slug with dots and colons; kept as a URI, `nexa:<identity>`.
        now: Aware.
        length: How long it lives from then on.

    Raises:
        Invalid: An identity that is none; an authority for something else, or expired.
    """
    _demand(authority, "clients", now)
    if not _IDENTITY.fullmatch(identity):
        raise Invalid("a client's identity has letters, digits and . : - _ only")
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(f"nexa:{identity}")]
    )
    life = new_life(now, length, within=authority.life)
    return _sign_leaf(authority, key, f"client {identity}", names, life)


def _begin(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, life: Life
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(life.begins)
        .not_valid_after(life.ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _sign_leaf(
    authority: Authority,
    key: PublicKey,
    common: str,
    names: x509.SubjectAlternativeName,
    life: Life,
) -> x509.Certificate:
    issuer = authority.certificate
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    purposes = x509.ExtendedKeyUsage(_USAGES[authority.purpose])
    own = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _begin(_named(common[:_NAME_MAX]), issuer.subject, key, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
        .add_extension(names, critical=False)
        .add_extension(own, critical=False)
    )
    return builder.sign(authority.key, hashes.SHA256())


def _demand(authority: Authority, purpose: Purpose, now: datetime) -> None:
    if authority.purpose != purpose:
        raise Invalid(f"the authority of {authority.purpose} signs for no {purpose}")
    if not authority.life.is_valid(now):
        raise Invalid(
            f"the authority of {purpose} is not valid now:"
            f" {authority.life.begins:%Y-%m-%d} to {authority.life.ends:%Y-%m-%d}",
            remedy="check this machine's clock; else change the authority",
        )


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
