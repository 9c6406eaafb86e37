"""Where an agent's token comes from: never an argument, never logged."""

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from nexa_node.contract.errors import Invalid

TOKEN_VARIABLE = "NEXA_TOKEN"  # noqa: S105  # the name of a variable
TOKEN_FILE_VARIABLE = "NEXA_TOKEN_FILE"  # noqa: S105  # the name of a variable
URL_VARIABLE = "NEXA_URL"
_OTHERS = 0o077

CA_VARIABLE = "NEXA_CA_FILE"
PINNED_VARIABLE = "NEXA_CA_PINNED"
CERTIFICATE_VARIABLE = "NEXA_CERT_FILE"
KEY_VARIABLE = "NEXA_KEY_FILE"
TlsSource = Callable[[], ssl.SSLContext | None]
"""Asked before each connection over TLS, so that renewed files are used. May raise Invalid."""
TokenSource = Callable[[], str | None]
"""Asked before each connection, so that a renewed token is used. May raise Invalid."""


def token_source(
    token: str | TokenSource | None, environ: Mapping[str, str]
) -> TokenSource:
    """Choose where the token comes from.

    Args:
        token: The token itself, or something to ask for it; None looks for `NEXA_TOKEN`
            and then for the file named by `NEXA_TOKEN_FILE`.
        environ: Read now; the file is read for each connection.
    """
    if callable(token):
        return token
    fixed = token or environ.get(TOKEN_VARIABLE)
    if fixed:
        return lambda: fixed
    path = environ.get(TOKEN_FILE_VARIABLE)
    return from_file(Path(path)) if path else lambda: None


def tls_source(
    tls: ssl.SSLContext | TlsSource | None,
    environ: Mapping[str, str],
    *,
    ca: str = "",
    certificate: str = "",
    key: str = "",
) -> TlsSource:
    """Choose what to trust and what to show.

    Args:
        tls: Settles it all.
        environ: Read now, for what is not given: `NEXA_CA_FILE`, `NEXA_CERT_FILE` and
            `NEXA_KEY_FILE`. The files are read for each connection.
        ca: A file of authorities to trust instead of the system's.
        certificate: A file with a certificate to show.
        key: Its key, if that has a file of its own.
    """
    if callable(tls):
        return tls
    if tls is not None:
        return lambda: tls
    pinned = not ca and bool(environ.get(PINNED_VARIABLE))
    ca = ca or environ.get(CA_VARIABLE, "")
    if not certificate:
        certificate = environ.get(CERTIFICATE_VARIABLE, "")
        key = environ.get(KEY_VARIABLE, "")
    if not ca and not certificate:
        return lambda: None
    return lambda: _context(ca, certificate, key or certificate, pinned=pinned)


def _context(ca: str, certificate: str, key: str, *, pinned: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca:
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.check_hostname = not pinned
            context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(ca)
        else:
            context.load_default_certs()
        if certificate:
            if Path(key).stat().st_mode & _OTHERS:
                raise Invalid(
                    f"the key {key} is readable by other users",
                    remedy=f"chmod 600 {key}",
                )
            context.load_cert_chain(certificate, key)
    except OSError as error:
        files = " ".join(dict.fromkeys(each for each in (ca, certificate, key) if each))
        raise Invalid(
            f"the certificates for TLS can't be used: {error}", remedy=f"ls -l {files}"
        ) from None
    return context


def from_file(path: Path) -> TokenSource:
    """Read the token from a file of mode 0600, each time it is asked for."""
    return lambda: _read(path)


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise Invalid(
                    f"the token file {path} is readable by other users",
                    remedy=f"chmod 600 {path}",
                )
            token = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"the token file {path} can't be read: {error}", remedy=f"ls -l {path}"
        ) from None
    if not token or not token.isascii() or not token.isprintable():
        raise Invalid(
            f"the token file {path} holds no token",
            remedy="make one with `nexa token create --role agent`",
        )
    return token
