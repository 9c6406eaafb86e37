"""Whether the port is encrypted."""

import ipaddress

from nexa_node.core.policies import TlsPolicy


def is_loopback(host: str) -> bool:
    """Say whether what listens on `host` is reached from its own machine only.

    A name other than `localhost` may be any address, so it is none of loopback.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_encrypted(policy: TlsPolicy, host: str) -> bool:
    """Say whether the port speaks TLS."""
    return policy.mode == "on" or (policy.mode == "auto" and not is_loopback(host))
