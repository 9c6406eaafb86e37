"""Certificates: which are trusted, when they end, and what is wrong with a bad one."""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nexa_node.adapters.probes.asking import Asking, Unfit, Warned
from nexa_node.adapters.probes.targets import Endpoint
from nexa_node.adapters.probes.text import printable

_EXPIRED, _NOT_YET = 10, 9
_SELF_SIGNED, _SELF_SIGNED_ABOVE = 18, 19
_NO_ISSUER = {2, 20, 21}
_OTHER_HOST, _OTHER_ADDRESS = 62, 64
"""OpenSSL's X509_V_ERR_… codes, as `SSLCertVerificationError.verify_code`."""

_NAMES_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server showed, whether or not it is trusted."""

    begins: datetime
    ends: datetime
    issuer: str
    names: tuple[str, ...]

    def left(self, now: datetime) -> timedelta:
        """How long it still holds; negative once it ended."""
        return self.ends - now


async def trusting(asking: Asking) -> ssl.SSLContext:
    """Trust `ca_file`, or else what the system trusts.

    Raises:
        Unfit: There is no such file, or no certificate in it.
    """
    ca_file = asking.spec.ca_file
    try:
        return await asyncio.to_thread(_context, ca_file)
    except ssl.SSLError as error:
        raise _no_authority(asking, "it holds no certificate") from error
    except OSError as error:
        raise _no_authority(asking, error.strerror or str(error)) from error
    except (ValueError, RuntimeError) as error:  # no path; or nobody's home folder
        raise _no_authority(asking, str(error)) from error


def _no_authority(asking: Asking, why: str) -> Unfit:
    return Unfit(
        f"ca_file {asking.spec.ca_file} can't be used: {why}",
        asking.correct("ca_file"),
    )


def read(der: bytes) -> Certificate:
    """Read what a server showed."""
    from cryptography import x509

    found = x509.load_der_x509_certificate(der)
    names: tuple[str, ...] = ()
    with contextlib.suppress(x509.ExtensionNotFound, ValueError):
        held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = (
            *held.value.get_values_for_type(x509.DNSName),
            *(str(one) for one in held.value.get_values_for_type(x509.IPAddress)),
        )
    return Certificate(
        begins=found.not_valid_before_utc,
        ends=found.not_valid_after_utc,
        issuer=printable(found.issuer.rfc4514_string(), 80) or "nobody",
        names=tuple(printable(name, 80) for name in names),
    )


def ends_soon(asking: Asking, certificate: Certificate) -> Warned | None:
    """Warn when it ends within `warn_days`."""
    left = certificate.left(datetime.now(UTC))
    if left > timedelta(days=asking.spec.warn_days):
        return None
    return Warned(
        f"the certificate ends in {_days(left)}, on {certificate.ends:%Y-%m-%d %H:%M} UTC",
        f"renew it (certbot renew, or ask {certificate.issuer})"
        f", or lower warn_days {asking.entry}",
    )


def described(certificate: Certificate) -> str:
    """Say when it ends and who made it."""
    left = _days(certificate.left(datetime.now(UTC)))
    return f"certificate ends {certificate.ends:%Y-%m-%d} ({left}), by {certificate.issuer}"


async def distrusted(
    error: ssl.SSLCertVerificationError, asking: Asking, at: Endpoint
) -> Unfit:
    """Say what is wrong with the certificate, with its own dates and names."""
    return why_distrusted(error, asking, at, await _shown_by(at))


def why_distrusted(
    error: ssl.SSLCertVerificationError,
    asking: Asking,
    at: Endpoint,
    shown: Certificate | None,
) -> Unfit:
    """Say what is wrong with the certificate."""
    look = f"openssl s_client -connect {at} -servername {at.host} </dev/null"
    now = datetime.now(UTC)
    match error.verify_code:
        case code if code == _EXPIRED:
            when = (
                f" {_days(now - shown.ends)} ago, on {shown.ends:%Y-%m-%d}"
                if shown
                else ""
            )
            return Unfit(
                f"the certificate of {at} ended{when}", f"certbot renew; {look}"
            )
        case code if code == _NOT_YET:
            when = f" on {shown.begins:%Y-%m-%d %H:%M} UTC" if shown else " later"
            return Unfit(
                f"the certificate of {at} begins{when}", f"timedatectl; {look}"
            )
        case code if code in {_OTHER_HOST, _OTHER_ADDRESS}:
            return Unfit(
                f"the certificate is for {_listed(shown)}, not for {at.host}",
                f"use the name it is for: {asking.correct('target')}; or have one made"
                f" for {at.host}",
            )
        case code if code == _SELF_SIGNED:
            return Unfit(
                f"the certificate of {at} is self-signed, so nobody vouches for it",
                f"set ca_file to a copy of it {asking.entry}; {look}",
            )
        case code if code in {*_NO_ISSUER, _SELF_SIGNED_ABOVE}:
            issuer = shown.issuer if shown else "an unknown authority"
            trusted = asking.spec.ca_file or "this system"
            return Unfit(
                f"the certificate of {at} is by {issuer}, whom {trusted} does not trust",
                f"set ca_file to the certificate of that authority {asking.entry}",
            )
        case _:
            return Unfit(
                f"the certificate of {at} is not good: {error.verify_message}", look
            )


def no_tls(error: ssl.SSLError, asking: Asking, at: Endpoint) -> Unfit:
    """Say that what answers does not speak TLS as it should."""
    said = printable((error.reason or str(error)).replace("_", " ").lower())
    return Unfit(
        f"{at} does not speak TLS that can be used: {said}",
        f"openssl s_client -connect {at}; or {asking.correct('target')}",
    )


def _context(ca_file: str) -> ssl.SSLContext:
    path = str(Path(ca_file).expanduser()) if ca_file else None
    return ssl.create_default_context(cafile=path)


async def _shown_by(at: Endpoint) -> Certificate | None:
    """Fetch the certificate again without trusting it, only to tell about it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent, and nothing believed
    try:
        _, writer = await asyncio.open_connection(
            at.host, at.port, ssl=context, server_hostname=at.host
        )
    except OSError:
        return None
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return read(der) if der else None
    except ValueError:
        return None
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _listed(shown: Certificate | None) -> str:
    if shown is None or not shown.names:
        return "another name"
    more = len(shown.names) - _NAMES_SHOWN
    listed = ", ".join(shown.names[:_NAMES_SHOWN])
    return f"{listed} and {more} more" if more > 0 else listed


def _days(span: timedelta) -> str:
    if span < timedelta(days=2):
        return f"{span.total_seconds() / 3600:.0f} h"
    return f"{span.days} days"
