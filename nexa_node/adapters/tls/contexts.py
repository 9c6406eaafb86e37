"""TLS as the join door speaks it: 1.3 and nothing else, no session ever resumed."""

import ssl
from pathlib import Path


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
