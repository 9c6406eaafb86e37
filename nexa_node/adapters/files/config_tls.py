"""What `[tls]` must mean: nothing goes in clear over a network unless asked for by name."""

from collections.abc import Callable
from typing import NoReturn

from nexa_node.core.encryption import is_encrypted, is_loopback
from nexa_node.settings import Settings

Refuse = Callable[[str, str], NoReturn]


def check_tls(settings: Settings, refuse: Refuse) -> None:
    """Refuse what is well-formed and means nothing; `refuse` is told the key and why."""
    policy, host = settings.tls, settings.node.host
    if bool(policy.cert_file) != bool(policy.key_file):
        refuse("tls.cert_file", "a certificate of your own needs key_file, too")
    encrypted = is_encrypted(policy, host)
    if not (encrypted or is_loopback(host) or policy.allow_plaintext):
        why = (
            f"the port would listen on {host} without TLS, and whoever is on the way"
            ' could read tokens: set tls.mode = "auto", by which the cluster makes'
            " certificates, or cert_file and key_file; or say tls.allow_plaintext = true"
            " if a proxy or a private network encrypts"
        )
        refuse("tls.mode", why)
    for key in ("cert_file", "client_ca_file"):
        if getattr(policy, key) and not encrypted:
            why = (
                f'the port is plain on {host} (mode = "{policy.mode}"): set mode = "on"'
            )
            refuse(f"tls.{key}", why)
