"""What a TLS connection that failed means for a person: why, and what mends it.

Pure: it is given what OpenSSL said. Both the console and the agent library tell it.
"""

from dataclasses import dataclass

_EXPIRED, _TOO_EARLY = frozenset((10,)), frozenset((9,))
_UNKNOWN = frozenset((2, 18, 19, 20, 21))
_OTHER_NAME = frozenset((62, 64))
"""Codes of OpenSSL's `X509_V_ERR_…`."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
_OURS = ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_UNKNOWN",
         "CERTIFICATE_REVOKED", "CERTIFICATE_REQUIRED", "DECRYPT_ERROR")  # fmt: skip
"""Alerts by which the other side refuses the certificate that we showed."""


@dataclass(frozen=True, slots=True)
class TlsTrouble:
    """A sentence, and a command or a setting."""

    why: str
    remedy: str


def explain(
    url: str, *, verify_code: int | None, reason: str | None, text: str
) -> TlsTrouble:
    """Put what went wrong at `url` in words.

    Args:
        url: Whom we called.
        verify_code: Of a certificate that was not believed; else None.
        reason: OpenSSL's word for anything else.
        text: What it says itself, for what is not known here.
    """
    if verify_code is not None:
        return _distrust(url, verify_code, text)
    word = (reason or "").upper()
    if any(each in word for each in _NO_TLS):
        return TlsTrouble(
            f"{url} does not speak TLS",
            "write http:// if it is on loopback; else set [tls] mode on that node",
        )
    if "ALERT" in word and any(each in word for each in _OURS):
        return TlsTrouble(
            f"{url} does not take the certificate that was shown to it ({_plain(word)})",
            "make a new one: nexa cert issue --role ROLE; or use a token",
        )
    if "PROTOCOL_VERSION" in word or "UNSUPPORTED_PROTOCOL" in word:
        return TlsTrouble(
            f"{url} and this program have no version of TLS in common",
            "update the older side: TLS 1.3 is spoken here",
        )
    return TlsTrouble(f"TLS with {url} failed: {text}", "nexa selftest, on that node")


def _distrust(url: str, code: int, text: str) -> TlsTrouble:
    if code in _EXPIRED:
        return TlsTrouble(
            f"the certificate of {url} is over",
            "on that node: nexa selftest --only node.certificate says who renews it;"
            " and see the clock of this machine",
        )
    if code in _TOO_EARLY:
        return TlsTrouble(
            f"the certificate of {url} is not valid yet", "set the clock: timedatectl"
        )
    if code in _OTHER_NAME:
        return TlsTrouble(
            f"the certificate of {url} is for other names than that one",
            "call it by a name it is for; or add this one to [http] names on that node",
        )
    if code in _UNKNOWN:
        return TlsTrouble(
            f"the certificate of {url} is of an authority that is not trusted here",
            "on that node: nexa cert ca > ca.pem; then here: nexa login URL --ca ca.pem,"
            " or NEXA_CA_FILE=ca.pem",
        )
    return TlsTrouble(
        f"the certificate of {url} is not trusted: {text}",
        "on that node: nexa selftest --only node.certificate",
    )


def _plain(word: str) -> str:
    return word.rpartition("ALERT_")[2].lower().replace("_", " ")
