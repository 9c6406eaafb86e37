"""TLS as the join door and the port speak it: 1.3, and no session ever resumed."""

import ssl
from pathlib import Path

_CIPHERS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Where 1.2 is allowed: what has forward secrecy and authenticates. 1.3 has no others."""


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What the admitting side shows: its node certificate. Asks the joiner for none.

    Raises:
        ssl.SSLError, OSError: The files can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.load_cert_chain(certificate, key)
    return context


def blind_context() -> ssl.SSLContext:
    """A client that verifies nothing: to be told an authority, never to tell anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def pinned_context(authority: bytes) -> ssl.SSLContext:
    """A client that trusts what one authority signed for a server, and nothing else.

    Whom exactly it signed for is not asked: each member has the authority's key and may
    admit, and a node may be reached by an address that it does not know of itself.

    Args:
        authority: Its certificate, DER.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=authority)
    return context


def port_context(
    certificate: Path, key: Path, *, clients: str = "", minimum: str = "1.3"
) -> ssl.SSLContext:
    """What the API's port speaks: a client may show a certificate, and need not.

    No session is ever resumed, so that who may come in is asked each time.

    Args:
        certificate: PEM, with those that lead to its authority.
        key: Its key.
        clients: PEM of the authorities that sign for clients, and of no others; without
            them nobody is asked for a certificate.
        minimum: The oldest version of TLS that is spoken, 1.3 or 1.2.

    Raises:
        ssl.SSLError, OSError: The files can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = (
        ssl.TLSVersion.TLSv1_2 if minimum == "1.2" else ssl.TLSVersion.TLSv1_3
    )
    context.set_ciphers(_CIPHERS_1_2)
    context.options |= (
        ssl.OP_NO_TICKET
        | ssl.OP_NO_COMPRESSION
        | ssl.OP_NO_RENEGOTIATION
        | ssl.OP_CIPHER_SERVER_PREFERENCE
    )
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    if clients:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        context.load_verify_locations(cadata=clients)
    return context


def check_context(trusted: Path, *, by_name: bool) -> ssl.SSLContext:
    """How a node looks at its own port: it trusts one file and no system's authorities.

    Args:
        trusted: An authority; or the very certificate that the port shows.
        by_name: The certificate must be for the address that is called. A certificate
            of one's own need not be for loopback, where the node looks from.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = by_name
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(trusted)
    return context
