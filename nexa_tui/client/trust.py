"""By what a node that speaks TLS is known, and what proves who we are.

A node of this machine is known by the file its announcement names; a context by the
authority it was kept with; anything else by this system's authorities. Nothing is ever
taken on trust: there is no switch for that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nexa_node.contract.errors import Invalid
from nexa_node.contract.tls_trouble import TlsTrouble, explain

if TYPE_CHECKING:
    import ssl

CA_VARIABLE = "NEXA_CA_FILE"
CERTIFICATE_VARIABLE = "NEXA_CERT_FILE"
KEY_VARIABLE = "NEXA_KEY_FILE"
PINNED_VARIABLE = "NEXA_CA_PINNED"
"""Set for agents we start: the file is the very certificate, whatever name it is for."""
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Trust:
    """Files, all PEM; an empty name: none."""

    ca: str = ""
    """Trust these and no others; without, the system's authorities."""
    by_name: bool = True
    """What is shown must be for the name that is called. False only where `ca` is the
    very certificate, read from the node's own folder."""
    certificate: str = ""
    """Shown to the node, with `key`."""
    key: str = ""


SYSTEM = Trust()
"""This system's authorities, and nothing to show."""


def with_environment(own: Trust, environ: Mapping[str, str]) -> Trust:
    """What is known of a node; what is not, the variables may name."""
    ca, by_name = own.ca, own.by_name
    if not ca:
        ca = environ.get(CA_VARIABLE, "")
        by_name = not (ca and environ.get(PINNED_VARIABLE))
    if own.certificate:
        return replace(own, ca=ca, by_name=by_name)
    return Trust(
        ca=ca,
        by_name=by_name,
        certificate=environ.get(CERTIFICATE_VARIABLE, ""),
        key=environ.get(KEY_VARIABLE, ""),
    )


def to_environment(trust: Trust) -> dict[str, str]:
    """Name them to an agent that is started."""
    told = {
        CA_VARIABLE: trust.ca,
        CERTIFICATE_VARIABLE: trust.certificate,
        KEY_VARIABLE: trust.key,
        PINNED_VARIABLE: "" if trust.by_name else "1",
    }
    return {name: value for name, value in told.items() if value}


def context_for(url: str, trust: Trust) -> "ssl.SSLContext | None":
    """How to speak TLS with a node; None if it is not spoken there.

    Read from the files each time it is asked for, so that new ones are used.

    Raises:
        Invalid: A file can't be used; says which, why, and what mends it.
    """
    if not url.startswith(("https:", "wss:")):
        return None
    import ssl  # 10 ms, and needed only here

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if trust.ca:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = trust.by_name
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        _load(trust.ca, lambda: context.load_verify_locations(trust.ca))
    else:
        context.load_default_certs()
    if trust.certificate:
        key = trust.key or trust.certificate
        _check_key(Path(key))
        _load(
            trust.certificate, lambda: context.load_cert_chain(trust.certificate, key)
        )
    return context


def trouble_in(error: BaseException, url: str) -> TlsTrouble | None:
    """What of TLS is behind `error`; None if it is something else."""
    import ssl

    found: BaseException | None = error
    for _ in range(8):
        if found is None:
            return None
        if isinstance(found, ssl.SSLError):
            code = getattr(found, "verify_code", None)
            text = getattr(found, "verify_message", "") or str(found)
            return explain(url, verify_code=code, reason=found.reason, text=text)
        found = found.__cause__ or found.__context__
    return None


def _load(path: str, load: Callable[[], None]) -> None:
    import ssl

    try:
        load()
    except ssl.SSLError as error:
        raise Invalid(
            f"{path} holds no certificates in PEM, or its key is another's"
            f" ({(error.reason or 'not understood').lower().replace('_', ' ')})",
            remedy=f"openssl x509 -in {path} -noout -subject -dates",
        ) from None
    except OSError as error:
        raise Invalid(
            f"{path} can't be read: {error.strerror}", remedy=f"ls -l {path}"
        ) from None


def _check_key(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise Invalid(
            f"the key {path} can't be read: {error.strerror}", remedy=f"ls -l {path}"
        ) from None
    if mode & _OTHERS:
        raise Invalid(
            f"the key {path} can be read by other users", remedy=f"chmod 600 {path}"
        )
